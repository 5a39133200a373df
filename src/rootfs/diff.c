// SPDX-License-Identifier: Apache-2.0
/*
 * diff: what a container changed, as a tar and a list; see rootfs.h.
 *
 * For an overlay the upper directory is the answer: every file in it is new or changed, every
 * whiteout a deletion. Where the root is a plain directory, inode change times since the start are
 * the answer; deletions leave no trace there and are not found.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "rootfs/rootfs.h"

/* File times lag behind the clock by a tick, and a runtime's last preparations may come first. */
#define SLACK_NS 20000000

/* The container decides how many odd files it has; it must not decide how long the record gets. */
#define NOTES_MAX 1000

struct diff {
	struct op *op;
	const struct rootfs *rootfs;
	struct rootfs_removed *removed;
	struct gap_list *gaps;
	struct rootfs_round *round; /* NULL: everything is written, nothing is kept */
	const char *prefix;	    /* of overlay's attributes */
	size_t notes;
	bool no_memory;
};

static void diff_note(void *ctx, const char *path, const char *text)
{
	struct diff *d = ctx;

	if (d->notes++ < NOTES_MAX &&
	    gap_add(d->gaps, GAP_DEGRADED, "rootfs", 0, path, "%s", text) < 0)
		d->no_memory = true;
}

static int list_add(struct arena *arena, const char ***list, size_t *n, const char *path,
		    struct error *err)
{
	if (*n >= ROOTFS_REMOVED_MAX)
		return error_set(err, ERROR_SYSTEM, E2BIG, "too many deleted files");
	*list = arena_grow(arena, *list, *n, sizeof(**list));
	if (!*list)
		return error_nomem(err);
	(*list)[*n] = arena_strdup(arena, path);
	if (!(*list)[*n])
		return error_nomem(err);
	(*n)++;
	return 0;
}

/* Has the object the overlay attribute, and does it begin with this letter (0: any value)? */
static bool marked(const struct diff *d, int dirfd, const char *name, const char *mark, char letter)
{
	char self[64 + NAME_MAX], attr[64], value[8];
	ssize_t n;

	snprintf(self, sizeof(self), "/proc/self/fd/%d/%s", dirfd, name);
	snprintf(attr, sizeof(attr), "%s%s", d->prefix, mark);
	n = lgetxattr(self, attr, value, sizeof(value));
	if (n < 0)
		return errno == ERANGE && !letter;
	return !letter || (n >= 1 && value[0] == letter);
}

/* Is path in one of the layers above the n-th lower one? Then it is dealt with, or there. */
static bool above(const struct diff *d, const int *lowers, size_t n, const char *path)
{
	_cleanup_close_ int fd = tree_resolve(d->rootfs->dir_fd, path);
	size_t i;

	if (fd >= 0)
		return true;
	for (i = 0; i < n; i++) {
		_cleanup_close_ int lower = lowers[i] >= 0 ? tree_resolve(lowers[i], path) : -1;

		if (lower >= 0)
			return true;
	}
	return false;
}

/* What a lower layer has in a directory that hides it: deleted, all that is not there again. */
static int hidden_in(struct diff *d, const int *lowers, size_t n, const char *path,
		     unsigned int depth, struct error *err)
{
	_cleanup_closedir_ DIR *dir = NULL;
	char child[TREE_PATH_MAX];
	struct dirent *de;
	struct stat st;
	int r = 0, at, fd;

	at = tree_resolve(lowers[n], path);
	if (at < 0 || depth > TREE_DEPTH_MAX)
		return 0;
	fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOATIME);
	close(at);
	dir = fd < 0 ? NULL : fdopendir(fd);
	while (dir && r >= 0 && (de = readdir(dir))) {
		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, "..") ||
		    (size_t)snprintf(child, sizeof(child), "%s/%s", path, de->d_name) >=
			    sizeof(child) ||
		    fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    (S_ISCHR(st.st_mode) && st.st_rdev == 0))
			continue;
		if (!above(d, lowers, n, child))
			r = list_add(&d->removed->arena, &d->removed->deleted,
				     &d->removed->n_deleted, child, err);
		else if (S_ISDIR(st.st_mode))
			r = hidden_in(d, lowers, n, child, depth + 1, err);
	}
	return r;
}

