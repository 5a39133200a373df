// SPDX-License-Identifier: Apache-2.0
/*
 * test-track-speed: what tracking costs the process that is tracked. Prints the numbers; fails only
 * where something takes a hundred times as long as it has to, as machines are busy.
 *
 * test-track-speed [MIB [ROUNDS]], 256 and 5 by default.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "kernel/proc.h"
#include "memory/track.h"
#include "task/victim.h"

#define PAGE   AMBER_PAGE_SIZE
#define HUGE   (2UL << 20)
#define MAPPED (16 * PAGE)

/* microseconds */
#define STOOD_MAX 500000
#define LAST_MAX  500000

static struct op test_op;
static size_t size_mib = 256;
static int rounds = 5;

struct memory {
	char *at;
	size_t size;
	bool busy; /* a thread that maps, touches and unmaps, and looks at the clock */
};

/* The longest turn of a loop that needs the mmap lock for writing, and its page faults. */
static void *mapper(void *arg)
{
	struct victim_page *page = arg;

	for (;;) {
		uint64_t before = clock_ns(), took;
		char *at = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				-1, 0);

		at[0] = 1;
		munmap(at, MAPPED);
		took = clock_ns() - before;
		if (took > page->counters[0])
			page->counters[0] = took;
		page->progress++;
	}
	return NULL;
}

static void holder(struct victim_page *page, void *arg)
{
	const struct memory *m = arg;
	pthread_t thread;

	madvise(m->at, m->size, MADV_NOHUGEPAGE);
	memset(m->at, 1, m->size);
	if (m->busy && pthread_create(&thread, NULL, mapper, page))
		victim_say(page, "no thread");
	page->ready = 1;
	for (;;)
		pause();
}

static int count(const struct page_run *run, void *arg, struct error *err)
{
	((uint64_t *)arg)[run->categories & PAGEMAP_WRITTEN ? 1 : 0] +=
		(run->end - run->start) / PAGE;
	return 0;
}

struct numbers {
	uint64_t stood, arm, round, last, close, stall_alone, stall_open, stall_arm, stall_close;
};

static uint64_t stall(struct victim *v)
{
	return atomic_exchange(&v->page->counters[0], 0) / 1000;
}

static void cover(struct track *t, int proc_fd)
{
	struct arena scratch = ARENA_INIT;
	struct error err = ERROR_INIT;
	struct proc_maps maps;

	victim_must(proc_maps_read(proc_fd, PROC_MAPS_ONLY, &scratch, &maps, &err), &err);
	victim_must(track_cover(t, &maps, &err), &err);
	arena_deinit(&scratch);
}

static void measure_once(struct victim *v, const struct memory *m, int proc_fd, struct numbers *n)
{
	struct page_run range = { (uintptr_t)m->at, (uintptr_t)m->at + m->size, 0 };
	uint64_t armed[2] = { 0 }, again[2] = { 0 }, last[2] = { 0 };
	struct error err = ERROR_INIT;
	struct task_tree tree;
	struct track *t;
	uint64_t at;

	stall(v);
	usleep(100000);
	n->stall_alone = stall(v);
	victim_must(track_open(&test_op, TRACK_UFFD_WP, v->pid, proc_fd, &t, &err), &err);
	n->stood = track_stood_ns(t) / 1000;
	n->stall_open = stall(v);
	at = clock_ns();
	cover(t, proc_fd);
	victim_must(track_round(t, count, armed, &err), &err);
	n->arm = (clock_ns() - at) / 1000;
	n->stall_arm = stall(v);
	at = clock_ns();
	victim_must(track_round(t, count, again, &err), &err);
	n->round = (clock_ns() - at) / 1000;

	victim_stop(&test_op, v, 1, &tree);
	at = clock_ns();
	victim_must(track_last(t, &range, 1, count, last, &err), &err);
	n->last = (clock_ns() - at) / 1000;
	victim_resume(&tree);
	assert_true(armed[0] >= m->size / PAGE);
	assert_true(last[0] == m->size / PAGE && last[1] == 0);

	usleep(20000);
	stall(v);
	at = clock_ns();
	track_close(&t);
	n->close = (clock_ns() - at) / 1000;
	n->stall_close = stall(v);
}

