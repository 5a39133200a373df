// SPDX-License-Identifier: Apache-2.0
/*
 * tree-later: see tree-later.h.
 */
#include "object/tree-later.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

#define LATER_BLOCK ((size_t)1 << 20)

int tree_later_new(int dirfd, const char *name, const struct stat *st, const struct buf *stop,
		   struct tree_later **ret, struct error *err)
{
	struct tree_later *later;
	struct stat now;
	int fd;

	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOATIME);
	if (fd < 0)
		return 1;
	if (fstat(fd, &now) < 0 || now.st_ino != st->st_ino || now.st_dev != st->st_dev) {
		close(fd);
		return 1;
	}
	later = calloc(1, sizeof(*later));
	if (!later) {
		close(fd);
		return error_nomem(err);
	}
	later->fd = fd;
	later->st = *st;
	later->stop = stop;
	*ret = later;
	return 0;
}

void tree_later_free(struct tree_later *later)
{
	if (!later)
		return;
	close(later->fd);
	free(later->pieces);
	free(later->compared);
	free(later);
}

int tree_later_keep(struct tree_later *later, int fd, uint64_t pos, uint64_t len, struct error *err)
{
	struct tree_piece *pieces;

	pieces = realloc(later->pieces, (later->n_pieces + 1) * sizeof(*pieces));
	if (!pieces)
		return error_nomem(err);
	later->pieces = pieces;
	pieces[later->n_pieces++] =
		(struct tree_piece){ .fd = fd, .pos = pos, .off = later->have, .len = len };
	later->have += len;
	if (fd >= 0)
		later->live = later->have;
	return 0;
}

static ssize_t copy_read(const struct tree_later *later, uint64_t off, void *data, size_t len)
{
	const struct tree_piece *p;

	for (p = later->pieces; p < later->pieces + later->n_pieces; p++) {
		if (off < p->off || off - p->off >= p->len)
			continue;
		len = (size_t)MIN((uint64_t)len, p->len - (off - p->off));
		if (p->fd >= 0)
			return pread(p->fd, data, len, (off_t)(p->pos + (off - p->off)));
		memcpy(data, later->stop->data + p->pos + (off - p->off), len);
		return (ssize_t)len;
	}
	return 0;
}

static void compare(struct tree_later *later, uint64_t off, const void *data, size_t len)
{
	if (later->differs || off >= later->live)
		return;
	len = (size_t)MIN((uint64_t)len, later->live - off);
	if (later->compared_size < len) {
		free(later->compared);
		later->compared = malloc(len);
		later->compared_size = later->compared ? len : 0;
	}
	if (!later->compared ||
	    pread(later->fd, later->compared, len, (off_t)off) != (ssize_t)len ||
	    memcmp(later->compared, data, len) != 0)
		later->differs = true;
}

ssize_t tree_later_read(void *ctx, uint64_t off, void *data, size_t len)
{
	struct tree_later *later = ctx;
	ssize_t n;

	if (!later->n_pieces) {
		n = pread(later->fd, data, len, (off_t)off);
		return n < 0 ? -errno : n;
	}
	n = copy_read(later, off, data, len);
	if (n > 0)
		compare(later, off, data, (size_t)n);
	return n < 0 ? -errno : n;
}

bool tree_later_same(struct tree_later *later)
{
	_cleanup_free_ unsigned char *block = malloc(LATER_BLOCK);
	uint64_t off;
	ssize_t n;

	later->differs = !block;
	for (off = 0; off < later->live && !later->differs; off += (uint64_t)n) {
		n = tree_later_read(later, off, block,
				    (size_t)MIN((uint64_t)LATER_BLOCK, later->live - off));
		if (n <= 0)
			later->differs = true;
	}
	return !later->differs;
}

/* The next bytes of the file, to the end of a buffer. Returns how many, 0 at its end. */
static ssize_t read_more(int fd, uint64_t off, uint64_t len, struct buf *to, struct error *err)
{
	ssize_t n;
	int r = buf_reserve(to, (size_t)len, err);

	if (r < 0)
		return r;
	do
		n = pread(fd, to->data + to->len, (size_t)len, (off_t)off);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return 0; /* what cannot be read is missing, and found missing by who reads on */
	to->len += (size_t)n;
	return n;
}

int tree_later_grow(struct tree_later *later, const struct stat *st, int spill, uint64_t *pos,
		    struct buf *stop, struct error *err)
{
	_cleanup_buf_ struct buf block = BUF_INIT;
	uint64_t off = later->have, end = (uint64_t)st->st_size;
	uint64_t at = spill >= 0 ? *pos : stop->len;
	ssize_t n = 1;
	int r = 0;

	later->st = *st;
	for (; off < end && n > 0 && r >= 0; off += (uint64_t)n) {
		block.len = 0;
		n = read_more(later->fd, off, MIN((uint64_t)LATER_BLOCK, end - off),
			      spill >= 0 ? &block : stop, err);
		if (n < 0)
			return (int)n;
		if (spill >= 0 && n > 0)
			r = fd_write_all(spill, block.data, block.len, err);
	}
	if (r < 0)
		return r;
	if (spill >= 0)
		*pos += off - later->have;
	return tree_later_keep(later, spill, at, off - later->have, err);
}
