// SPDX-License-Identifier: Apache-2.0
/*
 * test-track-more: kinds of memory other than private anonymous pages, other users of userfaultfd,
 * and what must not be left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "base/fd.h"
#include "kernel/proc.h"
#include "memory/track-subject.h"

static struct op test_op;

static size_t count_mappings(pid_t pid)
{
	_cleanup_free_ char *maps = victim_maps(pid);
	size_t n = 0;

	for (const char *p = maps; *p; p++)
		n += *p == '\n';
	return n;
}

/* Pages that nobody has mapped yet, and pages that were written and let go, count as written. */
static void shared_memory(void **state)
{
	const size_t n = 2048; /* 4 page tables */
	const int flags[] = { MAP_SHARED | MAP_ANONYMOUS, MAP_SHARED };

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		_cleanup_close_ int fd = i ? memfd_create("track", MFD_CLOEXEC) : -1;
		struct subject s;
		const char *is;

		if (i)
			assert_int_equal(ftruncate(fd, (off_t)(n * PAGE)), 0);
		subject_begin(&test_op, &s, n * PAGE, flags[i], fd);
		assert_true(subject_all(subject_last(&s), 0, n, 'w'));
		subject_order(&s, DROP, s.at, n * PAGE, 0);
		subject_cover(&s, PROC_MAPS_SMAPS);
		assert_true(subject_all(subject_round(&s), 0, n, 'o'));
		assert_true(subject_all(subject_last(&s), 0, n, 'o'));

		subject_order(&s, WRITE, s.at + 2 * PAGE, 2 * PAGE, 1);
		subject_order(&s, DROP, s.at + 3 * PAGE, 2 * PAGE, 0);
		assert_memory_equal(subject_last(&s), "oowwoooo", 8);
		is = subject_round(&s);
		assert_memory_equal(is, "..oo....", 8);
		assert_true(subject_all(is, 8, n, '.'));
		assert_true(subject_all(subject_last(&s), 0, n, 'o'));
		assert_true(subject_all(subject_round(&s), 0, n, '.'));

		/* a whole page table of it */
		subject_order(&s, WRITE, s.at, HUGE, 2);
		subject_order(&s, DROP, s.at, HUGE, 0);
		is = subject_last(&s);
		assert_true(subject_all(is, 0, 512, 'w') && subject_all(is, 512, n, 'o'));
		is = subject_round(&s);
		assert_true(subject_all(is, 0, 512, 'o') && subject_all(is, 512, n, '.'));
		assert_true(subject_all(subject_last(&s), 0, n, 'o'));

		/* the test has it mapped as well: what it writes is for its own tracker to see */
		s.at[0] = 3;
		assert_true(subject_all(subject_last(&s), 0, n, 'o'));
		subject_end(&s);
		munmap(s.at, n * PAGE);
	}
}

static void pages_of_files(void **state)
{
	const size_t n = 1024;
	char path[] = "/tmp/test-track-XXXXXX";
	_cleanup_close_ int fd = mkstemp(path);
	struct subject s;
	const char *is;
	char *at;

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(ftruncate(fd, (off_t)(n * PAGE)), 0);
	at = subject_reserve(n * PAGE);
	assert_ptr_equal(mmap(at, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0),
			 at);
	subject_begin_in(&test_op, &s, at, n * PAGE, true);
	s.categories = TRACK_OWN_PAGES;
	assert_true(subject_all(subject_last(&s), 0, n, '.'));
	subject_order(&s, WRITE, s.at, n / 2 * PAGE, 1);
	subject_cover(&s, PROC_MAPS_SMAPS);
	is = subject_round(&s);
	assert_true(subject_all(is, 0, n / 2, 'o') && subject_all(is, n / 2, n, '.'));
	is = subject_last(&s);
	assert_true(subject_all(is, 0, n / 2, 'o') && subject_all(is, n / 2, n, '.'));
	/* one of the file's pages becomes its own, one of its own is the file's again */
	subject_order(&s, WRITE, s.at + n / 2 * PAGE, PAGE, 1);
	subject_order(&s, WRITE, s.at + PAGE, PAGE, 1);
	subject_order(&s, DROP, s.at + 3 * PAGE, PAGE, 0);
	is = subject_last(&s);
	assert_true(is[0] == 'o' && is[1] == 'w' && is[2] == 'o' && is[n / 2] == 'w');
	/* its mark is left; whoever reads it then gets the file's page */
	assert_true(is[3] == '.' || is[3] == 'w');
	subject_order(&s, WRITE, s.at + 3 * PAGE, PAGE, 1);
	assert_true(subject_last(&s)[3] == 'w');
	is = subject_round(&s);
	assert_true(is[1] == 'o' && is[3] == 'o' && is[n / 2] == 'o' && is[0] == '.');
	assert_true(subject_all(subject_last(&s), 0, n / 2 + 1, 'o'));
	subject_end(&s);
}