static int opaque(struct diff *d, const char *path, struct error *err)
{
	const struct rootfs *rootfs = d->rootfs;
	int lowers[ROOTFS_LOWERS_MAX], r;
	size_t i;

	r = list_add(&d->removed->arena, &d->removed->opaque, &d->removed->n_opaque, path, err);
	for (i = 0; i < rootfs->n_lowers && r >= 0; i++) {
		lowers[i] = open(rootfs->lowers[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (lowers[i] >= 0)
			r = hidden_in(d, lowers, i, path, 0, err);
		else
			diff_note(d, path,
				  "what it hides is not known: a lower layer is out of sight");
	}
	while (i-- > 0)
		if (lowers[i] >= 0)
			close(lowers[i]);
	return r;
}

static int choose_overlay(void *ctx, const char *path, int dirfd, const char *name,
			  const struct stat *st, enum tree_choice *ret, struct error *err)
{
	struct diff *d = ctx;
	bool whiteout = S_ISCHR(st->st_mode) && st->st_rdev == 0;

	*ret = TREE_TAKE;
	/* a whiteout may also be an empty file with a mark, where device nodes cannot be made */
	if (!whiteout && S_ISREG(st->st_mode) && st->st_size == 0)
		whiteout = marked(d, dirfd, name, "whiteout", 0);
	if (whiteout) {
		*ret = TREE_SKIP;
		return list_add(&d->removed->arena, &d->removed->deleted, &d->removed->n_deleted,
				path, err);
	}
	if (S_ISREG(st->st_mode) && marked(d, dirfd, name, "metacopy", 0)) {
		*ret = TREE_SKIP;
		diff_note(d, path,
			  "only its attributes were changed (metacopy): they are not captured");
		return 0;
	}
	if (!S_ISDIR(st->st_mode))
		return 0;
	if (marked(d, dirfd, name, "redirect", 0))
		diff_note(d, path,
			  "the directory was renamed: what it has from the base is not captured");
	if (marked(d, dirfd, name, "opaque", 'y'))
		return opaque(d, path, err);
	return 0;
}

static bool since(const struct timespec *t, const struct timespec *start)
{
	int64_t d = (t->tv_sec - start->tv_sec) * 1000000000LL + (t->tv_nsec - start->tv_nsec);

	return d >= -SLACK_NS;
}

static int choose_plain(void *ctx, const char *path, int dirfd, const char *name,
			const struct stat *st, enum tree_choice *ret, struct error *err)
{
	struct diff *d = ctx;

	if (since(&st->st_ctim, &d->rootfs->since) || since(&st->st_mtim, &d->rootfs->since))
		*ret = TREE_TAKE;
	else
		*ret = S_ISDIR(st->st_mode) ? TREE_DESCEND : TREE_SKIP;
	return 0;
}

static bool forced(const struct rootfs_round *round, const char *path)
{
	size_t i;

	for (i = 0; i < round->n_force; i++)
		if (strcmp(round->force[i], path) == 0)
			return true;
	return false;
}

/* What the diff consists of, and of that, what this round has to write. */
static int choose(void *ctx, const char *path, int dirfd, const char *name, const struct stat *st,
		  enum tree_choice *ret, struct error *err)
{
	struct diff *d = ctx;
	struct rootfs_round *round = d->round;
	int r;

	if (d->rootfs->kind == ROOTFS_OVERLAY)
		r = choose_overlay(ctx, path, dirfd, name, st, ret, err);
	else
		r = choose_plain(ctx, path, dirfd, name, st, ret, err);
	if (r < 0 || !round || *ret != TREE_TAKE)
		return r;
	if (!round->since.tv_sec || since(&st->st_ctim, &round->since) ||
	    since(&st->st_mtim, &round->since) || forced(round, path))
		return 0;
	*ret = S_ISDIR(st->st_mode) ? TREE_DESCEND : TREE_SKIP;
	return list_add(&round->arena, &round->kept, &round->n_kept, path, err);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void rootfs_round_deinit(struct rootfs_round *round)
{
	arena_deinit(&round->arena);
	*round = ROOTFS_ROUND_INIT;
}

bool rootfs_round_keeps(const struct rootfs_round *round, const char *path)
{
	return round->n_kept &&
	       bsearch(&path, round->kept, round->n_kept, sizeof(*round->kept), by_name);
}

int rootfs_diff_write(struct op *op, const struct rootfs *rootfs, const struct tree_sink *sink,
		      struct rootfs_removed *removed, struct gap_list *gaps, struct error *err)
{
	return rootfs_diff_round(op, rootfs, sink, NULL, removed, gaps, err);
}

int rootfs_diff_round(struct op *op, const struct rootfs *rootfs, const struct tree_sink *sink,
		      struct rootfs_round *round, struct rootfs_removed *removed,
		      struct gap_list *gaps, struct error *err)
{
	struct diff d = { .op = op,
			  .rootfs = rootfs,
			  .removed = removed,
			  .gaps = gaps,
			  .round = round,
			  .prefix = rootfs->userxattr ? "user.overlay." : "trusted.overlay." };
	struct tree_write_options opt = {
		.op = op,
		.prefix = "",
		.gzip = -1,
		.xattr_skip = d.prefix,
		.choose = choose,
		.note = diff_note,
		.ctx = &d,
	};
	static const unsigned char end[1024]; /* a tar without entries */
	int r;

	if (rootfs->dir_fd < 0)
		return sink->write(sink->ctx, end, sizeof(end), err);
	if (rootfs->kind == ROOTFS_PLAIN &&
	    gap_add(gaps, GAP_COSMETIC, "rootfs", 0, rootfs->path,
		    "not an overlay: files that were deleted since the start leave no trace") < 0)
		return error_nomem(err);
	r = tree_write(rootfs->dir_fd, &opt, sink, err);
	if (d.notes > NOTES_MAX &&
	    gap_add(gaps, GAP_DEGRADED, "rootfs", 0, rootfs->path,
		    "%zu more files are not as they were", d.notes - NOTES_MAX) < 0)
		d.no_memory = true;
	if (r >= 0 && d.no_memory)
		r = error_nomem(err);
	if (round && round->n_kept)
		qsort(round->kept, round->n_kept, sizeof(*round->kept), by_name);
	if (r < 0)
		return error_while(err, r, "reading the container's files in %s",
				   rootfs->upper ?: rootfs->path);
	return 0;
}
