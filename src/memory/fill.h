/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fill: from a pagemap and a pages image to what has to be read where.
 *
 * Pages are never copied through us: the restored task itself reads them from the archive to their
 * addresses. Here the reads are planned, from images that may be damaged or hostile; nothing is
 * read.
 */
#pragma once

#include "image/image.h"
#include "image/schema.h"

/* Flags of Img.Pagemap. */
#define PAGEMAP_PARENT	(1U << 0)
#define PAGEMAP_LAZY	(1U << 1)
#define PAGEMAP_PRESENT (1U << 2)

/* A pages image as a part of an open file: the archive, or a file of the image directory. */
struct pages_file {
	uint32_t id;
	int fd;
	uint64_t offset, size; /* bytes */
};

/* pages_file_find - by pages id, NULL when there is none. */
const struct pages_file *pages_file_find(const struct pages_file *files, size_t n, uint32_t id);

/* One row of bytes: from file offset to an address (or to an offset in shared memory). */
struct fill_run {
	uint64_t vaddr, len, offset;
};

struct fill_plan {
	const struct pages_file *file;
	struct fill_run *runs; /* ascending in both; in the arena */
	size_t n_runs;
	uint64_t bytes;
};

/*
 * fill_plan_make - what a pagemap says is in its pages image.
 * @pagemap: a pagemap or shmem pagemap image
 * @name: for errors: whose memory it is
 * Returns 0, -EINVAL when the images contradict each other, are cut, or leave pages to a parent
 * checkpoint, -ENOMEM.
 */
int fill_plan_make(const struct image *pagemap, const struct pages_file *files, size_t n_files,
		   const char *name, struct arena *arena, struct fill_plan *ret,
		   struct error *err) _must_check_;

/*
 * fill_plan_clip - the part of a plan inside one address range.
 * @from: index of the first run that may lie in it; moved on, so that ranges taken in ascending
 * order cost one walk
 * @ret: receives the next part; returns false when there is no more in the range
 */
bool fill_plan_clip(const struct fill_plan *plan, uint64_t start, uint64_t end, size_t *from,
		    uint64_t *at, struct fill_run *ret);
