/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page-read: the bytes of many pages of another address space, or of shared memory, in one go.
 *
 * Says which pages could not be read; decides nothing about them. Allocates nothing, so that it can
 * be used in the stop.
 */
#pragma once

#include <limits.h>
#include <sys/uio.h>

#include "base/error.h"
#include "memory/page-source.h"

#define PAGE_BATCH_RANGES 1024 /* one call of process_vm_readv */

/* Ranges of pages that are read together; bases are addresses, or offsets of shared memory. */
struct page_batch {
	struct iovec ranges[PAGE_BATCH_RANGES];
	size_t n_ranges;
	size_t n_pages;
};

/* page_batch_add - one more range, joined with the last if they touch. false: it is full. */
bool page_batch_add(struct page_batch *batch, uint64_t page, uint64_t n);

/*
 * page_batch_read - all pages of the batch, one behind the other.
 * @to: n_pages pages
 * @bad: a byte for each page, 1 = it could not be read and is zero in `to`
 * @ret_bad: how many those are
 * Returns 0, -ESRCH when the task is gone, or an error of the shared memory file.
 */
int page_batch_read(const struct page_batch *batch, const struct page_source *source,
		    unsigned char *to, unsigned char *bad, size_t *ret_bad,
		    struct error *err) _must_check_;
