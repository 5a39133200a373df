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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(probing),
		cmocka_unit_test(rounds_and_last),
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
