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
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "object/tree-watch.h"
#include "rootfs/rootfs.h"

/* File times lag behind the clock by a tick, and a runtime's last preparations may come first. */
#define SLACK_NS 20000000

/* The container decides how many odd files it has; it must not decide how long the record gets. */
#define NOTES_MAX 1000

/* A directory that was made anew, and what it hides. */
struct opaque_dir {
	struct opaque_dir *next;
	char *path;
	bool opaque; /* as it was looked at last */
	bool fresh;  /* what it hides is not known yet */
	struct rootfs_removed hidden;
};

struct rootfs_copy {
	struct op *op;
	const struct rootfs *rootfs;
	const char *prefix; /* of overlay's attributes */
	struct tree_rounds *rounds;
	struct opaque_dir *opaque;
	bool followed; /* a first round is over */
};

/* Where notes go in the end. */
struct diff_notes {
	struct gap_list *gaps;
	size_t n;
	bool no_memory;
};

static void diff_note(void *ctx, const char *path, const char *text)
{
	struct diff_notes *notes = ctx;

	if (notes->n++ < NOTES_MAX &&
	    gap_add(notes->gaps, GAP_DEGRADED, "rootfs", 0, path, "%s", text) < 0)
		notes->no_memory = true;
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
static bool marked(const struct rootfs_copy *d, int dirfd, const char *name, const char *mark,
		   char letter)
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
static bool above(const struct rootfs_copy *d, const int *lowers, size_t n, const char *path)
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
static int hidden_in(const struct rootfs_copy *d, struct rootfs_removed *to, const int *lowers,
		     size_t n, const char *path, unsigned int depth, struct error *err)
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
			r = list_add(&to->arena, &to->deleted, &to->n_deleted, child, err);
		else if (S_ISDIR(st.st_mode))
			r = hidden_in(d, to, lowers, n, child, depth + 1, err);
	}
	return r;
}

