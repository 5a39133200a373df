// SPDX-License-Identifier: Apache-2.0
/*
 * page-slots: see page-slots.h.
 */
#include "memory/page-slots.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define ROOM_MIN 64

void page_slots_deinit(struct page_slots *slots)
{
	free(slots->extents);
	*slots = (struct page_slots){ 0 };
}

static bool ends_by(const struct page_extent *extent, uint64_t page)
{
	return extent->page + extent->n <= page;
}

size_t page_slots_find(const struct page_slots *slots, uint64_t page, size_t from)
{
	size_t step = 1, low = from, high, middle;

	/* A walk asks for one page behind the other: gallop, then halve. */
	while (low < slots->n && ends_by(&slots->extents[low], page)) {
		from = low + 1;
		low += step;
		step *= 2;
	}
	high = low < slots->n ? low : slots->n;
	for (low = from; low < high;) {
		middle = low + (high - low) / 2;
		if (ends_by(&slots->extents[middle], page))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int reserve(struct page_slots *slots, size_t n, struct error *err)
{
	struct page_extent *grown;
	size_t room = slots->room ? slots->room : ROOM_MIN;

	while (room < n)
		room *= 2;
	if (room == slots->room)
		return 0;
	grown = reallocarray(slots->extents, room, sizeof(*grown));
	if (!grown)
		return error_nomem(err);
	slots->extents = grown;
	slots->room = room;
	return 0;
}

static bool joins(const struct page_extent *a, const struct page_extent *b)
{
	return a->page + a->n == b->page && a->slot + a->n == b->slot && a->empty == b->empty;
}

int page_slots_append(struct page_slots *changes, const struct page_extent *extent,
		      struct error *err)
{
	struct page_extent *last = changes->n ? &changes->extents[changes->n - 1] : NULL;
	int r;

	if (extent->n == 0)
		return 0;
	if (last && joins(last, extent)) {
		last->n += extent->n;
		return 0;
	}
	r = reserve(changes, changes->n + 1, err);
	if (r == 0)
		changes->extents[changes->n++] = *extent;
	return r;
}

/* The part of an extent that lies in [from, to). */
static struct page_extent clip(const struct page_extent *extent, uint64_t from, uint64_t to)
{
	uint64_t start = MAX(extent->page, from), end = MIN(extent->page + extent->n, to);

	if (start >= end)
		return (struct page_extent){ 0 };
	return (struct page_extent){ start, extent->slot + (start - extent->page), end - start,
				     extent->empty };
}

/* Old extents [first, last) with the changes over them. */
static int overlay(const struct page_slots *slots, size_t first, size_t last,
		   const struct page_slots *changes, struct page_slots *out, struct error *err)
{
	const struct page_extent *change;
	struct page_extent part;
	uint64_t from = 0, to;
	size_t i = first, c;
	int r = 0;

	for (c = 0; r == 0 && c <= changes->n; c++) {
		change = c < changes->n ? &changes->extents[c] : NULL;
		to = change ? change->page : UINT64_MAX;
		while (r == 0 && i < last && slots->extents[i].page < to) {
			part = clip(&slots->extents[i], from, to);
			r = page_slots_append(out, &part, err);
			if (!ends_by(&slots->extents[i], to))
				break; /* the rest stands behind the change */
			i++;
		}
		if (r == 0 && change)
			r = page_slots_append(out, change, err);
		from = change ? change->page + change->n : 0;
	}
	return r;
}

int page_slots_apply(struct page_slots *slots, const struct page_slots *changes, struct error *err)
{
	_cleanup_(page_slots_deinit) struct page_slots middle = { 0 };
	const struct page_extent *end;
	size_t first, last, n;
	int r;

	if (changes->n == 0)
		return 0;
	end = &changes->extents[changes->n - 1];
	/* One more on either side, so that neighbours are joined. */
	first = page_slots_find(slots, changes->extents[0].page, 0);
	last = page_slots_find(slots, end->page + end->n, first);
	first -= first > 0;
	last += last < slots->n;
	r = overlay(slots, first, last, changes, &middle, err);
	if (r < 0)
		return r;
	n = slots->n - (last - first) + middle.n;
	r = reserve(slots, n, err);
	if (r < 0)
		return r;
	if (last < slots->n)
		memmove(slots->extents + first + middle.n, slots->extents + last,
			(slots->n - last) * sizeof(*slots->extents));
	if (middle.n)
		memcpy(slots->extents + first, middle.extents, middle.n * sizeof(*middle.extents));
	slots->n = n;
	return 0;
}
