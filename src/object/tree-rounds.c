// SPDX-License-Identifier: Apache-2.0
/*
 * tree-rounds: see tree-rounds.h.
 *
 * The table says of each path which round's copy is good; a later round's replaces it. Times lag
 * behind the clock, so a round that goes by times takes what changed shortly before the last one
 * began once more.
 */
#include "object/tree-rounds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "object/tree-later.h"
#include "object/tree-watch.h"

#define ROUND_ENOUGH  ((uint64_t)256 << 10) /* bytes: after so small a round the stop can come */
#define SLACK_NS      20000000		    /* of file times behind the clock */
#define LARGE	      ((off_t)1 << 20)	    /* bytes from which it pays not to copy a file again */
#define STOP_RESERVED ((size_t)4 << 20)	    /* memory of the stop that is faulted in before */
#define NOTES_MAX     4096

static int unnamed_file(int dir)
{
	int fd = dir >= 0 ? openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;

	return fd >= 0 ? fd : memfd_create("amber-files", MFD_CLOEXEC);
}

int tree_rounds_new(const struct tree_rounds_options *opt, struct tree_rounds **ret,
		    struct error *err)
{
	struct tree_rounds *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return error_nomem(err);
	t->opt = *opt;
	t->spill = -1;
	t->budget = opt->stop_budget ?: TREE_STOP_BUDGET;
	/* before the first file is read: nothing may change unseen */
	r = opt->watch ? tree_watch_new(opt->dirfd, &t->watch) : 0;
	if (r < 0)
		op_debug(opt->op, "changes of files are found by their times: %s", strerror(-r));
	r = buf_reserve(&t->stop, STOP_RESERVED, err);
	if (r < 0) {
		tree_rounds_free(t);
		return r;
	}
	/* The pages of fresh memory come one by one as they are touched: not in the stop. */
	memset(t->stop.data, 0, STOP_RESERVED);
	*ret = t;
	return 0;
}

void tree_rounds_free(struct tree_rounds *t)
{
	struct tree_entry *entry;
	size_t at = 0;
	unsigned int i;

	if (!t)
		return;
	while ((entry = tree_table_next(&t->table, &at)))
		tree_later_free(entry->later);
	for (i = 0; i < t->n; i++)
		if (t->rounds[i].fd >= 0)
			close(t->rounds[i].fd);
	if (t->spill >= 0)
		close(t->spill);
	tree_watch_free(t->watch);
	tree_table_deinit(&t->table);
	arena_deinit(&t->arena);
	buf_deinit(&t->stop);
	buf_deinit(&t->tails);
	free(t);
}

/* Did it change since (about) the time when the round before began? */
static bool recent(const struct tree_rounds *t, const struct stat *st)
{
	const struct timespec *began = &t->rounds[t->n - 1].began;
	const struct timespec *last = &st->st_ctim;

	if (st->st_mtim.tv_sec > last->tv_sec ||
	    (st->st_mtim.tv_sec == last->tv_sec && st->st_mtim.tv_nsec > last->tv_nsec))
		last = &st->st_mtim;
	return (last->tv_sec - began->tv_sec) * 1000000000LL + last->tv_nsec - began->tv_nsec >=
	       -SLACK_NS;
}

/* Marks are numbers of rounds from 1: 0 is "never". */
static bool is_changed(const struct tree_rounds *t, const struct tree_entry *entry)
{
	return entry->changed == t->n + 1;
}

static int mark(struct tree_rounds *t, const char *path, bool below, struct error *err)
{
	struct tree_entry *entry = tree_table_get(&t->table, path);

	if (!entry)
		return error_nomem(err);
	if (!is_changed(t, entry)) {
		t->changed = arena_grow(&t->arena, t->changed, t->n_changed, sizeof(*t->changed));
		if (!t->changed)
			return error_nomem(err);
		t->changed[t->n_changed++] = entry;
		entry->changed = t->n + 1;
		entry->below = false;
	}
	entry->below |= below;
	return 0;
}

static int told(void *ctx, const char *path, unsigned int changes, struct error *err)
{
	struct tree_rounds *t = ctx;
	char parent[TREE_PATH_MAX];
	const char *slash;
	int r;

	r = mark(t, path, changes & TREE_NAMED && changes & TREE_DIRECTORY, err);
	if (r < 0 || !(changes & TREE_NAMED))
		return r;
	slash = strrchr(path, '/');
	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) : 0, path);
	return mark(t, parent, false, err); /* its times */
}