static void measure(bool busy)
{
	struct memory m = { .size = size_mib << 20, .busy = busy };
	struct numbers n, best = { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX };
	struct error err = ERROR_INIT;
	struct victim v;
	int proc_fd;
	char *map;

	map = mmap(NULL, m.size + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(map != MAP_FAILED);
	m.at = (char *)(((uintptr_t)map + HUGE - 1) & ~(HUGE - 1));
	victim_start(&v, holder, &m);
	victim_must(proc_open(v.pid, &proc_fd, &err), &err);
	printf("%zu MiB, %s (microseconds)\n", size_mib,
	       busy ? "with a thread that maps and unmaps" : "idle");
	for (int i = 0; i < rounds; i++) {
		measure_once(&v, &m, proc_fd, &n);
		printf("  stood %llu  arm %llu  round %llu  last %llu  close %llu",
		       (unsigned long long)n.stood, (unsigned long long)n.arm,
		       (unsigned long long)n.round, (unsigned long long)n.last,
		       (unsigned long long)n.close);
		if (busy)
			printf("  longest turn: alone %llu  open %llu  arm %llu  close %llu",
			       (unsigned long long)n.stall_alone, (unsigned long long)n.stall_open,
			       (unsigned long long)n.stall_arm, (unsigned long long)n.stall_close);
		printf("\n");
		best.stood = MIN(best.stood, n.stood);
		best.last = MIN(best.last, n.last);
	}
	/* A machine may be as busy as it likes; a walk of each page by itself would show. */
	assert_true(best.stood < STOOD_MAX);
	assert_true(best.last < LAST_MAX);
	close(proc_fd);
	victim_end(&v);
	munmap(map, m.size + HUGE);
}

static void idle(void **state)
{
	measure(false);
}

static void with_a_mapper(void **state)
{
	measure(true);
}

/* What a small process with many mappings costs: all that is private of it. */
static void many_mappings(void **state)
{
	struct memory m = { .size = 4 << 20 };
	struct page_run ranges[512];
	struct arena scratch = ARENA_INIT;
	struct error err = ERROR_INIT;
	struct proc_maps maps;
	uint64_t pages[2], at, best = UINT64_MAX;
	struct victim v;
	struct track *t;
	size_t n = 0;
	int proc_fd;

	m.at = mmap(NULL, m.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(m.at != MAP_FAILED);
	for (size_t i = 0; i < 16; i++)
		mprotect(m.at + i * 32 * PAGE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	victim_start(&v, holder, &m);
	victim_must(proc_open(v.pid, &proc_fd, &err), &err);
	victim_must(track_open(&test_op, TRACK_UFFD_WP, v.pid, proc_fd, &t, &err), &err);
	cover(t, proc_fd);
	victim_must(track_round(t, count, pages, &err), &err);
	victim_must(proc_maps_read(proc_fd, PROC_MAPS_ONLY, &scratch, &maps, &err), &err);
	for (size_t i = 0; i < maps.n_vmas && n < ARRAY_SIZE(ranges); i++) {
		const struct proc_vma *vma = &maps.vmas[i];

		if (!vma->shared && vma->kind <= PROC_VMA_STACK)
			ranges[n++] =
				(struct page_run){ vma->start, vma->end,
						   vma->kind == PROC_VMA_FILE ? TRACK_OWN_PAGES
									      : 0 };
	}
	for (int i = 0; i < 4 * rounds; i++) {
		memset(pages, 0, sizeof(pages));
		at = clock_ns();
		victim_must(track_last(t, ranges, n, count, pages, &err), &err);
		best = MIN(best, (clock_ns() - at) / 1000);
	}
	printf("%zu mappings, %llu pages: last %llu microseconds\n", n,
	       (unsigned long long)(pages[0] + pages[1]), (unsigned long long)best);
	assert_true(best < LAST_MAX);
	track_close(&t);
	arena_deinit(&scratch);
	close(proc_fd);
	victim_end(&v);
	munmap(m.at, m.size);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle),
		cmocka_unit_test(with_a_mapper),
		cmocka_unit_test(many_mappings),
	};

	if (argc > 1)
		size_mib = strtoul(argv[1], NULL, 10);
	if (argc > 2)
		rounds = atoi(argv[2]);
	test_op = OP_INIT;
	victim_may_trace();
	if (track_probe() != TRACK_UFFD_WP) {
		fprintf(stderr, "SKIP: no asynchronous userfaultfd write protection here\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
