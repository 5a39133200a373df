// SPDX-License-Identifier: Apache-2.0
/*
 * test-page-store: whatever rounds copy and lose, in the end the file holds every page as it was at
 * the stop, in order. Random histories are played against a model; then the errors.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "memory/page-slots.h"
#include "memory/page-store.h"

#define NONE   UINT64_MAX
#define PAGE   ((size_t)AMBER_PAGE_SIZE)
#define SPACES 5
#define PAGES  500 /* of each space */
#define ROUNDS 6
#define SEEDS  120

enum { ABSENT, CLEAN, DIRTY };

struct model_space {
	unsigned char *memory; /* how we write it */
	uint64_t base;	       /* how the store names it: address, or 0 for shared memory */
	int fd;
	int state[PAGES];
	struct page_space *pages;
	struct page_run runs[PAGES];
	uint64_t offset, n_pages; /* as placed */
	bool placed;
};

struct model {
	struct model_space spaces[SPACES];
	struct page_store *store;
	struct op op;
	int file;
	uint64_t next_offset, versions;
	unsigned random;
};

static unsigned dice(struct model *m, unsigned n)
{
	m->random = m->random * 1664525 + 1013904223;
	return (m->random >> 8) % n;
}

static void scribble(struct model *m, struct model_space *space, size_t page)
{
	uint64_t *words = (uint64_t *)(void *)(space->memory + page * PAGE);

	m->versions++;
	for (size_t i = 0; i < PAGE / sizeof(*words); i += 64)
		words[i] = m->versions;
	words[511] = page;
}

static void model_init(struct model *m, unsigned seed, uint64_t capacity)
{
	struct page_source source;
	struct error err = ERROR_INIT;
	size_t i;

	*m = (struct model){ .op = OP_INIT, .random = seed };
	m->file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	assert_true(m->file >= 0);
	m->next_offset = dice(m, 3) * 1000;
	assert_int_equal(page_store_new(&m->op, m->file, m->next_offset, capacity, &m->store, &err),
			 0);
	for (i = 0; i < SPACES; i++) {
		struct model_space *space = &m->spaces[i];

		space->fd = i % 2 ? memfd_create("model", MFD_CLOEXEC) : -1;
		if (space->fd >= 0)
			assert_int_equal(ftruncate(space->fd, PAGES * PAGE), 0);
		space->memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
				     space->fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED,
				     space->fd, 0);
		assert_ptr_not_equal(space->memory, MAP_FAILED);
		space->base = space->fd < 0 ? (uintptr_t)space->memory : 0;
		source = (struct page_source){ space->fd < 0 ? getpid() : 0, -1, space->fd };
		space->pages = page_store_space(m->store, &source);
		assert_non_null(space->pages);
	}
}

static void model_deinit(struct model *m)
{
	size_t i;

	page_store_free(&m->store);
	assert_null(m->store);
	for (i = 0; i < SPACES; i++) {
		munmap(m->spaces[i].memory, PAGES * PAGE);
		if (m->spaces[i].fd >= 0)
			close(m->spaces[i].fd);
	}
	close(m->file);
}

/* The container works: pages come, go and change; often whole stretches of them. */
static void live(struct model *m, struct model_space *space)
{
	unsigned turns = dice(m, 30), at, n;
	int what;

	while (turns-- > 0) {
		at = dice(m, PAGES);
		n = 1 + dice(m, dice(m, 4) ? 3 : 400);
		what = (int)dice(m, 5);
		for (; n > 0 && at < PAGES; n--, at++) {
			if (what == 0) {
				space->state[at] = ABSENT;
			} else if (what < 3 || space->state[at] != ABSENT) {
				space->state[at] = DIRTY;
				scribble(m, space, at);
			}
		}
	}
}

