/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory: the memory of one process of an image set, by address.
 *
 * Reads pagemaps and pages images where they lie in the archive. Pages that no image has (never
 * touched, or unchanged pages of a mapped file) are not made up.
 */
#pragma once

#include "examine/examine.h"

#define MEMORY_RUNS_MAX (8U << 20)

/* One row of captured bytes. */
struct memory_run {
	uint64_t address; /* in the process */
	struct bytes bytes;
};

struct memory_reader {
	struct arena arena;
	struct memory_run *runs; /* ascending, without overlaps */
	size_t n_runs;
	uint64_t captured;  /* bytes of all runs */
	uint64_t elsewhere; /* bytes that lie in a parent image set, which is not here */
	bool damaged; /* pagemap and pages contradict each other; the runs before that are good */
};

#define MEMORY_READER_INIT ((struct memory_reader){ 0 })

/*
 * memory_reader_open - collect the runs of a task. Borrowed from x.
 * @shared: also those of shared memory that it maps, which several tasks may have
 * Returns 0 (no runs for a task without memory) or -ENOMEM.
 */
int memory_reader_open(const struct examine *x, const struct examine_task *task, bool shared,
		       struct memory_reader *ret, struct error *err) _must_check_;
void memory_reader_deinit(struct memory_reader *memory);

/* memory_at - captured bytes from an address to the end of their run; len 0 when there are none. */
struct bytes memory_at(const struct memory_reader *memory, uint64_t address);

/* memory_read - copy up to len bytes, across runs, up to the first byte that was not captured.
 * Returns how many. */
size_t memory_read(const struct memory_reader *memory, uint64_t address, void *to, size_t len);