void tree_rounds_note(void *ctx, const char *path, const char *text)
{
	struct tree_rounds *t = ctx;
	struct tree_round_note *to;

	if (t->n_notes == NOTES_MAX)
		return;
	t->notes = arena_grow(&t->arena, t->notes, t->n_notes, sizeof(*t->notes));
	to = t->notes ? &t->notes[t->n_notes] : NULL;
	if (to) {
		to->entry = tree_table_get(&t->table, strcmp(path, ".") ? path : "");
		to->round = t->n;
		to->text = arena_strdup(&t->arena, text);
	}
	if (!to || !to->entry || !to->text)
		t->failed = -ENOMEM;
	else
		t->n_notes++;
}

static void wrote(void *ctx, const char *path, uint64_t start, uint64_t data, uint64_t end)
{
	struct tree_rounds *t = ctx;
	struct tree_entry *entry = tree_table_get(&t->table, path);

	if (!entry) {
		t->failed = -ENOMEM;
		return;
	}
	entry->there = true;
	entry->round = entry->seen = t->n;
	entry->start = start;
	entry->data = data;
	entry->end = end;
}

/* The copy that there is of a file is the beginning of it, as far as can be told. */
static bool only_grew(const struct tree_entry *entry, const struct stat *st)
{
	if (!entry->there || entry->rewritten || entry->ino != st->st_ino ||
	    (uint64_t)st->st_blocks * 512 < (uint64_t)st->st_size)
		return false;
	if (entry->later)
		return entry->later->n_pieces && st->st_size >= entry->size;
	return entry->size >= LARGE && st->st_size > entry->size &&
	       entry->end - entry->data >= (uint64_t)entry->size;
}

/* A large file that changed. *ret_skip: what it holds is not to be copied in this round. */
static int large(struct tree_rounds *t, struct tree_entry *entry, int dirfd, const char *name,
		 const struct stat *st, bool *ret_skip, struct error *err)
{
	bool grew = only_grew(entry, st), known = entry->later;
	struct tree_later *later = entry->later;
	uint64_t bytes;
	int r = 0;

	*ret_skip = false;
	/* Only a look at the file tells a log from a database. The first look is this one: what
	 * fits is copied whole. */
	if (t->standing && !known && (uint64_t)st->st_size <= t->budget / 4)
		grew = false;
	bytes = grew ? (uint64_t)(st->st_size - entry->size)
		     : MIN((uint64_t)st->st_size, (uint64_t)st->st_blocks * 512);
	if (grew && bytes <= t->budget) {
		if (!known)
			r = tree_later_new(dirfd, name, st, &t->tails, &later, err);
		if (r == 0 && !known)
			r = tree_later_keep(later, t->rounds[entry->round].fd, entry->data,
					    (uint64_t)entry->size, err);
		entry->later = later;
		if (r != 0)
			return MIN(r, 0);
		if (t->standing || known || tree_later_same(later)) {
			*ret_skip = true;
			if (t->standing)
				t->budget -= bytes;
			else if (t->spill < 0)
				t->spill = unnamed_file(t->opt.spill_dir);
			entry->size = st->st_size;
			entry->seen = t->n;
			return tree_later_grow(later, st, t->standing ? -1 : t->spill, &t->spilled,
					       &t->tails, err);
		}
		entry->rewritten = true;
	}
	tree_later_free(entry->later);
	entry->later = NULL;
	if (!t->standing || bytes <= t->budget) {
		t->budget -= t->standing ? bytes : 0;
		return 0;
	}
	r = tree_later_new(dirfd, name, st, &t->tails, &entry->later, err);
	*ret_skip = r == 0;
	return MIN(r, 0);
}

static int remember_link(struct tree_rounds *t, struct tree_entry *entry, ino_t ino,
			 struct error *err)
{
	if (entry->linked && entry->ino == ino)
		return 0;
	t->linked = arena_grow(&t->arena, t->linked, t->n_linked, sizeof(*t->linked));
	if (!t->linked)
		return error_nomem(err);
	t->linked[t->n_linked++] = (struct tree_linked){ ino, entry };
	return 0;
}

/* It goes into this round. */
static int take(struct tree_rounds *t, struct tree_entry *entry, int dirfd, const char *name,
		const struct stat *st, enum tree_choice *ret, struct error *err)
{
	bool linked = !S_ISDIR(st->st_mode) && st->st_nlink > 1, skip = false;
	int r = 0;

	if (linked)
		r = remember_link(t, entry, st->st_ino, err);
	if (r == 0 && t->n && S_ISREG(st->st_mode) && st->st_size >= LARGE && !linked)
		r = large(t, entry, dirfd, name, st, &skip, err);
	if (r < 0)
		return r;
	if (!skip) {
		tree_later_free(entry->later);
		entry->later = NULL;
		entry->start = entry->data = entry->end = 0;
	}
	if (!skip || !entry->later->n_pieces)
		entry->round = t->n;
	entry->there = true;
	entry->seen = t->n;
	entry->ino = st->st_ino;
	entry->size = st->st_size;
	entry->linked = linked;
	entry->dir = S_ISDIR(st->st_mode);
	if (skip)
		*ret = TREE_SKIP;
	else
		*ret = entry->dir && !t->walking && is_changed(t, entry) && !entry->below
			       ? TREE_ALONE
			       : TREE_TAKE;
	return 0;
}

