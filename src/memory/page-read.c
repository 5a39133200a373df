// SPDX-License-Identifier: Apache-2.0
/*
 * page-read: see page-read.h.
 */
#include "memory/page-read.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kernel/process-vm.h"

bool page_batch_add(struct page_batch *batch, uint64_t page, uint64_t n)
{
	char *base = (char *)(uintptr_t)(page * AMBER_PAGE_SIZE);
	struct iovec *last = batch->n_ranges ? &batch->ranges[batch->n_ranges - 1] : NULL;

	if (last && (char *)last->iov_base + last->iov_len == base) {
		last->iov_len += n * AMBER_PAGE_SIZE;
	} else {
		if (batch->n_ranges == PAGE_BATCH_RANGES)
			return false;
		batch->ranges[batch->n_ranges++] = (struct iovec){ base, n * AMBER_PAGE_SIZE };
	}
	batch->n_pages += n;
	return true;
}

/* Where the result of a batch goes, and what is to be said about it. */
struct reading {
	const struct page_source *source;
	unsigned char *to, *bad;
	size_t n_bad;
};

/* By way of /proc/PID/mem, which also reads what the task itself may not; else a page of zeroes.
 * Returns how many bytes that are: at least a page. */
static size_t read_hard(struct reading *reading, uint64_t address, size_t at, size_t len)
{
	ssize_t got = -1;

	if (reading->source->mem_fd >= 0)
		got = pread(reading->source->mem_fd, reading->to + at, len, (off_t)address);
	if (got >= (ssize_t)AMBER_PAGE_SIZE)
		return (size_t)got - (size_t)got % AMBER_PAGE_SIZE;
	memset(reading->to + at, 0, AMBER_PAGE_SIZE);
	reading->bad[at / AMBER_PAGE_SIZE] = 1;
	reading->n_bad++;
	return AMBER_PAGE_SIZE;
}

/* A range from a page on that the fast way could not read. */
static int read_rest(struct reading *reading, const struct iovec *range, size_t skip, size_t at,
		     struct error *err)
{
	uint64_t address = (uint64_t)(uintptr_t)range->iov_base;
	struct iovec rest;
	size_t done;
	int r;

	while (skip < range->iov_len) {
		skip += read_hard(reading, address + skip, at + skip, range->iov_len - skip);
		rest = (struct iovec){ (char *)range->iov_base + skip, range->iov_len - skip };
		done = 0;
		r = process_vm_read_vec(reading->source->pid, &rest, 1, reading->to + at + skip,
					&done, err);
		if (r == 0 || r == -ESRCH)
			return r;
		error_clear(err);
		skip += done - done % AMBER_PAGE_SIZE;
	}
	return 0;
}

static int read_task(const struct page_batch *batch, struct reading *reading, struct error *err)
{
	size_t first = 0, before = 0, done;
	const struct iovec *range;
	int r;

	while (first < batch->n_ranges) {
		done = 0;
		r = process_vm_read_vec(reading->source->pid, batch->ranges + first,
					batch->n_ranges - first, reading->to + before, &done, err);
		if (r == 0 || r == -ESRCH)
			return r;
		error_clear(err);
		for (range = &batch->ranges[first]; done >= range->iov_len; range++, first++) {
			done -= range->iov_len;
			before += range->iov_len;
		}
		r = read_rest(reading, range, done - done % AMBER_PAGE_SIZE, before, err);
		if (r < 0)
			return r;
		before += range->iov_len;
		first++;
	}
	return 0;
}

static int read_shmem(const struct page_batch *batch, struct reading *reading, struct error *err)
{
	unsigned char *to = reading->to;
	const struct iovec *range;
	size_t i, done;
	ssize_t got;

	for (i = 0; i < batch->n_ranges; i++, to += range->iov_len) {
		range = &batch->ranges[i];
		for (done = 0; done < range->iov_len; done += (size_t)got) {
			got = pread(reading->source->shmem_fd, to + done, range->iov_len - done,
				    (off_t)((uintptr_t)range->iov_base + done));
			if (got < 0)
				return error_errno(err, errno,
						   "cannot read shared memory at offset 0x%llx",
						   (unsigned long long)(uintptr_t)range->iov_base);
			if (got == 0)
				break; /* behind the end of a file that has shrunk */
		}
		memset(to + done, 0, range->iov_len - done);
	}
	return 0;
}

int page_batch_read(const struct page_batch *batch, const struct page_source *source,
		    unsigned char *to, unsigned char *bad, size_t *ret_bad, struct error *err)
{
	struct reading reading = { .source = source, .to = to, .bad = bad };
	int r;

	memset(bad, 0, batch->n_pages);
	r = source->pid ? read_task(batch, &reading, err) : read_shmem(batch, &reading, err);
	*ret_bad = reading.n_bad;
	return r;
}