/* Runs of pages; those that are clean are in it only if they are wanted. */
static size_t make_runs(struct model_space *space, bool clean)
{
	size_t i, n = 0;
	uint64_t at, categories;

	for (i = 0; i < PAGES; i++) {
		if (space->state[i] == ABSENT || (space->state[i] == CLEAN && !clean))
			continue;
		at = space->base + i * PAGE;
		categories = space->state[i] == DIRTY ? PAGEMAP_WRITTEN : 0;
		if (n && space->runs[n - 1].end == at &&
		    space->runs[n - 1].categories == categories)
			space->runs[n - 1].end += PAGE;
		else
			space->runs[n++] = (struct page_run){ at, at + PAGE, categories };
	}
	return n;
}

/* One round: in one call, or in several, and not always in order. */
static void copy_round(struct model *m, struct model_space *space)
{
	size_t n = make_runs(space, false), i, middle = n ? dice(m, (unsigned)n) : 0;
	struct error err = ERROR_INIT;

	if (dice(m, 4)) {
		assert_int_equal(page_space_copy(space->pages, space->runs, n, &err), 0);
	} else {
		assert_int_equal(
			page_space_copy(space->pages, space->runs + middle, n - middle, &err), 0);
		assert_int_equal(page_space_copy(space->pages, space->runs, middle, &err), 0);
	}
	for (i = 0; i < PAGES; i++)
		if (space->state[i] == DIRTY)
			space->state[i] = CLEAN;
}

/* A guess at what will be there: some of it right, some wrong. */
static void expect(struct model *m, struct model_space *space)
{
	struct error err = ERROR_INIT;
	uint64_t page, n;
	size_t runs = 0;

	for (page = dice(m, 50); page < PAGES; page += n + dice(m, 100)) {
		n = MIN((uint64_t)(1 + dice(m, 90)), PAGES - page);
		space->runs[runs++] = (struct page_run){ space->base + page * PAGE,
							 space->base + (page + n) * PAGE, 0 };
	}
	assert_int_equal(page_space_expect(space->pages, space->runs, runs, &err), 0);
}

static int place(void *arg, struct page_space *pages, uint64_t n_pages, uint64_t *ret_offset,
		 struct error *err)
{
	struct model *m = arg;
	size_t i;

	(void)err;
	for (i = 0; i < SPACES; i++) {
		if (m->spaces[i].pages != pages)
			continue;
		assert_false(m->spaces[i].placed);
		m->spaces[i].placed = true;
		m->spaces[i].n_pages = n_pages;
		/* a header as the archive makes it, or a longer one */
		m->next_offset = PAGE_ALIGN_UP(m->next_offset + 1536) + dice(m, 8) / 7 * PAGE;
		*ret_offset = m->spaces[i].offset = m->next_offset;
		m->next_offset += n_pages * PAGE;
		return 0;
	}
	fail_msg("a space that nobody made");
	return -EINVAL;
}

static void compare(const struct model *m, const struct model_space *space,
		    const unsigned char *expected, unsigned seed)
{
	unsigned char page[4096];
	struct error err = ERROR_INIT;
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < PAGES; i++) {
		if (space->state[i] == ABSENT)
			continue;
		assert_int_equal(
			fd_pread_all(m->file, page, PAGE, (off_t)(space->offset + n * PAGE), &err),
			0);
		if (memcmp(page, expected + i * PAGE, PAGE) != 0)
			fail_msg("seed %u: space %td page %zu differs", seed, space - m->spaces, i);
		n++;
	}
	assert_int_equal(n, space->n_pages);
}

static uint64_t stop(struct model *m, bool skip_one)
{
	struct error err = ERROR_INIT;
	uint64_t hot = 0;
	size_t i;

	for (i = 0; i < SPACES; i++)
		if (!skip_one || i != 2)
			assert_int_equal(page_space_last(m->spaces[i].pages, m->spaces[i].runs,
							 make_runs(&m->spaces[i], true), &err),
					 0);
	assert_int_equal(page_store_last(m->store, &hot, &err), 0);
	return hot;
}

