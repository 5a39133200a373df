/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page-store: pages copied in rounds, put into their final order once that is known.
 *
 * The page images of a checkpoint hold pages in ascending order of address without room between,
 * and which pages there are is known only at the stop. So rounds write pages straight into the
 * archive where they will most likely lie (slots), what the stop finds written goes to memory that
 * was faulted in before, and after the thaw pages that lie wrong are moved within the page cache.
 * Page by page nothing is ever lost or taken twice: the newest copy wins.
 */
#pragma once

#include "base/op.h"
#include "kernel/pagemap.h"
#include "memory/page-source.h"

struct page_store; /* of one checkpoint */
struct page_space; /* the pages of one address space or shared memory object */

/*
 * page_store_new - a store that writes into fd behind offset.
 * @fd: the archive's unnamed file; nobody else writes behind offset until page_store_settle()
 * @offset: where the header of the first member full of pages will stand
 * @capacity: bytes that are expected; more is possible and slower
 */
int page_store_new(struct op *op, int fd, uint64_t offset, uint64_t capacity,
		   struct page_store **ret, struct error *err) _must_check_;
void page_store_free(struct page_store **store);

/* page_store_space - one more address space. NULL when memory is exhausted. */
struct page_space *page_store_space(struct page_store *store, const struct page_source *source);

/*
 * page_space_expect - before the first round of a space: all pages that it will most likely have in
 * the end, also those that no round copies. Their room is kept, so that the others need not be
 * moved for them. Runs ascend.
 */
int page_space_expect(struct page_space *space, const struct page_run *runs, size_t n_runs,
		      struct error *err) _must_check_;

/*
 * page_space_copy - a round: copy these pages, overwriting older copies of them. Pages that vanish
 * meanwhile are no error: the stop knows what is there. Ascending runs are fastest, and many in a
 * call. Returns 0, -ESRCH when the source is gone, or an error of the output, which is final.
 */
int page_space_copy(struct page_space *space, const struct page_run *runs, size_t n_runs,
		    struct error *err) _must_check_;

/*
 * page_store_ready - before the stop: fault in memory for about `bytes` of last pages and start the
 * threads that will copy them.
 */
int page_store_ready(struct page_store *store, uint64_t bytes, struct error *err) _must_check_;

/*
 * page_space_last - in the stop: all pages of the space, ascending, those to be copied now marked
 * PAGEMAP_WRITTEN in categories (a page that no round has copied is copied anyway). Only notes;
 * runs must stay valid until page_store_settle(). A space without this call has no pages.
 */
int page_space_last(struct page_space *space, const struct page_run *runs, size_t n_runs,
		    struct error *err) _must_check_;

/*
 * page_store_last - in the stop: copy everything that was noted, by all threads, in large batches.
 * @ret_pages: how many pages that were
 */
int page_store_last(struct page_store *store, uint64_t *ret_pages, struct error *err) _must_check_;

/* page_space_unreadable - pages that could not be read and are zero. */
uint64_t page_space_unreadable(const struct page_space *space);

/*
 * page_store_settle - after the thaw: every space's pages in order, without gaps, at the offset
 * that place() names for it. place() is called once for each space that page_space_last() was
 * called for, those that rounds have copied first, as they lie; offsets are page-aligned, ascend,
 * and leave room for n_pages each. It must not write to the file: what lies there is still needed.
 * The file then ends behind the last page.
 */
typedef int page_place_fn(void *arg, struct page_space *space, uint64_t n_pages,
			  uint64_t *ret_offset, struct error *err);
int page_store_settle(struct page_store *store, page_place_fn *place, void *arg,
		      struct error *err) _must_check_;
