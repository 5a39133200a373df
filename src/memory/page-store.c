// SPDX-License-Identifier: Apache-2.0
/*
 * page-store: rounds. See page-store.h, and page-state.h for where pages lie.
 *
 * The slot of a page that could not be read in a round counts as empty: the stop then copies it.
 */
#include "memory/page-store.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "memory/page-state.h"

#define TAR_BLOCK      512U
#define PAGES_A_THREAD 2048U /* less is not worth a thread */
#define SPILL_MIN      256U  /* pages that the main zone may outgrow what was expected, at least */

/* Where the data of the first member will begin whose header stands at offset: on a page, after a
 * header of one block, or of three when it has to be stretched. */
static uint64_t first_page(uint64_t offset)
{
	uint64_t least = (offset + TAR_BLOCK) % AMBER_PAGE_SIZE ? 3 * TAR_BLOCK : TAR_BLOCK;

	return PAGE_ALIGN_UP(offset + least) / AMBER_PAGE_SIZE;
}

int page_store_new(struct op *op, int fd, uint64_t offset, uint64_t capacity,
		   struct page_store **ret, struct error *err)
{
	struct page_store *store = calloc(1, sizeof(*store));
	uint64_t expected = PAGE_ALIGN_UP(capacity) / AMBER_PAGE_SIZE;

	if (!store)
		return error_nomem(err);
	store->op = op;
	store->fd = fd;
	store->main_first = store->main_next = first_page(offset);
	store->spill_first = store->main_first + expected + MAX(expected, (uint64_t)SPILL_MIN);
	store->spill_next = store->spill_first;
	pthread_mutex_init(&store->last.lock, NULL);
	sem_init(&store->last.go, 0, 0);
	sem_init(&store->last.done, 0, 0);
	*ret = store;
	return 0;
}

void page_store_free(struct page_store **ret)
{
	struct page_store *store = *ret;
	size_t i;

	if (!store)
		return;
	page_workers_stop(store);
	for (i = 0; i < store->n_spaces; i++) {
		page_slots_deinit(&store->spaces[i]->slots);
		free(store->spaces[i]);
	}
	free(store->spaces);
	sem_destroy(&store->last.done);
	sem_destroy(&store->last.go);
	pthread_mutex_destroy(&store->last.lock);
	free(store);
	*ret = NULL;
}

struct page_space *page_store_space(struct page_store *store, const struct page_source *source)
{
	struct page_space *space = calloc(1, sizeof(*space)), **grown;

	grown = reallocarray(store->spaces, store->n_spaces + 1, sizeof(*grown));
	if (grown)
		store->spaces = grown;
	if (!space || !grown) {
		free(space);
		return NULL;
	}
	space->store = store;
	space->source = *source;
	space->lie = SIZE_MAX;
	store->spaces[store->n_spaces++] = space;
	return space;
}

uint64_t page_space_unreadable(const struct page_space *space)
{
	return atomic_load_explicit(&space->unreadable, memory_order_relaxed);
}

int page_store_write(struct page_store *store, const void *data, uint64_t slot, uint64_t n,
		     struct error *err)
{
	int r = n ? fd_pwrite_all(store->fd, data, n * AMBER_PAGE_SIZE,
				  (off_t)(slot * AMBER_PAGE_SIZE), err)
		  : 0;

	return r < 0 ? error_while(err, r, "writing pages to the archive at offset 0x%llx",
				   (unsigned long long)(slot * AMBER_PAGE_SIZE))
		     : 0;
}

/* Slots behind the space's other pages, as long as nothing lies there; else PAGE_SLOT_NONE. */
static uint64_t allocate_main(struct page_space *space, uint64_t page, uint64_t n)
{
	struct page_store *store = space->store;
	uint64_t gap = space->lie == SIZE_MAX && store->n_lie ? PAGE_HEADER_PAGES : 0, slot;
	bool at_end =
		space->lie == SIZE_MAX || (space == store->main_space && page >= space->main_next);

	if (!at_end || store->main_next + gap + n > store->spill_first)
		return PAGE_SLOT_NONE;
	if (space->lie == SIZE_MAX)
		space->lie = store->n_lie++;
	store->main_space = space;
	slot = store->main_next + gap;
	store->main_next = slot + n;
	space->main_next = page + n;
	return slot;
}

/* Slots for n new pages that are about to be written. */
static uint64_t allocate(struct page_space *space, uint64_t page, uint64_t n)
{
	uint64_t slot = allocate_main(space, page, n);

	if (slot == PAGE_SLOT_NONE) {
		slot = space->store->spill_next;
		space->store->spill_next += n;
	}
	return slot;
}

