// SPDX-License-Identifier: Apache-2.0
/*
 * page-list: see page-list.h.
 */
#include "memory/page-list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROOM_FIRST 256

void page_list_deinit(struct page_list *list)
{
	free(list->runs);
	*list = PAGE_LIST_INIT;
}

int page_list_ready(struct page_list *list, size_t n, struct error *err)
{
	struct page_run *grown;

	if (n <= list->capacity)
		return 0;
	grown = reallocarray(list->runs, n, sizeof(*grown));
	if (!grown)
		return error_nomem(err);
	memset(grown + list->capacity, 0, (n - list->capacity) * sizeof(*grown));
	list->runs = grown;
	list->capacity = n;
	return 0;
}

void page_list_clear(struct page_list *list)
{
	list->n_runs = 0;
	list->n_pages = 0;
}

int page_list_add(struct page_list *list, uint64_t start, uint64_t end, uint64_t categories,
		  struct error *err)
{
	struct page_run *last = list->n_runs ? &list->runs[list->n_runs - 1] : NULL;
	int r;

	if (start >= end)
		return 0;
	list->n_pages += (end - start) / AMBER_PAGE_SIZE;
	if (last && last->end == start && last->categories == categories) {
		last->end = end;
		return 0;
	}
	if (list->n_runs == list->capacity) {
		r = page_list_ready(list, MAX(list->capacity * 2, (size_t)ROOM_FIRST), err);
		if (r < 0)
			return r;
	}
	list->runs[list->n_runs++] = (struct page_run){ start, end, categories };
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct page_run *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

void page_list_sort(struct page_list *list)
{
	struct page_run *last = NULL, *run;
	size_t i;

	if (!list->n_runs)
		return;
	qsort(list->runs, list->n_runs, sizeof(*list->runs), by_start);
	for (i = 0; i < list->n_runs; i++) {
		run = &list->runs[i];
		if (last && run->start <= last->end)
			last->end = MAX(last->end, run->end);
		else if (last)
			*++last = *run;
		else
			last = run;
	}
	list->n_runs = (size_t)(last - list->runs) + 1;
	list->n_pages = 0;
	for (i = 0; i < list->n_runs; i++)
		list->n_pages += (list->runs[i].end - list->runs[i].start) / AMBER_PAGE_SIZE;
}

int page_list_extents(struct page_list *list, int fd, uint64_t size, struct error *err)
{
	off_t data = 0, hole;
	int r;

	while ((uint64_t)data < size) {
		data = lseek(fd, data, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return 0;
		if (data < 0)
			return page_list_add(list, 0, PAGE_ALIGN_UP(size), 0, err);
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return error_errno(err, errno, "cannot find the holes of shared memory");
		r = page_list_add(list, (uint64_t)data & ~(AMBER_PAGE_SIZE - 1),
				  MIN(PAGE_ALIGN_UP(hole), PAGE_ALIGN_UP(size)), 0, err);
		if (r < 0)
			return r;
		data = hole;
	}
	return 0;
}

int page_list_mark(const struct page_list *list, const struct page_list *marks, uint64_t categories,
		   struct page_list *ret, struct error *err)
{
	const struct page_run *run, *mark = marks->runs, *marks_end = marks->runs + marks->n_runs;
	uint64_t at, end;
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < list->n_runs; i++) {
		run = &list->runs[i];
		for (at = run->start; r == 0 && at < run->end; at = end) {
			while (mark < marks_end && mark->end <= at)
				mark++;
			if (mark == marks_end || mark->start >= run->end) {
				end = run->end;
				r = page_list_add(ret, at, end, run->categories, err);
			} else if (mark->start > at) {
				end = mark->start;
				r = page_list_add(ret, at, end, run->categories, err);
			} else {
				end = MIN(mark->end, run->end);
				r = page_list_add(ret, at, end, run->categories | categories, err);
			}
		}
	}
	return r;
}
