// SPDX-License-Identifier: Apache-2.0
/*
 * test-page-list: joining, sorting, marking and the holes of a file.
 */
#include "memory/page-list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define P AMBER_PAGE_SIZE

static void add(struct page_list *list, uint64_t from, uint64_t to, uint64_t categories)
{
	assert_int_equal(page_list_add(list, from * P, to * P, categories, NULL), 0);
}

static void assert_run(const struct page_list *list, size_t i, uint64_t from, uint64_t to,
		       uint64_t categories)
{
	assert_true(i < list->n_runs);
	assert_int_equal(list->runs[i].start, from * P);
	assert_int_equal(list->runs[i].end, to * P);
	assert_int_equal(list->runs[i].categories, categories);
}

static void neighbours_join(void **state)
{
	_cleanup_(page_list_deinit) struct page_list list = PAGE_LIST_INIT;

	(void)state;
	add(&list, 1, 2, 0);
	add(&list, 2, 4, 0);
	add(&list, 4, 5, 1);
	add(&list, 7, 7, 1); /* nothing */
	assert_int_equal(list.n_runs, 2);
	assert_run(&list, 0, 1, 4, 0);
	assert_run(&list, 1, 4, 5, 1);
	assert_int_equal(list.n_pages, 4);
	page_list_clear(&list);
	assert_int_equal(list.n_runs + list.n_pages, 0);
}

static void sorting_joins_overlaps(void **state)
{
	_cleanup_(page_list_deinit) struct page_list list = PAGE_LIST_INIT;

	(void)state;
	page_list_sort(&list);
	add(&list, 10, 12, 0);
	add(&list, 1, 3, 0);
	add(&list, 11, 15, 0);
	add(&list, 3, 4, 0);
	add(&list, 2, 3, 0);
	page_list_sort(&list);
	assert_int_equal(list.n_runs, 2);
	assert_run(&list, 0, 1, 4, 0);
	assert_run(&list, 1, 10, 15, 0);
	assert_int_equal(list.n_pages, 8);
}

static void marks_split(void **state)
{
	_cleanup_(page_list_deinit) struct page_list list = PAGE_LIST_INIT, marks = PAGE_LIST_INIT,
						     ret = PAGE_LIST_INIT;

	(void)state;
	add(&list, 10, 20, 0);
	add(&list, 30, 40, 0);
	add(&list, 50, 51, 0);
	add(&marks, 1, 2, 0);
	add(&marks, 5, 12, 0);
	add(&marks, 15, 16, 0);
	add(&marks, 18, 32, 0);
	add(&marks, 60, 70, 0);
	assert_int_equal(page_list_mark(&list, &marks, 2, &ret, NULL), 0);
	assert_int_equal(ret.n_runs, 8);
	assert_run(&ret, 0, 10, 12, 2);
	assert_run(&ret, 1, 12, 15, 0);
	assert_run(&ret, 2, 15, 16, 2);
	assert_run(&ret, 3, 16, 18, 0);
	assert_run(&ret, 4, 18, 20, 2);
	assert_run(&ret, 5, 30, 32, 2);
	assert_run(&ret, 6, 32, 40, 0);
	assert_run(&ret, 7, 50, 51, 0);
	assert_int_equal(ret.n_pages, list.n_pages);
}

static void holes_are_left_out(void **state)
{
	_cleanup_(page_list_deinit) struct page_list list = PAGE_LIST_INIT;
	_cleanup_close_ int fd = memfd_create("test", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, 100 * P), 0);
	assert_int_equal(pwrite(fd, "x", 1, 3 * P + 5), 1);
	assert_int_equal(pwrite(fd, "x", 1, 90 * P), 1);
	assert_int_equal(page_list_extents(&list, fd, 100 * P, NULL), 0);
	assert_int_equal(list.n_runs, 2);
	assert_run(&list, 0, 3, 4, 0);
	assert_run(&list, 1, 90, 91, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbours_join),
		cmocka_unit_test(sorting_joins_overlaps),
		cmocka_unit_test(marks_split),
		cmocka_unit_test(holes_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
