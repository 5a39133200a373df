// SPDX-License-Identifier: Apache-2.0
/*
 * test-pagemap: pages of this process whose state is known, by PAGEMAP_SCAN and by reading entries.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "kernel/pagemap.h"
#include "kernel/proc.h"

#define PAGE ((size_t)AMBER_PAGE_SIZE)

static int open_self(void)
{
	_cleanup_close_ int proc = -1;
	struct error err = ERROR_INIT;
	int fd = -1;

	assert_int_equal(proc_open(getpid(), &proc, &err), 0);
	assert_int_equal(pagemap_open(proc, &fd, &err), 0);
	return fd;
}

static char *pages(size_t n, int flags, int fd)
{
	char *map = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);

	assert_true(map != MAP_FAILED);
	(void)madvise(map, n * PAGE, MADV_NOHUGEPAGE);
	return map;
}

static int append(const struct page_run *run, void *arg, struct error *err)
{
	struct page_runs *runs = arg;

	assert_true(runs->n_runs < 64);
	runs->runs[runs->n_runs++] = *run;
	runs->n_pages += (run->end - run->start) / PAGE;
	return 0;
}

/* Pages 2, 3 and 7 of 16 are written, page 5 is only read (the zero page). */
static void check_anon(const struct page_runs *runs, char *map, bool knows_zero)
{
	uint64_t at = (uintptr_t)map;

	assert_int_equal(runs->n_runs, knows_zero ? 2 : 3);
	assert_int_equal(runs->runs[0].start, at + 2 * PAGE);
	assert_int_equal(runs->runs[0].end, at + 4 * PAGE);
	assert_int_equal(runs->runs[0].categories, PAGEMAP_PRESENT);
	assert_int_equal(runs->runs[runs->n_runs - 1].start, at + 7 * PAGE);
	assert_int_equal(runs->n_pages, knows_zero ? 3 : 4);
}

