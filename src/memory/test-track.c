// SPDX-License-Identifier: Apache-2.0
/*
 * test-track: pages that a process writes while it is tracked, and everything that could make one
 * of them go unnoticed.
 *
 * A victim does one thing at a time, told to by its test; what the tracker says afterwards is
 * compared with what is in the victim's memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "base/fd.h"
#include "kernel/proc.h"
#include "kernel/process-vm.h"
#include "memory/track.h"
#include "task/victim.h"

#define PAGE AMBER_PAGE_SIZE
#define HUGE (2UL << 20)

static struct op test_op;

/* What a victim is told to do, in its page: counters[0] = order, 1.. = arguments and answers. */
enum order { NOTHING, WRITE, DROP, REMAP, MOVE, GROW, FORK, PROTECT, EXECUTE, READ_INTO, SPLIT };

struct subject {
	struct victim v;
	char *at;    /* the memory, at the same address there */
	size_t size; /* bytes */
	bool shared;
	int fd; /* a pipe into the victim */
	int proc_fd;
	struct track *track;
};

struct setup {
	char *at;
	size_t size;
	int fd;
	bool reads; /* only touch by reading */
};

static void obey(struct victim_page *page, const struct setup *s)
{
	char *at = (char *)(uintptr_t)page->counters[1];
	size_t size = page->counters[2];
	pid_t pid;

	switch ((enum order)page->counters[0]) {
	case NOTHING:
		return;
	case WRITE:
		memset(at, (int)page->counters[3], size);
		break;
	case DROP:
		madvise(at, size, MADV_DONTNEED);
		break;
	case REMAP:
		munmap(at, size);
		if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			 -1, 0) != at)
			victim_say(page, "mmap");
		memset(at, 0x55, PAGE);
		break;
	case MOVE:
		page->counters[4] = (uintptr_t)mremap(at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
						      (void *)(uintptr_t)page->counters[3]);
		break;
	case GROW:
		at = sbrk((intptr_t)size);
		memset(at, 0x77, size);
		page->counters[4] = (uintptr_t)at;
		break;
	case FORK:
		pid = fork();
		if (!pid) {
			memset(at, 0x66, size);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
		break;
	case PROTECT:
		mprotect(at, size, PROT_READ);
		mprotect(at, size, PROT_READ | PROT_WRITE);
		break;
	case EXECUTE:
		execl("/bin/sleep", "sleep", "1000", NULL);
		victim_say(page, "exec");
	case READ_INTO:
		page->counters[4] = (unsigned long)read(s->fd, at, size);
		break;
	case SPLIT:
		mprotect(at, size, PROT_READ);
		break;
	}
	page->counters[0] = NOTHING;
}

static void servant(struct victim_page *page, void *arg)
{
	const struct setup *s = arg;
	struct timespec t = { .tv_nsec = 50000 };

	if (!s->reads)
		memset(s->at, 0x11, s->size);
	for (size_t i = 0; s->reads && i < s->size; i += PAGE)
		page->counters[9] += (unsigned long)((volatile char *)s->at)[i];
	page->ready = 1;
	for (;;) {
		obey(page, s);
		nanosleep(&t, NULL);
	}
}

static void order(struct subject *s, enum order what, const void *at, size_t size,
		  unsigned long more)
{
	s->v.page->counters[1] = (uintptr_t)at;
	s->v.page->counters[2] = size;
	s->v.page->counters[3] = more;
	s->v.page->counters[0] = what;
	for (int i = 0; i < 100000 && s->v.page->counters[0]; i++)
		usleep(50);
	assert_int_equal(s->v.page->counters[0], NOTHING);
}

/* Memory is mapped here before the fork, so that both know where it is; ours is never touched. */
static void begin_in(struct subject *s, char *at, size_t size, bool reads)
{
	struct error err = ERROR_INIT;
	struct setup setup = { at, size, -1, reads };
	int fds[2];

	*s = (struct subject){ .at = at, .size = size };
	assert_int_equal(pipe(fds), 0);
	setup.fd = fds[0];
	victim_start(&s->v, servant, &setup);
	close(fds[0]);
	s->fd = fds[1];
	victim_must(proc_open(s->v.pid, &s->proc_fd, &err), &err);
	victim_must(track_open(&test_op, TRACK_UFFD_WP, s->v.pid, s->proc_fd, &s->track, &err),
		    &err);
}

