/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page-slots: which page of an address space lies where in a file.
 *
 * Sorted extents, so that a gigabyte copied in one go is a handful of entries. Pages and slots are
 * numbers of pages: of the address space, and of the file.
 */
#pragma once

#include "base/error.h"

struct page_extent {
	uint64_t page, slot, n;
	bool empty; /* the slots are kept for these pages, and hold no copy of them */
};

struct page_slots {
	struct page_extent *extents; /* ascending, disjoint; owned */
	size_t n, room;
};

void page_slots_deinit(struct page_slots *slots);

/*
 * page_slots_find - the first extent that ends behind page, slots->n if there is none.
 * @from: where to begin: the result for a smaller page. Near ones are found in a few steps.
 */
size_t page_slots_find(const struct page_slots *slots, uint64_t page, size_t from);

/* page_slots_append - put a change at the end of a list of changes, joined with the last if it can
 * be. Returns 0 or -ENOMEM. */
int page_slots_append(struct page_slots *changes, const struct page_extent *extent,
		      struct error *err) _must_check_;

/* page_slots_apply - let the changes (ascending, disjoint) replace what was there. Returns 0 or
 * -ENOMEM, and then nothing is changed. */
int page_slots_apply(struct page_slots *slots, const struct page_slots *changes,
		     struct error *err) _must_check_;
