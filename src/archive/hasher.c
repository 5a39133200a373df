// SPDX-License-Identifier: Apache-2.0
/*
 * hasher: see hasher.h. Largest parts first, so that threads end together.
 */
#include "archive/hasher.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "base/cleanup.h"

#define WINDOW	    (16UL << 20) /* bytes mapped, or sent to the disk, at a time */
#define THREADS_MAX 4		 /* that hash */
#define TICK_NS	    100000000L	 /* between two looks at the progress */

struct hasher {
	struct op op; /* its cancel flag only */
	int fd;
	struct hasher_part *parts;
	size_t n_parts;
	uint64_t flush, total;
	atomic_size_t next; /* part */
	atomic_uint_fast64_t done;
	atomic_bool stop;
	sem_t ended; /* posted by each thread */
	pthread_t threads[THREADS_MAX + 1];
	size_t n_threads, n_ended;
	pthread_mutex_t lock; /* of the following */
	int result;
	struct error err;
};

static int by_size(const void *a, const void *b)
{
	const struct hasher_part *left = a, *right = b;

	return left->size < right->size ? 1 : -(left->size > right->size);
}

static int hash_window(struct hasher *h, struct digest *digest, uint64_t offset, uint64_t size,
		       struct error *err)
{
	/* offset need not be page-aligned, what is mapped must be */
	uint64_t skip = offset % AMBER_PAGE_SIZE;
	unsigned char *map;
	int r;

	map = mmap(NULL, size + skip, PROT_READ, MAP_SHARED, h->fd, (off_t)(offset - skip));
	if (map == MAP_FAILED)
		return error_errno(err, errno, "cannot map the archive at offset 0x%llx",
				   (unsigned long long)offset);
	r = digest_update(digest, map + skip, size, err);
	munmap(map, size + skip);
	return r;
}

static int hash_part(struct hasher *h, struct hasher_part *part, struct error *err)
{
	_cleanup_(digest_deinit) struct digest digest = DIGEST_INIT;
	uint64_t at, n;
	int r;

	r = digest_begin(&digest, err);
	for (at = 0; r == 0 && at < part->size; at += n) {
		if (atomic_load(&h->stop))
			return -ECANCELED;
		n = MIN(part->size - at, (uint64_t)WINDOW);
		r = op_cancelled(&h->op, err);
		if (r == 0)
			r = hash_window(h, &digest, part->offset + at, n, err);
		atomic_fetch_add(&h->done, n);
	}
	return r == 0 ? digest_end(&digest, part->sha256, err) : r;
}

static void *hash_main(void *arg)
{
	struct hasher *h = arg;
	struct error err = ERROR_INIT;
	size_t i;
	int r = 0;

	while (r == 0 && (i = atomic_fetch_add(&h->next, 1)) < h->n_parts)
		r = hash_part(h, &h->parts[i], &err);
	if (r < 0) {
		pthread_mutex_lock(&h->lock);
		if (h->result == 0) {
			h->result = r;
			h->err = err;
		}
		pthread_mutex_unlock(&h->lock);
		atomic_store(&h->stop, true);
	}
	sem_post(&h->ended);
	return NULL;
}

/* Only begins: what fails here shows in the fsync. */
static void *flush_main(void *arg)
{
	struct hasher *h = arg;
	uint64_t at;

	for (at = 0; at < h->flush && !atomic_load(&h->stop) && op_cancelled(&h->op, NULL) == 0;
	     at += WINDOW)
		if (sync_file_range(h->fd, (off_t)at, (off_t)MIN(h->flush - at, (uint64_t)WINDOW),
				    SYNC_FILE_RANGE_WRITE) < 0)
			break;
	sem_post(&h->ended);
	return NULL;
}

static int start(struct hasher *h, void *(*run)(void *), struct error *err)
{
	int r = pthread_create(&h->threads[h->n_threads], NULL, run, h);

	if (r == 0)
		h->n_threads++;
	/* Not allowed any more threads: one is enough. */
	if (r == EAGAIN && h->n_threads > 0)
		return 0;
	return r ? error_errno(err, r, "cannot start a thread that hashes") : 0;
}

int hasher_start(struct op *op, int fd, struct hasher_part *parts, size_t n_parts, uint64_t flush,
		 struct hasher **ret, struct error *err)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t want = cpus > 0 ? MIN((size_t)cpus, n_parts) : MIN(n_parts, (size_t)1);
	size_t i;
	_cleanup_(hasher_free) struct hasher *h = calloc(1, sizeof(*h));
	sigset_t all, before;
	int r = 0;

	if (!h) {
		free(parts);
		return error_nomem(err);
	}
	h->op = OP_INIT;
	h->op.cancel = op->cancel;
	h->fd = fd;
	h->parts = parts;
	h->n_parts = n_parts;
	h->flush = flush;
	for (i = 0; i < n_parts; i++)
		h->total += parts[i].size;
	if (n_parts)
		qsort(parts, n_parts, sizeof(*parts), by_size);
	pthread_mutex_init(&h->lock, NULL);
	sem_init(&h->ended, 0, 0);
	/* Signals are for the caller. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (i = 0; r == 0 && i < want && i < THREADS_MAX; i++)
		r = start(h, hash_main, err);
	if (r == 0 && flush)
		r = start(h, flush_main, err);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		*ret = TAKE_PTR(h);
	return r;
}

/* Until one more thread has ended, or for a tick. */
static void wait_tick(struct hasher *h)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += TICK_NS;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	if (sem_timedwait(&h->ended, &until) == 0)
		h->n_ended++;
}

int hasher_wait(struct hasher *h, struct op *op, const struct hasher_part **ret_parts,
		size_t *ret_n, struct error *err)
{
	while (h->n_ended < h->n_threads) {
		wait_tick(h);
		op_progress(op, "hashing memory", atomic_load(&h->done), h->total);
	}
	op_progress_end(op);
	*ret_parts = h->parts;
	*ret_n = h->n_parts;
	pthread_mutex_lock(&h->lock);
	if (h->result < 0 && err)
		*err = h->err;
	pthread_mutex_unlock(&h->lock);
	return h->result;
}

void hasher_free(struct hasher **ret)
{
	struct hasher *h = *ret;
	size_t i;

	if (!h)
		return;
	atomic_store(&h->stop, true);
	for (i = 0; i < h->n_threads; i++)
		pthread_join(h->threads[i], NULL);
	sem_destroy(&h->ended);
	pthread_mutex_destroy(&h->lock);
	free(h->parts);
	free(h);
	*ret = NULL;
}