static void test_anon(void **state)
{
	_cleanup_close_ int fd = open_self();
	char *map = pages(16, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	struct page_run store[64];
	struct page_runs runs = { .runs = store };
	struct arena arena = ARENA_INIT;
	struct error err = ERROR_INIT;
	uint64_t start = (uintptr_t)map, end = start + 16 * PAGE, at;
	uint64_t zero = pagemap_zero_pfn();

	map[2 * PAGE] = map[3 * PAGE] = map[7 * PAGE] = 1;
	(void)*(volatile char *)(map + 5 * PAGE);
	if (pagemap_has_scan()) {
		assert_int_equal(
			pagemap_scan(fd, start, end, &PAGEMAP_DATA, append, &runs, &at, &err), 0);
		assert_int_equal(at, end);
		check_anon(&runs, map, true);
	}
	runs.n_runs = runs.n_pages = 0;
	assert_int_equal(pagemap_walk(fd, start, end, &PAGEMAP_DATA, zero, append, &runs, &err), 0);
	check_anon(&runs, map, zero != 0);

	runs = (struct page_runs){ 0 };
	assert_int_equal(pagemap_collect(fd, start, start + 8 * PAGE, &PAGEMAP_DATA_PRIVATE, &arena,
					 &runs, &err),
			 0);
	check_anon(&runs, map, pagemap_has_scan() || zero);
	munmap(map, 16 * PAGE);
	arena_deinit(&arena);
}

/* A private mapping of a file: pages that were only read show the file, written ones are our own.
 */
static void test_private_file(void **state)
{
	_cleanup_close_ int fd = open_self(), file = memfd_create("amber-test", MFD_CLOEXEC);
	struct arena arena = ARENA_INIT;
	struct error err = ERROR_INIT;
	struct page_runs data = { 0 }, own = { 0 };
	uint64_t start;
	char *map;

	assert_int_equal(ftruncate(file, 8 * PAGE), 0);
	map = pages(8, MAP_PRIVATE, file);
	start = (uintptr_t)map;
	for (int i = 0; i < 8; i++)
		(void)*(volatile char *)(map + i * PAGE);
	map[3 * PAGE] = 1;
	assert_int_equal(
		pagemap_collect(fd, start, start + 8 * PAGE, &PAGEMAP_DATA, &arena, &data, &err),
		0);
	assert_int_equal(data.n_pages, 8);
	assert_int_equal(pagemap_collect(fd, start, start + 8 * PAGE, &PAGEMAP_DATA_PRIVATE, &arena,
					 &own, &err),
			 0);
	assert_int_equal(own.n_runs, 1);
	assert_int_equal(own.runs[0].start, start + 3 * PAGE);
	assert_int_equal(own.n_pages, 1);
	munmap(map, 8 * PAGE);
	arena_deinit(&arena);
}

/* More runs than one call of the ioctl returns, and the limit on pages. */
static void test_many(void **state)
{
	const size_t n = 6000;
	_cleanup_close_ int fd = open_self();
	char *map = pages(n, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	struct pagemap_query query = PAGEMAP_DATA;
	struct arena arena = ARENA_INIT;
	struct error err = ERROR_INIT;
	struct page_runs runs = { 0 }, some = { 0 }, none = { 0 };
	uint64_t start = (uintptr_t)map;

	for (size_t i = 0; i < n; i += 2)
		map[i * PAGE] = 1;
	assert_int_equal(pagemap_collect(fd, start, start + n * PAGE, &query, &arena, &runs, &err),
			 0);
	assert_int_equal(runs.n_runs, n / 2);
	for (size_t i = 0; i < runs.n_runs; i++)
		assert_int_equal(runs.runs[i].start, start + 2 * i * PAGE);
	query.max_pages = 1500;
	assert_int_equal(pagemap_collect(fd, start, start + n * PAGE, &query, &arena, &some, &err),
			 0);
	assert_int_equal(some.n_pages, 1500);
	assert_int_equal(pagemap_collect(fd, start, start, &query, &arena, &none, &err), 0);
	assert_int_equal(none.n_runs, 0);
	munmap(map, n * PAGE);
	arena_deinit(&arena);
}

/* Asynchronous write-protection: what is reported and protected is reported again only when
 * written. */
static void test_written(void **state)
{
	_cleanup_close_ int fd = open_self();
	_cleanup_close_ int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* user mode only */);
	struct uffdio_api api = { .api = UFFD_API, .features = 1 << 15 | 1 << 13 };
	struct pagemap_query query = { .required = PAGEMAP_WRITTEN,
				       .returned = PAGEMAP_WRITTEN,
				       .protect = true,
				       .only_tracked = true };
	char *map = pages(16, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	struct uffdio_register reg = { { (uintptr_t)map, 16 * PAGE }, UFFDIO_REGISTER_MODE_WP, 0 };
	struct arena arena = ARENA_INIT;
	struct error err = ERROR_INIT;
	struct page_runs runs = { 0 };
	uint64_t start = (uintptr_t)map, end = start + 16 * PAGE;

	memset(map, 1, 16 * PAGE);
	if (!pagemap_has_scan() || uffd < 0 || ioctl(uffd, UFFDIO_API, &api) < 0) {
		munmap(map, 16 * PAGE);
		skip();
	}
	/* not tracked yet */
	assert_int_equal(pagemap_collect(fd, start, end, &query, &arena, &runs, &err), -EPERM);
	assert_int_equal(ioctl(uffd, UFFDIO_REGISTER, &reg), 0);
	assert_int_equal(pagemap_collect(fd, start, end, &query, &arena, &runs, &err), 0);
	assert_int_equal(runs.n_pages, 16);
	map[4 * PAGE] = 2;
	map[9 * PAGE] = 2;
	runs = (struct page_runs){ 0 };
	assert_int_equal(pagemap_collect(fd, start, end, &query, &arena, &runs, &err), 0);
	assert_int_equal(runs.n_runs, 2);
	assert_int_equal(runs.runs[1].start, start + 9 * PAGE);
	runs = (struct page_runs){ 0 };
	assert_int_equal(pagemap_collect(fd, start, end, &query, &arena, &runs, &err), 0);
	assert_int_equal(runs.n_pages, 0);
	munmap(map, 16 * PAGE);
	arena_deinit(&arena);
}

/* Guard regions (thread stacks of newer C libraries have one) hold nothing, though the kernel
 * counts them as swapped. */
static void test_guard(void **state)
{
	_cleanup_close_ int fd = open_self();
	char *map = pages(8, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	struct page_run store[64];
	struct page_runs walked = { .runs = store }, runs = { 0 };
	struct arena arena = ARENA_INIT;
	struct error err = ERROR_INIT;
	uint64_t start = (uintptr_t)map, end = start + 8 * PAGE;

	memset(map, 1, 4 * PAGE);
	if (madvise(map, 2 * PAGE, 102 /* MADV_GUARD_INSTALL */) < 0) {
		munmap(map, 8 * PAGE);
		skip();
	}
	assert_int_equal(pagemap_collect(fd, start, end, &PAGEMAP_DATA, &arena, &runs, &err), 0);
	assert_int_equal(runs.n_pages, 2);
	assert_int_equal(runs.runs[0].start, start + 2 * PAGE);
	assert_int_equal(
		pagemap_walk(fd, start, end, &PAGEMAP_DATA_PRIVATE, 0, append, &walked, &err), 0);
	assert_int_equal(walked.n_pages, 2);
	munmap(map, 8 * PAGE);
	arena_deinit(&arena);
}

static int stop_at_first(const struct page_run *run, void *arg, struct error *err)
{
	++*(int *)arg;
	return 1;
}

static int fail_at_first(const struct page_run *run, void *arg, struct error *err)
{
	return error_set(err, ERROR_INTERNAL, EIO, "refused");
}

static void test_stop(void **state)
{
	_cleanup_close_ int fd = open_self();
	char *map = pages(8, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	struct error err = ERROR_INIT;
	uint64_t start = (uintptr_t)map, end = start + 8 * PAGE;
	int calls = 0;

	map[0] = map[2 * PAGE] = map[4 * PAGE] = 1;
	assert_int_equal(
		pagemap_walk(fd, start, end, &PAGEMAP_DATA, 0, stop_at_first, &calls, &err), 0);
	if (pagemap_has_scan()) {
		assert_int_equal(pagemap_scan(fd, start, end, &PAGEMAP_DATA, stop_at_first, &calls,
					      NULL, &err),
				 0);
		assert_int_equal(pagemap_scan(fd, start, end, &PAGEMAP_DATA, fail_at_first, NULL,
					      NULL, &err),
				 -EIO);
	}
	assert_int_equal(pagemap_walk(fd, start, end, &PAGEMAP_DATA, 0, fail_at_first, NULL, &err),
			 -EIO);
	assert_int_equal(calls, pagemap_has_scan() ? 2 : 1);
	munmap(map, 8 * PAGE);
}

static void test_entries(void **state)
{
	assert_int_equal(pagemap_entry_categories(1ULL << 63 | 77, 77),
			 PAGEMAP_PRESENT | PAGEMAP_WRITTEN | PAGEMAP_PFNZERO);
	assert_int_equal(pagemap_entry_categories(1ULL << 62 | 1ULL << 57, 0), PAGEMAP_SWAPPED);
	assert_int_equal(pagemap_entry_categories(1ULL << 63 | 1ULL << 61 | 1ULL << 55, 0),
			 PAGEMAP_PRESENT | PAGEMAP_FILE | PAGEMAP_WRITTEN | PAGEMAP_SOFT_DIRTY);
	assert_int_equal(pagemap_entry_categories(0, 0), PAGEMAP_WRITTEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_anon),	cmocka_unit_test(test_private_file),
		cmocka_unit_test(test_many),	cmocka_unit_test(test_written),
		cmocka_unit_test(test_guard),	cmocka_unit_test(test_stop),
		cmocka_unit_test(test_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
