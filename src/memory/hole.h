/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hole: room in an address space that is to become another one.
 *
 * The room must be free now and stay free afterwards: it collides neither with what is mapped nor
 * with what will be. Pure.
 */
#pragma once

#include "base/error.h"

struct hole_range {
	uint64_t start, end; /* end is behind the last byte */
};

/*
 * hole_find - the lowest free room of a size.
 * @taken: in any order, may overlap; is sorted in place
 * @size: bytes, whole pages
 * @low, @high: bounds of the search
 * Returns 0 and *ret, or -ENOMEM when there is no such room.
 */
int hole_find(struct hole_range *taken, size_t n, uint64_t size, uint64_t low, uint64_t high,
	      uint64_t *ret, struct error *err) _must_check_;