static void one_history(unsigned seed)
{
	static const uint64_t hot_pages[] = { 0, 7, 100, 5000 };
	static const uint64_t capacities[] = { 0, 100 * PAGE, 1 << 30 };
	_cleanup_free_ unsigned char *snapshot = malloc(SPACES * PAGES * PAGE);
	struct error err = ERROR_INIT;
	struct model m;
	size_t i, round, rounds;
	bool skip_one;

	model_init(&m, seed, capacities[seed % ARRAY_SIZE(capacities)]);
	rounds = dice(&m, ROUNDS);
	for (i = 0; i < SPACES; i++)
		if (dice(&m, 2))
			expect(&m, &m.spaces[i]);
	for (round = 0; round < rounds; round++)
		for (i = 0; i < SPACES; i++) {
			live(&m, &m.spaces[i]);
			if (dice(&m, 5))
				copy_round(&m, &m.spaces[i]);
		}
	if (seed % 5)
		assert_int_equal(page_store_ready(m.store,
						  hot_pages[dice(&m, ARRAY_SIZE(hot_pages))] * PAGE,
						  &err),
				 0);
	for (i = 0; i < SPACES; i++)
		live(&m, &m.spaces[i]);
	skip_one = dice(&m, 4) == 0;
	(void)stop(&m, skip_one);
	for (i = 0; i < SPACES; i++) { /* it runs on: nothing may be read any more */
		memcpy(snapshot + i * PAGES * PAGE, m.spaces[i].memory, PAGES * PAGE);
		memset(m.spaces[i].memory, 0xee, PAGES * PAGE);
	}
	assert_int_equal(page_store_settle(m.store, place, &m, &err), 0);
	for (i = 0; i < SPACES; i++) {
		assert_int_equal(m.spaces[i].placed, !(skip_one && i == 2));
		if (m.spaces[i].placed)
			compare(&m, &m.spaces[i], snapshot + i * PAGES * PAGE, seed);
	}
	assert_int_equal(lseek(m.file, 0, SEEK_END), m.next_offset);
	model_deinit(&m);
}

static void histories(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= SEEDS; seed++)
		one_history(seed);
}

/* An idle container: what the first round wrote stays where it is, also when there are pages before
 * it that only the stop copies. */
static void idle_moves_nothing(void **state)
{
	struct error err = ERROR_INIT;
	uint64_t before[SPACES];
	unsigned char page[4096];
	struct model m;
	size_t i, p, n;

	(void)state;
	model_init(&m, 1, SPACES * PAGES * PAGE);
	m.random = 0; /* headers of one page */
	for (i = 0; i < SPACES; i++) {
		for (p = 0; p < PAGES; p += 1 + p % 3) {
			m.spaces[i].state[p] = DIRTY;
			scribble(&m, &m.spaces[i], p);
		}
		n = make_runs(&m.spaces[i], false);
		assert_int_equal(page_space_expect(m.spaces[i].pages, m.spaces[i].runs, n, &err),
				 0);
		assert_int_equal(
			page_space_copy(m.spaces[i].pages, m.spaces[i].runs + 1, n - 1, &err), 0);
		for (p = 2; p < PAGES; p++) /* the first is not copied */
			if (m.spaces[i].state[p])
				m.spaces[i].state[p] = CLEAN;
		before[i] = (uint64_t)lseek(m.file, 0, SEEK_END);
	}
	assert_int_equal(stop(&m, false), 2 * SPACES);
	/* A mark that a moved page would wipe out. */
	memset(page, 0x77, PAGE);
	assert_int_equal(pwrite(m.file, page, PAGE, (off_t)(before[SPACES - 1] - PAGE)), PAGE);
	assert_int_equal(page_store_settle(m.store, place, &m, &err), 0);
	for (i = 0; i < SPACES; i++)
		assert_int_equal(m.spaces[i].offset + m.spaces[i].n_pages * PAGE, before[i]);
	memset(page, 0, PAGE);
	assert_int_equal(pread(m.file, page, PAGE, (off_t)(before[SPACES - 1] - PAGE)), PAGE);
	assert_int_equal(page[0], 0x77);
	model_deinit(&m);
}

