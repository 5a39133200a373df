// SPDX-License-Identifier: Apache-2.0
/*
 * hole: room in an address space that is to become another one. Never looks at a process itself.
 */
#include "memory/hole.h"

#include <errno.h>
#include <stdlib.h>

/* Mappings are kept this far away: a stack above or below may grow while the room is in use. */
#define HOLE_MARGIN (2ULL << 20)

static int compare_ranges(const void *a, const void *b)
{
	const struct hole_range *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

int hole_find(struct hole_range *taken, size_t n, uint64_t size, uint64_t low, uint64_t high,
	      uint64_t *ret, struct error *err)
{
	uint64_t at = low;
	size_t i;

	if (n)
		qsort(taken, n, sizeof(*taken), compare_ranges);
	for (i = 0; i < n; i++) {
		if (taken[i].end <= at)
			continue;
		if (taken[i].start > at && taken[i].start - at >= size + HOLE_MARGIN)
			break;
		at = PAGE_ALIGN_UP(taken[i].end) + HOLE_MARGIN;
	}
	if (at >= high || high - at < size)
		return error_set(err, ERROR_SYSTEM, ENOMEM,
				 "no room of %llu bytes in the address space",
				 (unsigned long long)size);
	*ret = at;
	return 0;
}
