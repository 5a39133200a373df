// SPDX-License-Identifier: Apache-2.0
/*
 * page-last: the last written pages, copied in the stop by several threads.
 *
 * Which pages are hot follows from the runs of page_space_last() and from the slots alone, so their
 * order is always the same: the n-th hot page lies at the n-th place of the hot memory, and where
 * that ends, in slots of the spill zone. Nothing is allocated in the stop, and nothing is written
 * to the file as long as the hot memory suffices.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory/page-state.h"
#include "memory/page-store.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux >= 5.14 */
#endif

#define HOT_SHARE    8U	  /* of the machine's memory, at most */
#define BATCH_PAGES  512U /* 0.3 ms of work: small enough to end together */
#define THREAD_STACK (256UL << 10)
#define HUGE_PAGE    (2UL << 20)
#define SPIN_NS	     200000 /* waiting for a thread that is about to be done */

bool page_walk_next(struct page_walk *walk, uint64_t max, struct page_piece *ret)
{
	const struct page_slots *slots = &walk->space->slots;
	const struct page_extent *extent;
	const struct page_run *run;
	uint64_t end;

	for (;; walk->run++, walk->page = 0) {
		if (walk->run == walk->space->n_last)
			return false;
		run = &walk->space->last[walk->run];
		end = run->end / AMBER_PAGE_SIZE;
		if (!walk->page)
			walk->page = run->start / AMBER_PAGE_SIZE;
		if (walk->page < end)
			break;
	}
	*ret = (struct page_piece){ walk->page, MIN(end - walk->page, max), PAGE_SLOT_NONE, true };
	walk->extent = page_slots_find(slots, walk->page, walk->extent);
	extent = walk->extent < slots->n ? &slots->extents[walk->extent] : NULL;
	if (extent && extent->page > walk->page) {
		ret->n = MIN(ret->n, extent->page - walk->page);
	} else if (extent) {
		ret->n = MIN(ret->n, extent->page + extent->n - walk->page);
		if (!extent->empty) {
			ret->slot = extent->slot + (walk->page - extent->page);
			ret->hot = run->categories & PAGEMAP_WRITTEN;
		}
	}
	walk->page += ret->n;
	return true;
}

int page_space_last(struct page_space *space, const struct page_run *runs, size_t n_runs,
		    struct error *err)
{
	(void)err;
	space->last = runs;
	space->n_last = n_runs;
	space->ended = true;
	return 0;
}

/* The next hot piece of the space that is handed out. */
static bool next_hot(struct page_last *last, uint64_t max, struct page_piece *ret)
{
	do {
		if (!page_walk_next(&last->walk, max, ret))
			return false;
	} while (!ret->hot);
	return true;
}

/* The next batch: of one space, and either for the hot memory or not. Returns its first number. */
static uint64_t take_batch(struct page_store *store, struct page_batch *batch,
			   struct page_space **ret_space)
{
	struct page_last *last = &store->last;
	uint64_t first = last->next, max = BATCH_PAGES;
	struct page_piece piece;

	if (first < store->hot_pages)
		max = MIN(max, store->hot_pages - first);
	batch->n_ranges = batch->n_pages = 0;
	while (last->result == 0 && batch->n_pages < max) {
		if (!last->walk.space) {
			if (last->space == store->n_spaces)
				break;
			last->walk = (struct page_walk){ .space = store->spaces[last->space++] };
		}
		*ret_space = last->walk.space;
		if (next_hot(last, max - batch->n_pages, &piece))
			(void)page_batch_add(batch, piece.page, piece.n);
		else
			last->walk.space = NULL;
		if (!last->walk.space && batch->n_pages)
			break;
	}
	last->next += batch->n_pages;
	return first;
}

static int copy_batch(struct page_worker *worker, struct page_space *space, uint64_t first,
		      struct error *err)
{
	struct page_store *store = worker->store;
	bool hot = first < store->hot_pages;
	size_t n_bad = 0;
	int r;

	r = op_cancelled(store->op, err);
	if (r == 0)
		r = page_batch_read(&worker->batch, &space->source,
				    hot ? store->hot + first * AMBER_PAGE_SIZE : worker->bounce,
				    worker->bad, &n_bad, err);
	if (n_bad)
		atomic_fetch_add(&space->unreadable, n_bad);
	if (r == 0 && !hot)
		r = page_store_write(store, worker->bounce,
				     store->overflow_first + (first - store->hot_pages),
				     worker->batch.n_pages, err);
	return r;
}

/* Batch by batch until there are none. */
static void work(struct page_worker *worker)
{
	struct page_last *last = &worker->store->last;
	struct page_space *space = NULL;
	struct error err = ERROR_INIT;
	uint64_t first;
	int r = 0;

	for (;;) {
		pthread_mutex_lock(&last->lock);
		if (r < 0 && last->result == 0) {
			last->result = r;
			last->err = err;
		}
		first = take_batch(worker->store, &worker->batch, &space);
		pthread_mutex_unlock(&last->lock);
		if (worker->batch.n_pages == 0)
			return;
		r = copy_batch(worker, space, first, &err);
	}
}

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem) < 0 && errno == EINTR)
		;
}

