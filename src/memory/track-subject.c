// SPDX-License-Identifier: Apache-2.0
/*
 * track-subject: see track-subject.h.
 */
#include "memory/track-subject.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "base/fd.h"
#include "kernel/proc.h"

struct setup {
	char *at;
	size_t size;
	int fd;
	bool reads; /* only touch by reading */
};

/* The descriptor stays open as long as it lives. */
static void register_own(struct victim_page *page, char *at, size_t size)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* user mode only */);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { { (uintptr_t)at, size }, UFFDIO_REGISTER_MODE_MISSING, 0 };

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0 || ioctl(fd, UFFDIO_REGISTER, &reg) < 0)
		victim_say(page, "userfaultfd");
}

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
	case ADVISE:
		page->counters[4] = (unsigned long)madvise(at, size, (int)page->counters[3]);
		break;
	case GUARD_OWN:
		register_own(page, at, size);
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

void subject_order(struct subject *s, enum order what, const void *at, size_t size,
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
void subject_begin_in(struct op *op, struct subject *s, char *at, size_t size, bool reads)
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
	victim_must(track_open(op, TRACK_UFFD_WP, s->v.pid, s->proc_fd, &s->track, &err), &err);
}

/* With a page that nobody maps on either side, so that nothing merges with it. */
char *subject_reserve(size_t size)
{
	char *at = mmap(NULL, size + 2 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *aligned = (char *)(((uintptr_t)at + PAGE + HUGE - 1) & ~(HUGE - 1));

	assert_true(at != MAP_FAILED);
	return aligned;
}

void subject_begin(struct op *op, struct subject *s, size_t size, int flags, int fd)
{
	char *at = subject_reserve(size);

	assert_ptr_equal(mmap(at, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0), at);
	subject_begin_in(op, s, at, size, false);
	s->categories = flags & MAP_SHARED ? TRACK_SHARED : 0;
}

void subject_cover(struct subject *s, enum proc_maps_detail detail)
{
	struct arena scratch = ARENA_INIT;
	struct error err = ERROR_INIT;
	struct proc_maps maps;

	victim_must(proc_maps_read(s->proc_fd, detail, &scratch, &maps, &err), &err);
	victim_must(track_cover(s->track, &maps, &err), &err);
	arena_deinit(&scratch);
}

size_t subject_smaps(pid_t pid, const char *flag)
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

void subject_end(struct subject *s)
{
	struct error err = ERROR_INIT;

	track_close(&s->track);
	assert_null(s->track);
	assert_int_equal(subject_smaps(s->v.pid, " uw"), 0);
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
const char *subject_round(struct subject *s)
{
	struct picture *p = blank(s);
	struct error err = ERROR_INIT;

	victim_must(track_round(s->track, draw, p, &err), &err);
	return p->letters;
}

const char *subject_last(struct subject *s)
{
	struct picture *p = blank(s);
	struct error err = ERROR_INIT;
	struct page_run range = { (uintptr_t)s->at, (uintptr_t)s->at + s->size, s->categories };

	victim_must(track_last(s->track, &range, 1, draw, p, &err), &err);
	return p->letters;
}

bool subject_all(const char *letters, size_t from, size_t to, char letter)
{
	for (size_t i = from; i < to; i++)
		if (letters[i] != letter)
			return false;
	return true;
}