/* Look again at what an opaque directory hides. */
static int opaque_look(struct rootfs_copy *d, struct opaque_dir *dir, struct error *err)
{
	const struct rootfs *rootfs = d->rootfs;
	int lowers[ROOTFS_LOWERS_MAX], r = 0;
	size_t i;

	rootfs_removed_deinit(&dir->hidden);
	dir->fresh = false;
	for (i = 0; i < rootfs->n_lowers && r >= 0; i++) {
		lowers[i] = open(rootfs->lowers[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (lowers[i] >= 0)
			r = hidden_in(d, &dir->hidden, lowers, i, dir->path, 0, err);
		else
			tree_rounds_note(d->rounds, dir->path,
					 "what it hides is not known: a lower layer is out of "
					 "sight");
	}
	while (i-- > 0)
		if (lowers[i] >= 0)
			close(lowers[i]);
	return r;
}

/* After a round: what opaque directories hide may have come back, or be hidden now. */
static int opaque_look_all(struct rootfs_copy *d, struct error *err)
{
	struct opaque_dir *dir;
	int r = 0;

	for (dir = d->opaque; dir && r >= 0; dir = dir->next)
		if (dir->opaque && tree_rounds_has(d->rounds, dir->path) &&
		    (dir->fresh || tree_rounds_touched(d->rounds, dir->path)))
			r = opaque_look(d, dir, err);
	return r;
}

static int opaque_note(struct rootfs_copy *d, const char *path, bool opaque, struct error *err)
{
	struct opaque_dir *dir;

	for (dir = d->opaque; dir && strcmp(dir->path, path) != 0; dir = dir->next)
		;
	if (dir)
		dir->opaque = opaque;
	if (dir || !opaque)
		return 0;
	dir = calloc(1, sizeof(*dir));
	if (!dir)
		return error_nomem(err);
	dir->path = strdup(path);
	if (!dir->path) {
		free(dir);
		return error_nomem(err);
	}
	dir->opaque = dir->fresh = true;
	dir->next = d->opaque;
	d->opaque = dir;
	return 0;
}

static int choose_overlay(void *ctx, const char *path, int dirfd, const char *name,
			  const struct stat *st, enum tree_choice *ret, struct error *err)
{
	struct rootfs_copy *d = ctx;
	bool whiteout = S_ISCHR(st->st_mode) && st->st_rdev == 0;

	*ret = TREE_TAKE;
	/* a whiteout may also be an empty file with a mark, where device nodes cannot be made */
	if (!whiteout && S_ISREG(st->st_mode) && st->st_size == 0)
		whiteout = marked(d, dirfd, name, "whiteout", 0);
	if (whiteout) {
		*ret = TREE_GONE;
		return 0;
	}
	if (S_ISREG(st->st_mode) && marked(d, dirfd, name, "metacopy", 0)) {
		*ret = TREE_SKIP;
		tree_rounds_note(
			d->rounds, path,
			"only its attributes were changed (metacopy): they are not captured");
		return 0;
	}
	if (!S_ISDIR(st->st_mode))
		return 0;
	if (marked(d, dirfd, name, "redirect", 0))
		tree_rounds_note(
			d->rounds, path,
			"the directory was renamed: what it has from the base is not captured");
	return opaque_note(d, path, marked(d, dirfd, name, "opaque", 'y'), err);
}

static bool since(const struct timespec *t, const struct timespec *start)
{
	int64_t d = (t->tv_sec - start->tv_sec) * 1000000000LL + (t->tv_nsec - start->tv_nsec);

	return d >= -SLACK_NS;
}

static int choose_plain(void *ctx, const char *path, int dirfd, const char *name,
			const struct stat *st, enum tree_choice *ret, struct error *err)
{
	struct rootfs_copy *d = ctx;

	if (since(&st->st_ctim, &d->rootfs->since) || since(&st->st_mtim, &d->rootfs->since))
		*ret = TREE_TAKE;
	else
		*ret = S_ISDIR(st->st_mode) ? TREE_DESCEND : TREE_SKIP;
	return 0;
}

/*
 * On overlay the writes go to the upper directory by the kernel's own hand. Not every kernel tells
 * of them there: a small overlay of our own, which nobody else sees, shows whether this one does.
 */
static int told_of_write(void *ctx, const char *path, unsigned int changes, struct error *err)
{
	bool *told = ctx;

	*told |= !strcmp(path, "f") && changes & TREE_CHANGED;
	return 0;
}

static int own_tmpfs(void)
{
	_cleanup_close_ int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return fsmount(fs, FSMOUNT_CLOEXEC, 0);
}

static int own_overlay(int tmpfs)
{
	static const char *const parts[] = { "lowerdir", "upperdir", "workdir" };
	_cleanup_close_ int fs = fsopen("overlay", FSOPEN_CLOEXEC);
	char path[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", tmpfs, parts[i]);
		if (mkdirat(tmpfs, parts[i], 0700) < 0 ||
		    fsconfig(fs, FSCONFIG_SET_STRING, parts[i], path, 0) < 0)
			return -1;
	}
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return fsmount(fs, FSMOUNT_CLOEXEC, 0);
}

static bool overlay_tells(void)
{
	_cleanup_close_ int tmpfs = own_tmpfs();
	_cleanup_close_ int overlay = tmpfs >= 0 ? own_overlay(tmpfs) : -1;
	_cleanup_close_ int upper =
		overlay >= 0 ? openat(tmpfs, "upperdir", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	_cleanup_close_ int file = -1;
	struct tree_watch *watch = NULL;
	bool told = false;

	if (upper < 0 || tree_watch_new(upper, &watch) < 0)
		return false;
	file = openat(overlay, "f", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (file < 0 || tree_watch_read(watch, told_of_write, &told, NULL) != 0)
		goto out;
	told = false;
	if (write(file, "x", 1) != 1 || tree_watch_read(watch, told_of_write, &told, NULL) != 0)
		told = false;
out:
	tree_watch_free(watch);
	return told;
}

int rootfs_copy_new(struct op *op, const struct rootfs *rootfs, int spill_dir,
		    struct rootfs_copy **ret, struct error *err)
{
	struct rootfs_copy *copy = calloc(1, sizeof(*copy));
	struct tree_rounds_options opt = {
		.op = op,
		.dirfd = rootfs->dir_fd,
		.prefix = "",
		.watch = rootfs->kind != ROOTFS_OVERLAY || overlay_tells(),
		.spill_dir = spill_dir,
		.choose = rootfs->kind == ROOTFS_OVERLAY ? choose_overlay : choose_plain,
		.ctx = copy,
	};
	int r = 0;

	if (!copy)
		return error_nomem(err);
	copy->op = op;
	copy->rootfs = rootfs;
	copy->prefix = rootfs->userxattr ? "user.overlay." : "trusted.overlay.";
	opt.xattr_skip = copy->prefix;
	if (rootfs->dir_fd >= 0)
		r = tree_rounds_new(&opt, &copy->rounds, err);
	if (r < 0)
		rootfs_copy_free(copy);
	else
		*ret = copy;
	return r;
}

void rootfs_copy_free(struct rootfs_copy *copy)
{
	struct opaque_dir *dir, *next;

	if (!copy)
		return;
	for (dir = copy->opaque; dir; dir = next) {
		next = dir->next;
		rootfs_removed_deinit(&dir->hidden);
		free(dir->path);
		free(dir);
	}
	tree_rounds_free(copy->rounds);
	free(copy);
}

static int while_reading(const struct rootfs_copy *copy, int r, struct error *err)
{
	return r >= 0 ? 0
		      : error_while(err, r, "reading the container's files in %s",
				    copy->rootfs->upper ?: copy->rootfs->path);
}

int rootfs_copy_round(struct rootfs_copy *copy, struct error *err)
{
	bool first = !copy->followed;
	int r = 0;

	copy->followed = true;
	if (copy->rounds)
		r = first ? tree_rounds_settle(copy->rounds, err)
			  : tree_rounds_copy(copy->rounds, err);

	if (r >= 0)
		r = opaque_look_all(copy, err);
	return while_reading(copy, r, err);
}

int rootfs_copy_last(struct rootfs_copy *copy, const struct tree_written *written, size_t n_written,
		     struct error *err)
{
	int r = copy->rounds ? tree_rounds_last(copy->rounds, written, n_written, err) : 0;

	if (r >= 0)
		r = opaque_look_all(copy, err);
	return while_reading(copy, r, err);
}

static int removed_add(void *ctx, const char *path, struct error *err)
{
	struct rootfs_removed *removed = ctx;

	return list_add(&removed->arena, &removed->deleted, &removed->n_deleted, path, err);
}

static int removed_collect(const struct rootfs_copy *copy, struct rootfs_removed *removed,
			   struct error *err)
{
	const struct opaque_dir *dir;
	size_t i;
	int r;

	r = tree_rounds_gone(copy->rounds, removed_add, removed, err);
	for (dir = copy->opaque; dir && r >= 0; dir = dir->next) {
		if (!dir->opaque || !tree_rounds_has(copy->rounds, dir->path))
			continue;
		r = list_add(&removed->arena, &removed->opaque, &removed->n_opaque, dir->path, err);
		for (i = 0; i < dir->hidden.n_deleted && r >= 0; i++)
			r = removed_add(removed, dir->hidden.deleted[i], err);
	}
	return r;
}

int rootfs_copy_write(struct rootfs_copy *copy, const struct tree_sink *sink,
		      struct rootfs_removed *removed, struct gap_list *gaps, struct error *err)
{
	static const unsigned char end[1024]; /* a tar without entries */
	struct diff_notes notes = { .gaps = gaps };
	int r;

	if (!copy->rounds)
		return sink->write(sink->ctx, end, sizeof(end), err);
	if (copy->rootfs->kind == ROOTFS_PLAIN &&
	    gap_add(gaps, GAP_COSMETIC, "rootfs", 0, copy->rootfs->path,
		    "not an overlay: files that were deleted since the start leave no trace") < 0)
		return error_nomem(err);
	r = tree_rounds_write(copy->rounds, sink, err);
	if (r >= 0)
		r = removed_collect(copy, removed, err);
	if (r < 0)
		return while_reading(copy, r, err);
	tree_rounds_notes(copy->rounds, diff_note, &notes);
	if (notes.n > NOTES_MAX &&
	    gap_add(gaps, GAP_DEGRADED, "rootfs", 0, copy->rootfs->path,
		    "%zu more files are not as they were", notes.n - NOTES_MAX) < 0)
		notes.no_memory = true;
	return notes.no_memory ? error_nomem(err) : 0;
}

int rootfs_diff_write(struct op *op, const struct rootfs *rootfs, const struct tree_sink *sink,
		      struct rootfs_removed *removed, struct gap_list *gaps, struct error *err)
{
	struct rootfs_copy *copy = NULL;
	int r;

	r = rootfs_copy_new(op, rootfs, -1, &copy, err);
	if (r >= 0)
		r = rootfs_copy_round(copy, err);
	if (r >= 0)
		r = rootfs_copy_write(copy, sink, removed, gaps, err);
	rootfs_copy_free(copy);
	return r;
}