/* With a page that nobody maps on either side, so that nothing merges with it. */
static char *reserve(size_t size)
{
	char *at = mmap(NULL, size + 2 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *aligned = (char *)(((uintptr_t)at + PAGE + HUGE - 1) & ~(HUGE - 1));

	assert_true(at != MAP_FAILED);
	return aligned;
}

static void begin(struct subject *s, size_t size, int flags, int fd)
{
	char *at = reserve(size);

	assert_ptr_equal(mmap(at, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0), at);
	begin_in(s, at, size, false);
	s->shared = flags & MAP_SHARED;
}

static void cover(struct subject *s, enum proc_maps_detail detail)
{
	struct arena scratch = ARENA_INIT;
	struct error err = ERROR_INIT;
	struct proc_maps maps;

	victim_must(proc_maps_read(s->proc_fd, detail, &scratch, &maps, &err), &err);
	victim_must(track_cover(s->track, &maps, &err), &err);
	arena_deinit(&scratch);
}

static size_t count_flag(pid_t pid, const char *flag)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct error err = ERROR_INIT;
	char path[64];
	size_t n = 0;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	victim_must(fd_read_file(AT_FDCWD, path, 16 << 20, &text, &err), &err);
	for (const char *p = (char *)text.data; (p = strstr(p, flag)); p++)
		n++;
	return n;
}

static void end(struct subject *s)
{
	struct error err = ERROR_INIT;

	track_close(&s->track);
	assert_null(s->track);
	assert_int_equal(count_flag(s->v.pid, " uw"), 0);
	victim_must(0, &err);
	close(s->fd);
	close(s->proc_fd);
	victim_end(&s->v);
}

/* One letter for each page of the subject's memory: '.' no data, 'o' data as it was, 'w' written */
struct picture {
	const struct subject *s;
	uint64_t last_end;
	char letters[1 << 16];
};

static int draw(const struct page_run *run, void *arg, struct error *err)
{
	struct picture *p = arg;
	uint64_t first = (uintptr_t)p->s->at, last = first + p->s->size;

	assert_true(run->start < run->end);
	assert_true(run->start >= p->last_end);
	p->last_end = run->end;
	for (uint64_t at = MAX(run->start, first); at < MIN(run->end, last); at += PAGE)
		p->letters[(at - first) / PAGE] = run->categories & PAGEMAP_WRITTEN ? 'w' : 'o';
	return 0;
}

static struct picture *blank(const struct subject *s)
{
	static struct picture p;

	p.s = s;
	p.last_end = 0;
	memset(p.letters, '.', s->size / PAGE);
	p.letters[s->size / PAGE] = '\0';
	return &p;
}

/* A round: pages reported are 'o'. */
static const char *round_of(struct subject *s)
{
	struct picture *p = blank(s);
	struct error err = ERROR_INIT;

	victim_must(track_round(s->track, draw, p, &err), &err);
	return p->letters;
}

static const char *last_of(struct subject *s)
{
	struct picture *p = blank(s);
	struct error err = ERROR_INIT;
	struct page_run range = { (uintptr_t)s->at, (uintptr_t)s->at + s->size,
				  s->shared ? TRACK_SHARED : 0 };

	victim_must(track_last(s->track, &range, 1, draw, p, &err), &err);
	return p->letters;
}

static bool all(const char *letters, size_t from, size_t to, char letter)
{
	for (size_t i = from; i < to; i++)
		if (letters[i] != letter)
			return false;
	return true;
}

static void probing(void **state)
{
	assert_int_equal(track_probe(), TRACK_UFFD_WP);
	assert_int_equal(track_probe(), TRACK_UFFD_WP);
}

/* Small enough to be asked together, and large enough to be asked by itself, and by two threads. */
static void rounds_and_last(void **state)
{
	const size_t sizes[] = { 64 * PAGE, 8 << 20 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t n = sizes[i] / PAGE;
		struct subject s;
		const char *is;

		begin(&s, sizes[i], MAP_PRIVATE | MAP_ANONYMOUS, -1);
		assert_true(all(last_of(&s), 0, n, 'w'));
		cover(&s, PROC_MAPS_SMAPS);
		assert_true(all(last_of(&s), 0, n, 'w'));
		assert_true(all(round_of(&s), 0, n, 'o'));
		assert_true(all(last_of(&s), 0, n, 'o'));
		assert_true(all(round_of(&s), 0, n, '.'));

		order(&s, WRITE, s.at + 3 * PAGE, 2 * PAGE, 0x22);
		order(&s, DROP, s.at + 10 * PAGE, 4 * PAGE, 0);
		is = last_of(&s);
		assert_memory_equal(is, "ooowwooooo....oo", 16);
		assert_true(all(is, 16, n, 'o'));
		cover(&s, PROC_MAPS_SMAPS);
		is = round_of(&s);
		assert_memory_equal(is, "...oo.........", 14);
		assert_true(all(is, 14, n, '.'));
		is = last_of(&s);
		assert_memory_equal(is, "oooooooooo....oo", 16);

		/* dropped and written again: other data in the same place */
		order(&s, WRITE, s.at + 11 * PAGE, PAGE, 0x33);
		assert_memory_equal(last_of(&s), "oooooooooo.w..oo", 16);
		/* dropped altogether: the page tables go with it on newer kernels */
		order(&s, DROP, s.at, sizes[i], 0);
		assert_true(all(last_of(&s), 0, n, '.'));
		end(&s);
	}
}