/* A page behind the end of a file cannot be read by anybody; a forbidden one can, by mem. */
static void unreadable_pages(void **state)
{
	_cleanup_close_ int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int file = memfd_create("short", MFD_CLOEXEC);
	struct error err = ERROR_INIT;
	struct page_source source = { getpid(), mem, -1 };
	unsigned char got[4 * 4096];
	struct page_space *pages;
	struct page_run run;
	struct model m;
	uint64_t hot;
	char *map;

	(void)state;
	model_init(&m, 1, 1 << 20);
	m.random = 0;
	map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(map, 'a', 4 * PAGE);
	assert_ptr_equal(mmap(map + PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0),
			 map + PAGE);
	assert_int_equal(mprotect(map + 2 * PAGE, PAGE, PROT_NONE), 0);
	pages = page_store_space(m.store, &source);
	run = (struct page_run){ (uintptr_t)map, (uintptr_t)map + 4 * PAGE, 0 };
	assert_int_equal(page_space_copy(pages, &run, 1, &err), 0);
	assert_int_equal(page_space_unreadable(pages), 0); /* the stop will know better */
	assert_int_equal(page_space_last(pages, &run, 1, &err), 0);
	assert_int_equal(page_store_last(m.store, &hot, &err), 0);
	assert_int_equal(hot, 1); /* the one that has no copy yet */
	assert_int_equal(page_space_unreadable(pages), 1);
	m.spaces[0].pages = pages;
	assert_int_equal(page_store_settle(m.store, place, &m, &err), 0);
	assert_int_equal(fd_pread_all(m.file, got, sizeof(got), (off_t)m.spaces[0].offset, &err),
			 0);
	assert_int_equal(got[0], 'a');
	assert_int_equal(got[PAGE], 0);
	assert_int_equal(got[2 * PAGE - 1], 0);
	assert_int_equal(got[2 * PAGE], 'a');
	assert_int_equal(got[4 * PAGE - 1], 'a');
	munmap(map, 4 * PAGE);
	model_deinit(&m);
}