/* What is huge stays huge until it is written; then only the page written counts. */
static void huge_pages(void **state)
{
	const size_t n = 2048;
	struct subject s;
	const char *is;
	char *at = subject_reserve(n * PAGE);

	assert_ptr_equal(mmap(at, n * PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 at);
	if (madvise(at, n * PAGE, MADV_HUGEPAGE) < 0)
		skip();
	subject_begin_in(&test_op, &s, at, n * PAGE, false);
	subject_cover(&s, PROC_MAPS_SMAPS);
	assert_true(subject_all(subject_round(&s), 0, n, 'o'));
	assert_true(subject_all(subject_last(&s), 0, n, 'o'));
	subject_order(&s, WRITE, s.at + 700 * PAGE, PAGE, 1);
	is = subject_last(&s);
	assert_true(is[700] == 'w' && subject_all(is, 0, 700, 'o') && subject_all(is, 701, n, 'o'));
	is = subject_round(&s);
	assert_true(is[700] == 'o' && subject_all(is, 0, 700, '.') && subject_all(is, 701, n, '.'));
	subject_order(&s, DROP, s.at, HUGE, 0);
	is = subject_last(&s);
	assert_true(subject_all(is, 0, 512, '.') && subject_all(is, 512, n, 'o'));
	subject_end(&s);
}

static void hugetlb(void **state)
{
	const int flags[] = { MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
			      MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB };
	struct subject s;

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		char *at = subject_reserve(4 * HUGE);

		if (mmap(at, 4 * HUGE, PROT_READ | PROT_WRITE, flags[i] | MAP_FIXED, -1, 0) != at) {
			print_message("no pages for hugetlb here (vm.nr_hugepages)\n");
			skip();
		}
		subject_begin_in(&test_op, &s, at, 4 * HUGE, false);
		s.categories = i ? TRACK_SHARED : 0;
		subject_cover(&s, PROC_MAPS_SMAPS);
		assert_true(subject_all(subject_round(&s), 0, 2048, 'o'));
		assert_true(subject_all(subject_last(&s), 0, 2048, 'o'));
		subject_order(&s, WRITE, s.at + HUGE, PAGE, 1);
		assert_true(subject_all(subject_last(&s), 512, 1024, 'w'));
		assert_true(subject_all(subject_last(&s), 0, 512, 'o'));
		assert_true(subject_all(subject_last(&s), 1024, 2048, 'o'));
		assert_true(subject_all(subject_round(&s), 512, 1024, 'o'));
		assert_true(subject_all(subject_last(&s), 0, 2048, 'o'));
		subject_end(&s);
		munmap(s.at, 4 * HUGE);
	}
}

