/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page-list: runs of pages, collected. Made ready before the stop, so that filling it in the stop
 * touches no fresh memory.
 */
#pragma once

#include "kernel/pagemap.h"

struct page_list {
	struct page_run *runs;
	size_t n_runs, capacity;
	uint64_t n_pages;
};

#define PAGE_LIST_INIT ((struct page_list){ 0 })

void page_list_deinit(struct page_list *list);

/* page_list_ready - room for n runs altogether, faulted in. Returns 0 or -ENOMEM. */
int page_list_ready(struct page_list *list, size_t n, struct error *err) _must_check_;

/* page_list_clear - no runs; keeps the room. */
void page_list_clear(struct page_list *list);

/* page_list_add - append [start, end), joined with the last run where they touch and are alike. */
int page_list_add(struct page_list *list, uint64_t start, uint64_t end, uint64_t categories,
		  struct error *err) _must_check_;

/*
 * page_list_sort - ascending, runs that touch or overlap are one. Categories are those of the first
 * of them: for lists in which all are alike.
 */
void page_list_sort(struct page_list *list);

/*
 * page_list_extents - the parts of a shared memory file that hold data, by SEEK_DATA; all of it
 * where that is not known (hugetlbfs).
 * @size: bytes
 */
int page_list_extents(struct page_list *list, int fd, uint64_t size,
		      struct error *err) _must_check_;

/*
 * page_list_mark - append list's runs to ret, those parts that are in marks with categories added.
 * Both ascending and without overlaps.
 */
int page_list_mark(const struct page_list *list, const struct page_list *marks, uint64_t categories,
		   struct page_list *ret, struct error *err) _must_check_;