/* A thread that leaves signals to the caller. Returns 0 or an errno. */
static int start_thread(pthread_t *ret, void *(*fn)(void *), void *arg)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(ret, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

/* Ascending runs that are copied by several threads, chunk by chunk. */
struct copy {
	struct page_space *space;
	pthread_mutex_t lock; /* of what follows, and of the allocation of slots */
	const struct page_run *run, *end;
	uint64_t page; /* where to go on in the run, 0 = at its begin */
	int result;    /* the first error, and its text */
	struct error err;
};

struct round_write {
	const unsigned char *from;
	uint64_t slot, n;
};

/* What one thread of a round has in its hands. */
struct round {
	struct copy *copy;
	pthread_t thread;
	bool running;
	struct page_slots changes;
	size_t extent; /* where the walk through the slots is */
	struct page_batch batch;
	struct round_write writes[PAGE_CHUNK];
	size_t n_writes;
	unsigned char bad[PAGE_BATCH_RANGES];
	unsigned char buffer[PAGE_CHUNK * AMBER_PAGE_SIZE];
};

/* How many of the next pages are all bad, or all good. */
static uint64_t alike(const unsigned char *bad, uint64_t n)
{
	const unsigned char *other = memchr(bad, !bad[0], n);

	return other ? (uint64_t)(other - bad) : n;
}

/* What is known of the next pages, and how many of them that is good for. */
static struct page_extent find_slot(struct round *round, uint64_t page, uint64_t n)
{
	const struct page_slots *slots = &round->copy->space->slots;
	const struct page_extent *extent;
	uint64_t skip;

	round->extent = page_slots_find(slots, page, round->extent);
	extent = round->extent < slots->n ? &slots->extents[round->extent] : NULL;
	if (!extent)
		return (struct page_extent){ page, PAGE_SLOT_NONE, n, true };
	if (extent->page > page)
		return (struct page_extent){ page, PAGE_SLOT_NONE, MIN(n, extent->page - page),
					     true };
	skip = page - extent->page;
	return (struct page_extent){ page, extent->slot + skip, MIN(n, extent->n - skip),
				     extent->empty };
}

/* These pages go to that slot, which may continue where the last ones ended. */
static void round_write(struct round *round, const struct page_extent *part,
			const unsigned char *from)
{
	struct round_write *last = round->n_writes ? &round->writes[round->n_writes - 1] : NULL;

	if (last && part->slot == last->slot + last->n &&
	    from == last->from + last->n * AMBER_PAGE_SIZE)
		last->n += part->n;
	else
		round->writes[round->n_writes++] =
			(struct round_write){ from, part->slot, part->n };
}

/* Pages that lie together in the buffer: note where they go, and whether they are there now. */
static int round_put(struct round *round, uint64_t page, uint64_t n, const unsigned char *from,
		     struct error *err)
{
	const unsigned char *bad = round->bad + (size_t)(from - round->buffer) / AMBER_PAGE_SIZE;
	struct page_extent part;
	int r = 0;

	for (; r == 0 && n > 0;
	     page += part.n, n -= part.n, bad += part.n, from += part.n * AMBER_PAGE_SIZE) {
		part = find_slot(round, page, alike(bad, n));
		if (bad[0] && part.empty)
			continue;
		if (part.slot == PAGE_SLOT_NONE) {
			pthread_mutex_lock(&round->copy->lock);
			part.slot = allocate(round->copy->space, page, part.n);
			pthread_mutex_unlock(&round->copy->lock);
		}
		if (bad[0] || part.empty) {
			part.empty = bad[0];
			r = page_slots_append(&round->changes, &part, err);
		}
		if (r == 0 && !bad[0])
			round_write(round, &part, from);
	}
	return r;
}

static int round_batch(struct round *round, struct error *err)
{
	struct page_space *space = round->copy->space;
	const unsigned char *from = round->buffer;
	const struct iovec *range = round->batch.ranges;
	const struct round_write *write;
	size_t bad, i;
	int r;

	round->n_writes = 0;
	r = op_cancelled(space->store->op, err);
	if (r == 0)
		r = page_batch_read(&round->batch, &space->source, round->buffer, round->bad, &bad,
				    err);
	for (i = 0; r == 0 && i < round->batch.n_ranges; from += range[i++].iov_len)
		r = round_put(round, (uint64_t)(uintptr_t)range[i].iov_base / AMBER_PAGE_SIZE,
			      range[i].iov_len / AMBER_PAGE_SIZE, from, err);
	for (i = 0; r == 0 && i < round->n_writes; i++) {
		write = &round->writes[i];
		r = page_store_write(space->store, write->from, write->slot, write->n, err);
	}
	return r;
}

/* The next chunk. false = that was all, or somebody has failed. */
static bool take_chunk(struct copy *copy, struct page_batch *batch)
{
	uint64_t end, take;

	batch->n_ranges = batch->n_pages = 0;
	while (copy->result == 0 && copy->run < copy->end && batch->n_pages < PAGE_CHUNK) {
		end = copy->run->end / AMBER_PAGE_SIZE;
		if (!copy->page)
			copy->page = copy->run->start / AMBER_PAGE_SIZE;
		take = MIN(end - copy->page, (uint64_t)(PAGE_CHUNK - batch->n_pages));
		/* never refused: there are fewer pages in a chunk than ranges in a batch */
		(void)page_batch_add(batch, copy->page, take);
		copy->page += take;
		if (copy->page == end) {
			copy->run++;
			copy->page = 0;
		}
	}
	return batch->n_pages > 0;
}

static void *round_main(void *arg)
{
	struct error err = ERROR_INIT;
	struct round *round = arg;
	struct copy *copy = round->copy;
	bool more;
	int r = 0;

	do {
		pthread_mutex_lock(&copy->lock);
		if (r < 0 && copy->result == 0) {
			copy->result = r;
			copy->err = err;
		}
		more = take_chunk(copy, &round->batch);
		pthread_mutex_unlock(&copy->lock);
		if (more)
			r = round_batch(round, &err);
	} while (more);
	return NULL;
}

/* As many threads as there are processors and pages enough for. */
static size_t threads_for(const struct page_run *runs, size_t n_runs)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t pages = 0;
	size_t i;

	for (i = 0; i < n_runs; i++)
		pages += (runs[i].end - runs[i].start) / AMBER_PAGE_SIZE;
	cpus = MIN(cpus, (long)PAGE_WORKERS_MAX);
	return MIN(cpus > 1 ? (size_t)cpus : 1, (size_t)(1 + pages / PAGES_A_THREAD));
}

