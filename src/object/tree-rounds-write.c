// SPDX-License-Identifier: Apache-2.0
/*
 * tree-rounds-write: what the rounds of tree-rounds.c come to, as one tar. After the thaw.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "object/tree-later.h"
#include "object/tree-rounds.h"

#define PIECE ((size_t)1 << 20)

bool tree_rounds_has(const struct tree_rounds *t, const char *path)
{
	const struct tree_entry *entry = tree_table_find(&t->table, path);

	return entry && entry->there;
}

bool tree_rounds_touched(const struct tree_rounds *t, const char *path)
{
	size_t i;

	if (t->walking)
		return true;
	for (i = 0; i < t->n_changed; i++)
		if (!strcmp(t->changed[i]->path, path) ||
		    tree_path_below(t->changed[i]->path, path))
			return true;
	return false;
}

static int by_place(const void *a, const void *b)
{
	const struct tree_entry *x = *(struct tree_entry *const *)a;
	const struct tree_entry *y = *(struct tree_entry *const *)b;

	if (x->round != y->round)
		return x->round < y->round ? -1 : 1;
	return x->start == y->start ? 0 : x->start < y->start ? -1 : 1;
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct tree_entry *const *)a)->path,
		      (*(struct tree_entry *const *)b)->path);
}

enum wanted { COPIED, LATER, GONE };

/* The entries of one sort; *ret is the caller's to free. */
static int collect(const struct tree_rounds *t, enum wanted wanted, struct tree_entry ***ret,
		   size_t *ret_n, struct error *err)
{
	struct tree_entry *entry, **list;
	size_t at = 0, n = 0;
	bool good;

	list = calloc(t->table.n_entries + 1, sizeof(struct tree_entry *));
	if (!list)
		return error_nomem(err);
	while ((entry = tree_table_next(&t->table, &at))) {
		if (wanted == GONE)
			good = entry->gone;
		else if (wanted == LATER)
			good = entry->later;
		else
			good = !entry->later && entry->end > entry->start;
		if (good && entry->there)
			list[n++] = entry;
	}
	if (n)
		qsort(list, n, sizeof(struct tree_entry *), wanted == COPIED ? by_place : by_name);
	*ret = list;
	*ret_n = n;
	return 0;
}

static int write_range(const struct tree_rounds *t, unsigned int round, uint64_t start,
		       uint64_t end, unsigned char *piece, const struct tree_sink *sink,
		       struct error *err)
{
	int fd = t->rounds[round].fd, r;
	ssize_t n;

	if (fd < 0)
		return sink->write(sink->ctx, t->stop.data + start, (size_t)(end - start), err);
	for (; start < end; start += (uint64_t)n) {
		r = op_cancelled(t->opt.op, err);
		if (r < 0)
			return r;
		n = pread(fd, piece, (size_t)MIN((uint64_t)PIECE, end - start), (off_t)start);
		if (n < 0 && errno == EINTR) {
			n = 0;
			continue;
		}
		if (n <= 0)
			return error_errno(err, n ? errno : EIO,
					   "cannot read a copy of the container's files");
		r = sink->write(sink->ctx, piece, (size_t)n, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int write_copied(const struct tree_rounds *t, const struct tree_sink *sink,
			struct error *err)
{
	_cleanup_free_ unsigned char *piece = malloc(PIECE);
	_cleanup_free_ struct tree_entry **list = NULL;
	size_t n = 0, i, first;
	int r;

	if (!piece)
		return error_nomem(err);
	r = collect(t, COPIED, &list, &n, err);
	for (i = 0; i < n && r == 0; i++) {
		/* neighbours go in one piece */
		for (first = i; i + 1 < n && list[i + 1]->round == list[first]->round &&
				list[i + 1]->start == list[i]->end;
		     i++)
			;
		r = write_range(t, list[first]->round, list[first]->start, list[i]->end, piece,
				sink, err);
	}
	return r;
}

static int write_later(struct tree_rounds *t, const struct tree_sink *sink, struct error *err)
{
	struct tree_write_options opt = {
		.op = t->opt.op,
		.prefix = t->opt.prefix,
		.gzip = -1,
		.xattr_skip = t->opt.xattr_skip,
		.note = tree_rounds_note,
		.ctx = t,
	};
	_cleanup_free_ struct tree_entry **list = NULL;
	_cleanup_free_ struct tree_file *files = NULL;
	struct tree_later *later;
	size_t n = 0, i;
	int r;

	r = collect(t, LATER, &list, &n, err);
	if (r < 0)
		return r;
	files = calloc(n + 1, sizeof(*files));
	if (!files)
		return error_nomem(err);
	for (i = 0; i < n; i++) {
		later = list[i]->later;
		files[i] = (struct tree_file){ .path = list[i]->path,
					       .fd = later->fd,
					       .st = later->st,
					       .read = tree_later_read,
					       .ctx = later };
	}
	r = tree_write_files(&opt, files, n, sink, err);
	for (i = 0; i < n && r == 0; i++) {
		later = list[i]->later;
		if (later->differs)
			tree_rounds_note(t, list[i]->path,
					 "changed while it was copied: its beginning is older than "
					 "the checkpoint");
		else if (!later->n_pieces)
			tree_rounds_note(t, list[i]->path,
					 "was written to, and is too large to be copied while the "
					 "container stands still: copied right after it");
	}
	return r;
}

int tree_rounds_write(struct tree_rounds *t, const struct tree_sink *sink, struct error *err)
{
	int r = write_copied(t, sink, err);

	if (r == 0)
		r = write_later(t, sink, err); /* and the end of the tar */
	return r == 0 && t->failed ? error_nomem(err) : r;
}

/* What an earlier round said of a file that a later one copied is over. So is what was said of one
 * that only grew: its beginning was compared. */
static bool note_holds(const struct tree_rounds *t, const struct tree_round_note *note)
{
	const struct tree_entry *entry = note->entry;

	if (note->round == t->n)
		return true;
	return entry->there ? note->round == entry->round && !entry->later : !entry->lost;
}

static bool note_said(const struct tree_rounds *t, const struct tree_round_note *note)
{
	const struct tree_round_note *other;

	for (other = t->notes; other < note; other++)
		if (other->entry == note->entry && !strcmp(other->text, note->text))
			return true;
	return false;
}

void tree_rounds_notes(const struct tree_rounds *t, tree_note_fn *fn, void *ctx)
{
	const struct tree_round_note *note;

	for (note = t->notes; note < t->notes + t->n_notes; note++)
		if (note_holds(t, note) && !note_said(t, note))
			fn(ctx, *note->entry->path ? note->entry->path : ".", note->text);
}

int tree_rounds_gone(const struct tree_rounds *t,
		     int (*fn)(void *ctx, const char *path, struct error *err), void *ctx,
		     struct error *err)
{
	_cleanup_free_ struct tree_entry **list = NULL;
	size_t n = 0, i;
	int r;

	r = collect(t, GONE, &list, &n, err);
	for (i = 0; i < n && r == 0; i++)
		r = fn(ctx, list[i]->path, err);
	return r;
}