static int choose(void *ctx, const char *path, int dirfd, const char *name, const struct stat *st,
		  enum tree_choice *ret, struct error *err)
{
	struct tree_rounds *t = ctx;
	struct tree_entry *entry;
	int r;

	*ret = TREE_TAKE;
	r = t->opt.choose ? t->opt.choose(t->opt.ctx, path, dirfd, name, st, ret, err) : 0;
	if (r < 0 || (*ret != TREE_TAKE && *ret != TREE_GONE))
		return r;
	entry = tree_table_get(&t->table, path);
	if (!entry)
		return error_nomem(err);
	entry->gone = *ret == TREE_GONE;
	if (entry->gone) {
		entry->there = true;
		entry->round = entry->seen = t->n;
		entry->start = entry->data = entry->end = 0;
		return 0;
	}
	if (t->n && t->walking && entry->there && entry->ino == st->st_ino && !recent(t, st) &&
	    !is_changed(t, entry)) {
		entry->seen = t->n;
		*ret = entry->dir ? TREE_DESCEND : TREE_SKIP;
		return 0;
	}
	return take(t, entry, dirfd, name, st, ret, err);
}

static void lose(struct tree_entry *entry)
{
	entry->there = entry->gone = false;
	entry->lost = true;
	tree_later_free(entry->later);
	entry->later = NULL;
}

static void lose_below(struct tree_rounds *t, const char *path)
{
	struct tree_entry *entry;
	size_t at = 0;

	while ((entry = tree_table_next(&t->table, &at)))
		if (entry->there && tree_path_below(entry->path, path))
			lose(entry);
}

static int stat_path(const struct tree_rounds *t, const char *path, struct stat *st)
{
	_cleanup_close_ int fd = tree_resolve(t->opt.dirfd, path);

	if (fd < 0)
		return fd;
	return fstat(fd, st) < 0 ? -errno : 0;
}

/*
 * A file with several names is copied under one of them; when it changes under one name it changes
 * under all. Returns 1 when there is a name that is not known: somebody has to look for it.
 */
static int mark_links(struct tree_rounds *t, struct error *err)
{
	struct tree_entry *entry;
	size_t i, k, names;
	struct stat st;
	bool several;
	ino_t ino;
	int r;

	for (i = 0; i < t->n_changed; i++) {
		entry = t->changed[i];
		several = stat_path(t, entry->path, &st) == 0 && !S_ISDIR(st.st_mode) &&
			  st.st_nlink > 1;
		if (!several && !entry->linked)
			continue;
		ino = several ? st.st_ino : entry->ino;
		names = !(entry->linked && entry->ino == ino);
		for (k = 0; k < t->n_linked; k++) {
			if (t->linked[k].ino != ino)
				continue;
			names++;
			r = mark(t, t->linked[k].entry->path, false, err);
			if (r < 0)
				return r;
		}
		if (several) {
			if (names < st.st_nlink)
				return 1;
			r = remember_link(t, entry, ino, err);
			if (r < 0)
				return r;
			entry->linked = true;
			entry->ino = ino;
		}
	}
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return tree_path_compare((*(struct tree_entry *const *)a)->path,
				 (*(struct tree_entry *const *)b)->path);
}

/* What changed, each once: paths below one that is walked anyway are left out. */
static int changed_paths(struct tree_rounds *t, const char ***ret, size_t *ret_n, struct error *err)
{
	struct tree_entry *walked = NULL, *entry;
	const char **paths;
	struct stat st;
	size_t i;

	paths = arena_array(&t->arena, const char *, t->n_changed + 1);
	if (!paths)
		return error_nomem(err);
	*ret_n = 0;
	if (t->n_changed)
		qsort(t->changed, t->n_changed, sizeof(*t->changed), by_path);
	for (i = 0; i < t->n_changed; i++) {
		entry = t->changed[i];
		if (walked && tree_path_below(entry->path, walked->path)) {
			entry->below = true; /* reached from above: with all that is in it */
			continue;
		}
		if (entry->dir && entry->there &&
		    (entry->below || stat_path(t, entry->path, &st) < 0 || !S_ISDIR(st.st_mode)))
			lose_below(t, entry->path);
		if (entry->below)
			walked = entry;
		paths[(*ret_n)++] = entry->path;
	}
	*ret = paths;
	return 0;
}

