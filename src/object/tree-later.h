/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree-later: the content of a large file, which is not copied while the container stands still.
 *
 * A file that only grew (a log) keeps the copy it has; only its end is copied in the stop, and what
 * lies before it is compared with the file after the thaw. A file that was rewritten and is beyond
 * the budget is copied after the thaw, and said to be of no instant.
 */
#pragma once

#include <sys/stat.h>

#include "base/buf.h"
#include "object/tree.h"

struct tree_piece {
	int fd;	      /* where its bytes are; -1: in the memory of the stop */
	uint64_t pos; /* there */
	uint64_t off; /* in the file */
	uint64_t len; /* bytes */
};

struct tree_later {
	int fd; /* of the file, which may have no name any more */
	struct stat st;
	struct tree_piece *pieces; /* in order, without holes; none: all is read after the thaw */
	size_t n_pieces;
	uint64_t have;		 /* bytes of the file that are in pieces */
	uint64_t live;		 /* of these, those that were copied before the stop */
	const struct buf *stop;	 /* memory of the stop */
	unsigned char *compared; /* as long as the longest read */
	size_t compared_size;
	bool differs; /* found while reading: the file has other bytes than the copy */
};

/*
 * tree_later_new - for a file that is in the tree now.
 * @st: what it must be (device, inode)
 * Returns 0, 1 when it cannot be opened or is another file by now, or -ENOMEM.
 */
int tree_later_new(int dirfd, const char *name, const struct stat *st, const struct buf *stop,
		   struct tree_later **ret, struct error *err) _must_check_;
void tree_later_free(struct tree_later *later); /* accepts NULL */

/* tree_later_keep - the first len bytes of the file are at pos of fd (borrowed). */
int tree_later_keep(struct tree_later *later, int fd, uint64_t pos, uint64_t len,
		    struct error *err) _must_check_;

/* tree_later_same - does the file begin with what is copied of it? While the container runs. */
bool tree_later_same(struct tree_later *later);

/*
 * tree_later_grow - copy what came behind what is there.
 * @spill, *pos: a file for it and its end; @spill < 0: the memory of the stop, which is *stop
 * Returns 0 or a negative errno.
 */
int tree_later_grow(struct tree_later *later, const struct stat *st, int spill, uint64_t *pos,
		    struct buf *stop, struct error *err) _must_check_;

/* tree_later_read - for struct tree_file: the copy, or the file where there is none. What was
 * copied before the stop is compared with the file by the way. */
ssize_t tree_later_read(void *ctx, uint64_t off, void *data, size_t len);