/* Other memory in the same place, and the same memory in another place. */
static void mapped_anew(void **state)
{
	const size_t n = 1024;
	struct subject s;
	const char *is;
	char *far;

	begin(&s, n * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	cover(&s, PROC_MAPS_SMAPS);
	round_of(&s);
	order(&s, REMAP, s.at, n * PAGE, 0);
	is = last_of(&s);
	assert_true(is[0] == 'w' && all(is, 1, n, '.'));
	order(&s, WRITE, s.at, n * PAGE, 0x44);
	assert_true(all(last_of(&s), 0, n, 'w'));
	/* without covering it anew it stays untracked, with it it is another mapping */
	assert_true(all(round_of(&s), 0, n, '.'));
	assert_true(all(last_of(&s), 0, n, 'w'));
	cover(&s, PROC_MAPS_SMAPS);
	assert_true(all(round_of(&s), 0, n, 'o'));
	assert_true(all(last_of(&s), 0, n, 'o'));

	/* a part of it only */
	order(&s, REMAP, s.at + 512 * PAGE, 256 * PAGE, 0);
	is = last_of(&s);
	assert_true(all(is, 0, 512, 'o') && is[512] == 'w' && all(is, 513, 768, '.') &&
		    all(is, 768, n, 'o'));

	/* to elsewhere, with what was protected, and a part of it back to another place */
	far = reserve(n * PAGE);
	order(&s, MOVE, s.at, 512 * PAGE, (uintptr_t)far);
	assert_int_equal(s.v.page->counters[4], (uintptr_t)far);
	is = last_of(&s);
	assert_true(all(is, 0, 512, '.') && all(is, 768, n, 'o'));
	order(&s, MOVE, far, 128 * PAGE, (uintptr_t)s.at + 768 * PAGE);
	is = last_of(&s);
	assert_true(all(is, 768, 896, 'w') && all(is, 896, n, 'o'));
	s.at = far;
	is = last_of(&s);
	assert_true(all(is, 128, 512, 'w'));
	end(&s);
}

static void heap_grows(void **state)
{
	struct subject s;
	uintptr_t before;
	char *heap;

	begin(&s, 16 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	order(&s, GROW, NULL, 64 * PAGE, 0);
	s.at = heap = (char *)(uintptr_t)s.v.page->counters[4];
	s.size = 64 * PAGE;
	cover(&s, PROC_MAPS_SMAPS);
	round_of(&s);
	assert_true(all(last_of(&s), 1, 63, 'o'));
	before = (uintptr_t)heap + 64 * PAGE;
	order(&s, GROW, NULL, 64 * PAGE, 0);
	assert_int_equal(s.v.page->counters[4], before);
	s.size = 128 * PAGE;
	assert_true(all(last_of(&s), 64, 127, 'w'));
	cover(&s, PROC_MAPS_SMAPS);
	assert_true(all(round_of(&s), 65, 127, 'o'));
	assert_true(all(last_of(&s), 1, 127, 'o'));
	end(&s);
}

static void forks_and_protections(void **state)
{
	const size_t n = 1024;
	struct subject s;
	const char *is;

	begin(&s, n * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	cover(&s, PROC_MAPS_SMAPS);
	round_of(&s);
	/* what the child writes is the child's */
	order(&s, FORK, s.at, 16 * PAGE, 0);
	assert_true(all(last_of(&s), 0, n, 'o'));
	/* copied on write afterwards */
	order(&s, WRITE, s.at + 2 * PAGE, PAGE, 0x22);
	order(&s, PROTECT, s.at, 8 * PAGE, 0);
	is = last_of(&s);
	assert_memory_equal(is, "oowooooo", 8);
	order(&s, WRITE, s.at + 5 * PAGE, PAGE, 0x22);
	assert_memory_equal(last_of(&s), "oowoowoo", 8);
	/* cut into mappings: areas are wider than what they were registered for */
	order(&s, SPLIT, s.at + 600 * PAGE, 10 * PAGE, 0);
	assert_true(all(last_of(&s), 6, n, 'o'));
	cover(&s, PROC_MAPS_SMAPS);
	is = round_of(&s);
	assert_memory_equal(is, "..o..o..", 8);
	assert_true(all(is, 8, n, '.'));
	assert_true(all(last_of(&s), 0, n, 'o'));
	end(&s);
}

/* Writes that are not the program's own instructions. */
static void kernel_writes(void **state)
{
	struct error err = ERROR_INIT;
	struct task_tree tree;
	struct subject s;
	char data[64] = "data";

	begin(&s, 64 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	cover(&s, PROC_MAPS_SMAPS);
	round_of(&s);
	assert_int_equal(write(s.fd, data, sizeof(data)), sizeof(data));
	order(&s, READ_INTO, s.at + PAGE, sizeof(data), 0);
	assert_int_equal(s.v.page->counters[4], sizeof(data));
	victim_must(process_vm_write(s.v.pid, (uintptr_t)s.at + 3 * PAGE, data, sizeof(data), &err),
		    &err);
	victim_stop(&test_op, &s.v, 1, &tree);
	victim_must(task_write(tree.tasks[0], (uintptr_t)s.at + 5 * PAGE, data, sizeof(data), &err),
		    &err);
	assert_memory_equal(last_of(&s), "owowowoo", 8);
	victim_resume(&tree);
	assert_memory_equal(last_of(&s), "owowowoo", 8);
	assert_true(all(last_of(&s), 6, 64, 'o'));
	end(&s);
}

static void other_programs_and_none(void **state)
{
	struct error err = ERROR_INIT;
	struct arena scratch = ARENA_INIT;
	struct proc_maps maps;
	struct picture *p;
	struct subject s;
	int status;

	begin(&s, 4 << 20, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	cover(&s, PROC_MAPS_SMAPS);
	round_of(&s);
	s.v.page->counters[0] = EXECUTE;
	for (int i = 0; i < 10000 && count_flag(s.v.pid, "/sleep") == 0; i++)
		usleep(1000);
	p = blank(&s);
	assert_int_equal(track_round(s.track, draw, p, &err), -ESRCH);
	error_clear(&err);
	assert_true(all(last_of(&s), 0, s.size / PAGE, '.'));
	/* what it has now was never reported */
	victim_must(proc_maps_read(s.proc_fd, PROC_MAPS_ONLY, &scratch, &maps, &err), &err);
	for (size_t i = 0; i < maps.n_vmas; i++) {
		if (maps.vmas[i].kind != PROC_VMA_STACK)
			continue;
		s.at = (char *)(uintptr_t)maps.vmas[i].start;
		s.size = maps.vmas[i].end - maps.vmas[i].start;
	}
	arena_deinit(&scratch);
	assert_null(strchr(last_of(&s), 'o'));
	assert_non_null(strchr(last_of(&s), 'w'));

	kill(s.v.pid, SIGKILL);
	assert_int_equal(waitpid(s.v.pid, &status, 0), s.v.pid);
	p = blank(&s);
	assert_true(track_last(s.track, &(struct page_run){ 0x10000, 0x20000, 0 }, 1, draw, p,
			       &err) < 0);
	error_clear(&err);
	track_close(&s.track);
	assert_int_equal(track_open(&test_op, TRACK_UFFD_WP, s.v.pid, s.proc_fd, &s.track, &err),
			 -ESRCH);
	close(s.proc_fd);
	close(s.fd);
	munmap(s.v.page, sizeof(*s.v.page));
}

static void zero_pages_and_holes(void **state)
{
	struct subject s;
	char *at = reserve(1UL << 30);
	const char *is;

	/* only read: the zero page, which is no data */
	assert_ptr_equal(mmap(at, 4 << 20, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 at);
	madvise(at, 4 << 20, MADV_NOHUGEPAGE);
	begin_in(&s, at, 4 << 20, true);
	cover(&s, PROC_MAPS_ONLY);
	assert_true(all(round_of(&s), 0, 1024, '.'));
	assert_true(all(last_of(&s), 0, 1024, '.'));
	order(&s, WRITE, s.at + PAGE, PAGE, 1);
	is = last_of(&s);
	assert_true(is[1] == 'w' && is[0] == '.' && all(is, 2, 1024, '.'));
	assert_true(round_of(&s)[1] == 'o');
	is = last_of(&s);
	assert_true(is[1] == 'o' && is[0] == '.' && all(is, 2, 1024, '.'));
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(probing),
		cmocka_unit_test(rounds_and_last),
		cmocka_unit_test(mapped_anew),
		cmocka_unit_test(heap_grows),
		cmocka_unit_test(forks_and_protections),
		cmocka_unit_test(kernel_writes),
		cmocka_unit_test(other_programs_and_none),
		cmocka_unit_test(zero_pages_and_holes),
	};

	test_op = OP_INIT;
	victim_may_trace();
	if (track_probe() != TRACK_UFFD_WP) {
		fprintf(stderr,
			"SKIP: this kernel has no asynchronous userfaultfd write protection\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