static int round_sink(void *ctx, const void *data, size_t len, struct error *err)
{
	struct tree_rounds *t = ctx;
	int fd = t->rounds[t->n].fd;

	t->rounds[t->n].bytes += len;
	return fd >= 0 ? fd_write_all(fd, data, len, err) : buf_append(&t->stop, data, len, err);
}

static int round_walk(struct tree_rounds *t, const struct tree_write_options *opt,
		      const struct tree_sink *sink, struct error *err)
{
	struct tree_entry *entry;
	size_t at = 0;
	int r;

	t->walking = true;
	r = tree_write(t->opt.dirfd, opt, sink, err);
	while (r >= 0 && t->n && (entry = tree_table_next(&t->table, &at)))
		if (entry->there && entry->seen != t->n)
			lose(entry);
	return r;
}

static int round_changed(struct tree_rounds *t, const struct tree_write_options *opt,
			 const struct tree_sink *sink, struct error *err)
{
	struct tree_entry *entry;
	const char **paths = NULL;
	size_t n = 0, i;
	int r;

	t->walking = false;
	r = changed_paths(t, &paths, &n, err);
	if (r == 0)
		r = tree_write_paths(t->opt.dirfd, opt, paths, n, sink, err);
	/* What was looked for and not found. */
	for (i = 0; i < t->n_changed && r >= 0; i++) {
		entry = t->changed[i];
		if (entry->there && entry->seen != t->n)
			lose(entry);
	}
	return r;
}

static int run_round(struct tree_rounds *t, struct error *err)
{
	struct tree_write_options opt = {
		.op = t->opt.op,
		.prefix = t->opt.prefix,
		.gzip = -1,
		.max_bytes = t->opt.max_bytes,
		.unbuffered = t->standing,
		.xattr_skip = t->opt.xattr_skip,
		.choose = choose,
		.note = tree_rounds_note,
		.entry = wrote,
		.ctx = t,
	};
	struct tree_sink sink = { round_sink, t };
	struct tree_round *round = &t->rounds[t->n];
	int r = 0;

	round->fd = t->standing ? -1 : unnamed_file(t->opt.spill_dir);
	if (round->fd < 0 && !t->standing)
		return error_errno(err, errno, "cannot make a place for the container's files");
	clock_gettime(CLOCK_REALTIME_COARSE, &round->began);
	if (t->watch && t->n) {
		r = tree_watch_read(t->watch, told, t, err);
		t->lost = r > 0;
		if (r == 0)
			r = mark_links(t, err);
	}
	if (r >= 0)
		r = t->watch && t->n && r == 0 ? round_changed(t, &opt, &sink, err)
					       : round_walk(t, &opt, &sink, err);
	if (r >= 0 && t->failed)
		r = error_nomem(err);
	op_debug(t->opt.op, "files, round %u: %zu changed%s, %llu bytes", t->n + 1, t->n_changed,
		 t->walking ? ", all looked at" : "", (unsigned long long)round->bytes);
	t->n++;
	return r;
}

int tree_rounds_copy(struct tree_rounds *t, struct error *err)
{
	if (t->n >= TREE_ROUNDS_MAX)
		return 0;
	t->n_changed = 0;
	t->changed = NULL;
	return run_round(t, err);
}

int tree_rounds_settle(struct tree_rounds *t, struct error *err)
{
	unsigned int first = t->n;
	uint64_t bytes, before;
	int r;

	bytes = UINT64_MAX;
	do {
		before = bytes;
		r = tree_rounds_copy(t, err);
		bytes = t->rounds[t->n - 1].bytes;
	} while (r >= 0 && t->n < first + 3 && t->n < TREE_ROUNDS_MAX && bytes > ROUND_ENOUGH &&
		 bytes < before / 2);
	return r;
}

int tree_rounds_last(struct tree_rounds *t, const struct tree_written *written, size_t n_written,
		     struct error *err)
{
	struct tree_entry *entry;
	struct stat st;
	size_t i;
	int r = 0;

	t->n_changed = 0;
	t->changed = NULL;
	for (i = 0; t->n && i < n_written && r == 0; i++) {
		if (!written[i].mapped &&
		    (stat_path(t, written[i].path, &st) < 0 || !recent(t, &st)))
			continue;
		r = mark(t, written[i].path, false, err);
		entry = tree_table_find(&t->table, written[i].path);
		if (entry && written[i].mapped)
			entry->rewritten = true;
	}
	t->standing = true;
	return r < 0 ? r : run_round(t, err);
}