/* A page that was copied and cannot be read in the next round is not taken for copied. */
static void a_lost_page_is_copied_again(void **state)
{
	struct error err = ERROR_INIT;
	struct model_space *space;
	struct page_run run;
	struct model m;
	uint64_t hot;

	(void)state;
	model_init(&m, 1, 1 << 20);
	space = &m.spaces[0];
	run = (struct page_run){ space->base, space->base + 3 * PAGE, 0 };
	scribble(&m, space, 0);
	scribble(&m, space, 1);
	scribble(&m, space, 2);
	assert_int_equal(page_space_copy(space->pages, &run, 1, &err), 0);
	assert_int_equal(mprotect(space->memory + PAGE, PAGE, PROT_NONE), 0);
	assert_int_equal(page_space_copy(space->pages, &run, 1, &err), 0);
	assert_int_equal(mprotect(space->memory + PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(page_space_last(space->pages, &run, 1, &err), 0);
	assert_int_equal(page_store_last(m.store, &hot, &err), 0);
	assert_int_equal(hot, 1);
	assert_int_equal(page_space_unreadable(space->pages), 0);
	model_deinit(&m);
}

static void a_dead_source(void **state)
{
	struct page_source source = { .mem_fd = -1, .shmem_fd = -1 };
	struct error err = ERROR_INIT;
	struct page_space *pages;
	struct page_run run;
	struct model m;
	uint64_t hot;

	(void)state;
	model_init(&m, 1, 1 << 20);
	source.pid = fork();
	if (source.pid == 0)
		_exit(0);
	assert_int_equal(waitpid(source.pid, NULL, 0), source.pid);
	pages = page_store_space(m.store, &source);
	run = (struct page_run){ (uintptr_t)m.spaces[0].memory,
				 (uintptr_t)m.spaces[0].memory + PAGE, 0 };
	assert_int_equal(page_space_copy(pages, &run, 1, &err), -ESRCH);
	assert_int_equal(page_space_last(pages, &run, 1, &err), 0);
	assert_int_equal(page_store_last(m.store, &hot, &err), -ESRCH);
	assert_int_equal(err.errnum, ESRCH);
	model_deinit(&m);
}

static void cancelled(void **state)
{
	volatile sig_atomic_t cancel = 0;
	struct error err = ERROR_INIT;
	struct model m;
	uint64_t hot;
	size_t i;

	(void)state;
	model_init(&m, 1, 1 << 20);
	m.op.cancel = &cancel;
	for (i = 0; i < SPACES; i++)
		live(&m, &m.spaces[i]);
	(void)stop(&m, false);
	cancel = 1;
	m.spaces[0].state[0] = DIRTY;
	assert_int_equal(page_space_copy(m.spaces[0].pages, m.spaces[0].runs,
					 make_runs(&m.spaces[0], true), &err),
			 -ECANCELED);
	assert_int_equal(page_store_last(m.store, &hot, &err), -ECANCELED);
	assert_int_equal(page_store_settle(m.store, place, &m, &err), -ECANCELED);
	model_deinit(&m);
}

/* Every step may meet the full disk: none may claim success afterwards. */
static void a_full_disk(void **state)
{
	struct rlimit before, limit;
	struct error err = ERROR_INIT;
	struct model_space *space;
	struct page_run run;
	struct model m;
	uint64_t hot;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	model_init(&m, 1, PAGES * PAGE);
	space = &m.spaces[0];
	memset(space->memory, 1, PAGES * PAGE);
	run = (struct page_run){ space->base, space->base + PAGES * PAGE, 0 };
	limit = (struct rlimit){ 50 * PAGE, before.rlim_max };

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(page_space_copy(space->pages, &run, 1, &err), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	model_deinit(&m);

	/* not enough memory in the stop: hot pages go to the file */
	model_init(&m, 1, PAGES * PAGE);
	space = &m.spaces[0];
	run = (struct page_run){ space->base, space->base + PAGES * PAGE, 0 };
	assert_int_equal(page_store_ready(m.store, 10 * PAGE, &err), 0);
	assert_int_equal(page_space_last(space->pages, &run, 1, &err), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(page_store_last(m.store, &hot, &err), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);

	assert_int_equal(page_store_last(m.store, &hot, &err), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(page_store_settle(m.store, place, &m, &err), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_non_null(strstr(err.text, "offset"));
	model_deinit(&m);
}

/* Changes over extents, page by page against an array. */
static void slots_against_an_array(void **state)
{
	struct page_slots slots = { 0 }, changes = { 0 };
	struct error err = ERROR_INIT;
	uint64_t model[64], page, slot = 1000;
	struct page_extent part;
	struct model m = { .random = 7 };
	size_t turn, at;

	(void)state;
	memset(model, 0xff, sizeof(model));
	for (turn = 0; turn < 3000; turn++) {
		changes.n = 0;
		for (page = dice(&m, 20); page < 60; page += 1 + dice(&m, 20)) {
			part.page = page;
			part.n = 1 + dice(&m, (unsigned)MIN((uint64_t)6, 64 - page));
			part.slot = slot += dice(&m, 3);
			part.empty = dice(&m, 3) == 0;
			assert_int_equal(page_slots_append(&changes, &part, &err), 0);
			for (uint64_t i = 0; i < part.n; i++)
				model[page + i] = 2 * (slot + i) + part.empty;
			page += part.n;
			slot += part.n;
		}
		assert_int_equal(page_slots_apply(&slots, &changes, &err), 0);
		for (page = 0, at = 0; page < 64; page++) {
			at = page_slots_find(&slots, page, at);
			if (at < slots.n && slots.extents[at].page <= page)
				assert_int_equal(2 * (slots.extents[at].slot + page -
						      slots.extents[at].page) +
							 slots.extents[at].empty,
						 model[page]);
			else
				assert_true(model[page] == NONE);
		}
		if (turn % 50 == 0) { /* begin again: gaps are needed too */
			page_slots_deinit(&slots);
			memset(model, 0xff, sizeof(model));
		}
	}
	page_slots_deinit(&changes);
	page_slots_deinit(&slots);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots_against_an_array),
		cmocka_unit_test(histories),
		cmocka_unit_test(idle_moves_nothing),
		cmocka_unit_test(unreadable_pages),
		cmocka_unit_test(a_lost_page_is_copied_again),
		cmocka_unit_test(a_dead_source),
		cmocka_unit_test(cancelled),
		cmocka_unit_test(a_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