static void *thread_main(void *arg)
{
	struct page_worker *worker = arg;
	struct page_last *last = &worker->store->last;

	for (;;) {
		wait_for(&last->go);
		if (last->quit)
			return NULL;
		work(worker);
		sem_post(&last->done);
	}
}

/* Memory that is there when it is needed; huge pages where it is large enough for them. */
static void *map_present(size_t size)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		return NULL;
	if (size >= HUGE_PAGE)
		(void)madvise(map, size, MADV_HUGEPAGE);
	if (madvise(map, size, MADV_POPULATE_WRITE) == 0)
		return map;
	if (errno == EINVAL) { /* an older kernel */
		memset(map, 0, size);
		return map;
	}
	munmap(map, size);
	return NULL;
}

static int start_threads(struct page_store *store, struct error *err)
{
	pthread_attr_t attr;
	sigset_t all, before;
	size_t i;
	int r = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	/* Signals are for the caller. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (i = 1; r == 0 && i < store->n_workers; i++) {
		r = pthread_create(&store->workers[i].thread, &attr, thread_main,
				   &store->workers[i]);
		store->workers[i].running = r == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (r == 0)
		return 0;
	if (r == EAGAIN) { /* not allowed any more threads: those that there are will do */
		store->n_workers = i - 1;
		return 0;
	}
	return error_errno(err, r, "cannot start a thread that copies pages");
}

static int make_workers(struct page_store *store, struct error *err)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t one = PAGE_ALIGN_UP(sizeof(struct page_worker)), i;
	const size_t bounce = PAGE_BATCH_RANGES * AMBER_PAGE_SIZE;
	unsigned char *map;

	store->n_workers = (size_t)MIN(MAX(cpus, 1L), (long)PAGE_WORKERS_MAX);
	store->workers_size = store->n_workers * (one + bounce);
	map = map_present(store->workers_size);
	if (!map)
		return error_nomem(err);
	store->workers = (struct page_worker *)(void *)map;
	for (i = 0; i < store->n_workers; i++) {
		store->workers[i].store = store;
		store->workers[i].bounce = map + store->n_workers * one + i * bounce;
	}
	return start_threads(store, err);
}

int page_store_ready(struct page_store *store, uint64_t bytes, struct error *err)
{
	uint64_t most = (uint64_t)sysconf(_SC_PHYS_PAGES) / HOT_SHARE;
	uint64_t pages = MIN(PAGE_ALIGN_UP(bytes) / AMBER_PAGE_SIZE, most);

	if (pages > store->hot_pages) {
		if (store->hot)
			munmap(store->hot, store->hot_pages * AMBER_PAGE_SIZE);
		/* Without it all goes to the file, which is slower and right as well. */
		store->hot = map_present(pages * AMBER_PAGE_SIZE);
		store->hot_pages = store->hot ? pages : 0;
	}
	return store->workers ? 0 : make_workers(store, err);
}

void page_workers_stop(struct page_store *store)
{
	size_t i;

	store->last.quit = true;
	for (i = 1; i < store->n_workers; i++)
		if (store->workers[i].running)
			sem_post(&store->last.go);
	for (i = 1; i < store->n_workers; i++)
		if (store->workers[i].running)
			pthread_join(store->workers[i].thread, NULL);
	store->n_workers = 0;
	if (store->workers)
		munmap(store->workers, store->workers_size);
	store->workers = NULL;
	if (store->hot)
		munmap(store->hot, store->hot_pages * AMBER_PAGE_SIZE);
	store->hot = NULL;
	store->hot_pages = 0;
}

/* Nearly done at the same time as we are: waking up takes longer than the wait. */
static void wait_shortly(sem_t *sem)
{
	uint64_t until = clock_ns() + SPIN_NS;

	while (sem_trywait(sem) < 0)
		if (clock_ns() > until) {
			wait_for(sem);
			return;
		}
}

int page_store_last(struct page_store *store, uint64_t *ret_pages, struct error *err)
{
	struct page_last *last = &store->last;
	size_t i;
	int r;

	r = page_store_ready(store, 0, err);
	if (r < 0)
		return r;
	last->space = 0;
	last->walk.space = NULL;
	last->next = 0;
	last->result = 0;
	store->overflow_first = store->spill_next;
	for (i = 1; i < store->n_workers; i++)
		sem_post(&last->go);
	work(&store->workers[0]);
	for (i = 1; i < store->n_workers; i++)
		wait_shortly(&last->done);
	store->n_hot = last->next;
	if (store->n_hot > store->hot_pages)
		store->spill_next += store->n_hot - store->hot_pages;
	if (last->result < 0 && err)
		*err = last->err;
	*ret_pages = store->n_hot;
	return last->result;
}
