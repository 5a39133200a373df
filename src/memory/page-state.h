/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page-state: what the files of the page store share; nobody else includes it.
 *
 * The file from the store's offset on has two zones. In the main zone pages lie as they will most
 * likely lie in the end: one space behind the other, each in ascending order, with room for a
 * member's header between. Pages that a later round finds in between go to the spill zone, which
 * begins far behind; the file has a hole there, so it costs no room. All numbers are pages of the
 * file.
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "base/op.h"
#include "kernel/pagemap.h"
#include "memory/page-read.h"
#include "memory/page-slots.h"

#define PAGE_SLOT_NONE	  UINT64_MAX
#define PAGE_CHUNK	  128U /* pages copied in a round before they are written */
#define PAGE_WORKERS_MAX  4U
#define PAGE_HEADER_PAGES 1U /* between two members of the archive that are full of pages */

struct page_space {
	struct page_store *store;
	struct page_source source;
	struct page_slots slots;
	size_t lie;	    /* how many spaces lie before it; SIZE_MAX = in no round copied */
	uint64_t main_next; /* first page that may still go to the main zone */
	const struct page_run *last;
	size_t n_last;
	bool ended;	     /* page_space_last() was called */
	uint64_t first_slot; /* its final place */
	atomic_uint_fast64_t unreadable;
};

/* All final pages of a space, piece by piece. */
struct page_walk {
	struct page_space *space;
	size_t run, extent;
	uint64_t page; /* where to go on in the run, 0 = at its begin */
};

struct page_piece {
	uint64_t page, n;
	uint64_t slot; /* of the newest copy in the file, PAGE_SLOT_NONE = in no round copied */
	bool hot;      /* copied in the stop */
};

/* Memory of one thread; faulted in before the stop. */
struct page_worker {
	struct page_store *store;
	struct page_batch batch;
	unsigned char bad[PAGE_BATCH_RANGES];
	unsigned char *bounce; /* PAGE_BATCH_RANGES pages */
	pthread_t thread;
	bool running; /* thread is to be joined; never of the first, which is the caller */
};

/* The stop's work, handed out batch by batch. */
struct page_last {
	pthread_mutex_t lock;
	size_t space;	       /* which is handed out */
	struct page_walk walk; /* of it */
	uint64_t next;	       /* hot pages handed out so far */
	int result;	       /* the first error, and its text */
	struct error err;
	sem_t go, done;
	bool quit;
};

struct page_store {
	struct op *op;
	int fd;
	struct page_space **spaces; /* in order of creation */
	size_t n_spaces, n_lie;
	uint64_t main_first, main_next; /* main zone */
	struct page_space *main_space;	/* that the end of the main zone belongs to */
	uint64_t spill_first, spill_next;
	unsigned char *hot; /* mapping of hot_pages, NULL = none */
	uint64_t hot_pages;
	uint64_t overflow_first; /* slots of hot pages that did not fit */
	uint64_t n_hot;
	struct page_worker *workers;
	size_t n_workers;
	size_t workers_size; /* of the mapping */
	struct page_last last;
};

/* page_walk_next - the next piece of at most max pages. false = that was all. */
bool page_walk_next(struct page_walk *walk, uint64_t max, struct page_piece *ret);

/* page_workers_stop - end the threads and give their memory back. */
void page_workers_stop(struct page_store *store);

/* page_store_write - n pages to a slot; err says where. */
int page_store_write(struct page_store *store, const void *data, uint64_t slot, uint64_t n,
		     struct error *err) _must_check_;