static void guard_regions(void **state)
{
	const size_t n = 1024;
	struct subject s;
	const char *is;

	subject_begin(&test_op, &s, n * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	subject_order(&s, ADVISE, s.at + 4 * PAGE, 2 * PAGE, 102 /* MADV_GUARD_INSTALL */);
	if (s.v.page->counters[4] == 0) {
		subject_cover(&s, PROC_MAPS_SMAPS);
		assert_memory_equal(subject_round(&s), "oooo..oo", 8);
		assert_memory_equal(subject_last(&s), "oooo..oo", 8);
		subject_order(&s, ADVISE, s.at + 2 * PAGE, PAGE, 102);
		is = subject_last(&s);
		assert_memory_equal(is, "oo.o..oo", 8);
		assert_true(subject_all(is, 8, n, 'o'));
	}
	subject_end(&s);
}

/* What the process has registered itself is left alone, and is for the stop. */
static void its_own_userfaultfd(void **state)
{
	const size_t n = 1024;
	struct subject s;
	const char *is;

	subject_begin(&test_op, &s, n * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	subject_order(&s, GUARD_OWN, s.at, 512 * PAGE, 0);
	assert_int_equal(subject_smaps(s.v.pid, " um"), 1);
	for (int detail = PROC_MAPS_ONLY; detail <= PROC_MAPS_SMAPS; detail++) {
		subject_cover(&s, detail);
		subject_round(&s);
		is = subject_last(&s);
		assert_true(subject_all(is, 0, 512, 'w') && subject_all(is, 512, n, 'o'));
		assert_int_equal(subject_smaps(s.v.pid, " um"), 1);
	}
	track_close(&s.track);
	assert_int_equal(subject_smaps(s.v.pid, " um"), 1);
	subject_end(&s);
}

/* Mappings that were one are one again. */
static void nothing_is_left(void **state)
{
	const size_t size = 64 << 20;
	struct error err = ERROR_INIT;
	struct subject s;
	size_t before;

	subject_begin(&test_op, &s, size, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	before = count_mappings(s.v.pid);
	for (int i = 0; i < 3; i++) {
		subject_cover(&s, PROC_MAPS_SMAPS);
		subject_round(&s);
		assert_true(subject_smaps(s.v.pid, " uw") > 0);
		assert_int_equal(count_mappings(s.v.pid), before);
		if (i)
			subject_order(&s, WRITE, s.at + (20 << 20), 10 << 20, 1);
		track_close(&s.track);
		assert_int_equal(subject_smaps(s.v.pid, " uw"), 0);
		assert_int_equal(count_mappings(s.v.pid), before);
		subject_order(&s, WRITE, s.at, size, 2);
		victim_must(track_open(&test_op, TRACK_UFFD_WP, s.v.pid, s.proc_fd, &s.track, &err),
			    &err);
	}
	subject_end(&s);
}

static int ignore(const struct page_run *run, void *arg, struct error *err)
{
	return 0;
}

static void track_for_ever(struct subject *s)
{
	struct error err = ERROR_INIT;

	for (;;) {
		victim_must(
			track_open(&test_op, TRACK_UFFD_WP, s->v.pid, s->proc_fd, &s->track, &err),
			&err);
		subject_cover(s, PROC_MAPS_SMAPS);
		for (int i = 0; i < 3; i++)
			victim_must(track_round(s->track, ignore, NULL, &err), &err);
		track_close(&s->track);
	}
}

/* Whenever the tracker dies, nothing is left: no registration, no descriptor, no mapping. */
static void killed(void **state)
{
	struct subject s;
	size_t before;
	char path[64];
	int status;

	subject_begin(&test_op, &s, 16 << 20, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	track_close(&s.track);
	before = count_mappings(s.v.pid);
	for (unsigned i = 0; i < 50; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			track_for_ever(&s);
		}
		usleep(200 + i * i * 7);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		/* It has gone home when it obeys again. */
		subject_order(&s, WRITE, s.at, 1 << 20, i);
		assert_int_equal(subject_smaps(s.v.pid, " uw"), 0);
		assert_int_equal(count_mappings(s.v.pid), before);
		for (int fd = 3; fd < 64; fd++) {
			char target[64] = "";

			snprintf(path, sizeof(path), "/proc/%d/fd/%d", s.v.pid, fd);
			if (readlink(path, target, sizeof(target) - 1) > 0)
				assert_null(strstr(target, "userfaultfd"));
		}
	}
	subject_end(&s);
}

static void waits(struct victim_page *page, void *arg)
{
	struct epoll_event event;
	struct timespec t = { 1, 0 };
	uint64_t before;
	int how = *(int *)arg, r;

	for (;;) {
		before = clock_ns();
		page->ready = 1;
		if (how == 0)
			r = nanosleep(&t, NULL);
		else if (how == 1)
			r = epoll_wait(epoll_create1(0), &event, 1, 1000);
		else
			r = poll(NULL, 0, 1000);
		page->took_ns = clock_ns() - before;
		if (r)
			victim_say(page, "a call was interrupted");
		if (page->took_ns < 990000000)
			victim_say(page, "a call returned early");
		page->progress++;
	}
}

static void *spin(void *arg)
{
	struct victim_page *page = arg;

	for (;;)
		page->counters[0]++;
	return NULL;
}

static void waits_among_threads(struct victim_page *page, void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, spin, page))
		victim_say(page, "no thread");
	waits(page, arg);
}

/* The thread that is visited does not notice. */
static void calls_go_on(void **state)
{
	struct error err = ERROR_INIT;

	for (int how = 0; how < 4; how++) {
		_cleanup_close_ int proc_fd = -1;
		struct victim v;

		victim_start(&v, how == 3 ? waits_among_threads : waits, &how);
		victim_must(proc_open(v.pid, &proc_fd, &err), &err);
		for (int i = 0; i < 4; i++) {
			struct track *t = NULL;

			usleep(100000);
			victim_must(track_open(&test_op, TRACK_UFFD_WP, v.pid, proc_fd, &t, &err),
				    &err);
			assert_true(track_stood_ns(t) > 0);
			track_close(&t);
		}
		assert_true(victim_moves(&v));
		victim_end(&v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shared_memory),   cmocka_unit_test(pages_of_files),
		cmocka_unit_test(huge_pages),	   cmocka_unit_test(hugetlb),
		cmocka_unit_test(guard_regions),   cmocka_unit_test(its_own_userfaultfd),
		cmocka_unit_test(nothing_is_left), cmocka_unit_test(killed),
		cmocka_unit_test(calls_go_on),
	};

	test_op = OP_INIT;
	victim_may_trace();
	if (track_probe() != TRACK_UFFD_WP) {
		fprintf(stderr, "SKIP: no asynchronous userfaultfd write protection here\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