/* Runs that ascend. What was written is remembered even if a later chunk fails. */
static int copy_ascending(struct page_space *space, const struct page_run *runs, size_t n_runs,
			  struct error *err)
{
	struct copy copy = { .space = space,
			     .lock = PTHREAD_MUTEX_INITIALIZER,
			     .run = runs,
			     .end = runs + n_runs,
			     .err = ERROR_INIT };
	size_t n = threads_for(runs, n_runs), i;
	_cleanup_free_ struct round *rounds = malloc(n * sizeof(*rounds));
	int r = 0;

	if (!rounds)
		return error_nomem(err);
	for (i = n; i-- > 0;) {
		rounds[i].copy = &copy;
		rounds[i].extent = 0;
		rounds[i].changes = (struct page_slots){ 0 };
		rounds[i].running =
			i > 0 && start_thread(&rounds[i].thread, round_main, &rounds[i]) == 0;
	}
	(void)round_main(&rounds[0]);
	for (i = 0; i < n; i++) {
		if (rounds[i].running)
			pthread_join(rounds[i].thread, NULL);
		if (r == 0)
			r = page_slots_apply(&space->slots, &rounds[i].changes,
					     copy.result < 0 ? NULL : err);
		page_slots_deinit(&rounds[i].changes);
	}
	if (copy.result < 0 && err)
		*err = copy.err;
	return copy.result < 0 ? copy.result : r;
}

int page_space_expect(struct page_space *space, const struct page_run *runs, size_t n_runs,
		      struct error *err)
{
	_cleanup_(page_slots_deinit) struct page_slots kept = { 0 };
	struct page_extent part = { .empty = true };
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < n_runs; i++) {
		part.page = runs[i].start / AMBER_PAGE_SIZE;
		part.n = runs[i].end / AMBER_PAGE_SIZE - part.page;
		part.slot = allocate_main(space, part.page, part.n);
		if (part.slot != PAGE_SLOT_NONE)
			r = page_slots_append(&kept, &part, err);
	}
	return r == 0 ? page_slots_apply(&space->slots, &kept, err) : r;
}

int page_space_copy(struct page_space *space, const struct page_run *runs, size_t n_runs,
		    struct error *err)
{
	size_t first, next;
	int r = 0;

	for (first = 0; r == 0 && first < n_runs; first = next) {
		for (next = first + 1; next < n_runs && runs[next].start >= runs[next - 1].end;)
			next++;
		r = copy_ascending(space, runs + first, next - first, err);
	}
	return r;
}
