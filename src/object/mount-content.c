// SPDX-License-Identifier: Apache-2.0
/*
 * mount-content: what is in a container's tmpfs, into images; see mount.h.
 *
 * A tmpfs is copied in rounds (tree-rounds), most of it before the stop, and compressed after the
 * thaw. It is read through a detached clone of its mount, made by a visit to the namespace: what is
 * mounted over its directories does not hide them then, and no access time changes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "object/file-facts.h"
#include "object/mount-fs.h"
#include "object/mount.h"
#include "object/ns-visit.h"
#include "object/tree-rounds.h"

#define CLONES_MAX 240
#define NOTES_MAX  1000 /* of one tmpfs: what is in it is the container's to decide */

/* The clones of all tmpfs mounts, made in one visit to the namespace. */
struct clones {
	int root_dir;
	const struct proc_mount *mounts[CLONES_MAX];
	int fds[CLONES_MAX]; /* -1: hidden under another mount, or gone */
	size_t n;
};

static int clone_one(int root_dir, const struct proc_mount *m)
{
	struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	_cleanup_close_ int at = -1;
	struct statx stx;

	at = (int)syscall(SYS_openat2, root_dir, m->mountpoint, &how, sizeof(how));
	if (at < 0 || statx(at, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0)
		return -1;
	if ((stx.stx_mask & STATX_MNT_ID) && stx.stx_mnt_id != (uint64_t)m->id)
		return -1;
	return mount_clone_quietly(at);
}

static int clones_make(void *arg, struct error *err)
{
	struct clones *c = arg;
	size_t i;

	for (i = 0; i < c->n; i++)
		c->fds[i] = clone_one(c->root_dir, c->mounts[i]);
	return 0;
}

struct mount_content {
	struct mount_content *next;
	const struct proc_mount *mount;
	struct tree_rounds *rounds;
	bool last; /* it was there in the stop, and has been copied to the end */
};

struct tmpfs_notes {
	struct capture *cap;
	const struct proc_mount *mount;
	size_t n;
	int failed;
};

static int tar_append(void *ctx, const void *data, size_t len, struct error *err)
{
	return buf_append(ctx, data, len, err);
}

static void tmpfs_note(void *ctx, const char *path, const char *text)
{
	struct tmpfs_notes *notes = ctx;
	char subject[TREE_PATH_MAX + 512];

	if (notes->n++ >= NOTES_MAX)
		return;
	snprintf(subject, sizeof(subject), "%s in the tmpfs at %s", path, notes->mount->mountpoint);
	if (gap_add(notes->cap->gaps, GAP_DEGRADED, "mount", 0, subject, "%s", text) < 0)
		notes->failed = -ENOMEM;
}

/* A socket in a tmpfs is made anew by who listens on it (object/socket-unix), tar need not have it.
 */
static int tmpfs_choose(void *ctx, const char *path, int dirfd, const char *name,
			const struct stat *st, enum tree_choice *ret, struct error *err)
{
	*ret = S_ISSOCK(st->st_mode) ? TREE_SKIP : TREE_TAKE;
	return 0;
}

static int content_new(struct capture *cap, const struct proc_mount *m, int fd,
		       struct mount_content **ret, struct error *err)
{
	struct mount_content *content = calloc(1, sizeof(*content));
	struct tree_rounds_options opt = {
		.op = cap->op,
		.dirfd = fd,
		.prefix = "./",
		.max_bytes = MOUNT_TMPFS_MAX,
		.watch = true,
		.spill_dir = -1,
		.choose = tmpfs_choose,
	};

	if (!content)
		return error_nomem(err);
	content->mount = m;
	content->next = cap->mounts->contents;
	cap->mounts->contents = content;
	*ret = content;
	return tree_rounds_new(&opt, &content->rounds, err);
}

/* Where in its file system a path of the container lies, whatever mount shows it. */
static const char *path_in_tmpfs(struct capture *cap, const struct file_fact *fact)
{
	const struct proc_mounts *all = &cap->mounts->mounts;
	const struct proc_mount *m;
	const char *rest;
	size_t i;

	for (i = 0; i < all->n_mounts; i++) {
		m = &all->mounts[i];
		if (makedev(m->major, m->minor) != fact->dev ||
		    !mount_below(fact->path, m->mountpoint, &rest))
			continue;
		return arena_printf(&cap->mounts->arena, "%s%s%s", m->root + 1,
				    m->root[1] ? "/" : "", rest);
	}
	return NULL;
}

/* In the stop: what changed last, and what somebody may be writing. */
static int content_last(struct capture *cap, struct mount_content *content, struct error *err)
{
	dev_t dev = makedev(content->mount->major, content->mount->minor);
	size_t n_facts = cap->facts ? cap->facts->n_facts : 0, n = 0, i;
	struct tree_written *written;
	const struct file_fact *fact;
	int r;

	written = arena_array(&cap->mounts->arena, struct tree_written, n_facts + 1);
	if (!written)
		return error_nomem(err);
	for (i = 0; i < n_facts; i++) {
		fact = &cap->facts->facts[i];
		if (!fact->written || fact->deleted || fact->dev != dev)
			continue;
		written[n].mapped = fact->mapped;
		written[n].path = path_in_tmpfs(cap, fact);
		n += written[n].path != NULL;
	}
	content->last = true;
	r = tree_rounds_last(content->rounds, written, n, err);
	return r < 0 ? error_while(err, r, "reading the tmpfs at %s of process %d",
				   content->mount->mountpoint, cap->root->pid)
		     : 0;
}

static struct mount_content *content_of(const struct capture *cap, const struct proc_mount *m)
{
	struct mount_content *content;

	for (content = cap->mounts->contents; content; content = content->next)
		if (mount_kdev(content->mount) == mount_kdev(m))
			break;
	return content;
}

static bool is_tmpfs(const struct proc_mount *m)
{
	return mount_fs_by_name(m->fstype)->way == MOUNT_CONTENT && !strcmp(m->root, "/");
}

/* Clones of every tmpfs of which there is no content yet. */
static int clones_of_new(struct capture *cap, int proc_fd, struct clones *c, struct error *err)
{
	const struct proc_mounts *all = &cap->mounts->mounts;
	const struct proc_mount *m;
	size_t i;
	int r;

	for (i = 0; i < all->n_mounts; i++) {
		m = &all->mounts[i];
		if (!is_tmpfs(m) || content_of(cap, m))
			continue;
		if (c->n == CLONES_MAX) {
			if (mount_gap(cap, GAP_DEGRADED, m,
				      "too many tmpfs: content not captured") < 0)
				return error_nomem(err);
			continue;
		}
		c->fds[c->n] = -1;
		c->mounts[c->n++] = m;
	}
	if (!c->n)
		return 0;
	r = ns_visit_at(proc_fd, 1U << NS_MNT, clones_make, c, err);
	for (i = 0; i < c->n; i++)
		mount_index_hold(cap, c->fds[i]);
	return r;
}

/* Contents of them, with nothing copied yet. One mount of a file system may be hidden while another
 * shows it. */
static int contents_new(struct capture *cap, int proc_fd, int root_dir, bool last,
			struct error *err)
{
	struct clones c = { .root_dir = root_dir };
	struct mount_content *content;
	size_t i, k;
	int r;

	r = clones_of_new(cap, proc_fd, &c, err);
	for (i = 0; i < c.n && r >= 0; i++) {
		if (content_of(cap, c.mounts[i]))
			continue;
		for (k = i; k < c.n &&
			    (c.fds[k] < 0 || mount_kdev(c.mounts[k]) != mount_kdev(c.mounts[i]));
		     k++)
			;
		if (k < c.n)
			r = content_new(cap, c.mounts[i], c.fds[k], &content, err);
		else if (last && mount_gap(cap, GAP_DEGRADED, c.mounts[i],
					   "hidden under another mount: not captured") < 0)
			r = error_nomem(err);
	}
	return r;
}

int mount_contents_look(struct capture *cap, int proc_fd, struct error *err)
{
	_cleanup_close_ int root = openat(proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct mount_content *content;
	int r;

	if (root < 0)
		return error_errno(err, errno, "cannot open the container's root directory");
	r = contents_new(cap, proc_fd, root, false, err);
	for (content = cap->mounts->contents; content && r >= 0; content = content->next)
		r = tree_rounds_settle(content->rounds, err);
	return r;
}

int mount_contents_follow(struct capture *cap, struct error *err)
{
	struct mount_content *content;
	int r = 0;

	for (content = cap->mounts->contents; content && r >= 0; content = content->next)
		r = tree_rounds_copy(content->rounds, err);
	return r;
}

/* The external ones too: a later restore can then show what was in them. */
int mount_contents_capture(struct capture *cap, struct error *err)
{
	const struct proc_mounts *all = &cap->mounts->mounts;
	struct mount_content *content;
	size_t i;
	int r;

	r = contents_new(cap, cap->root->proc_fd, cap->root_dir, true, err);
	for (i = 0; i < all->n_mounts && r >= 0; i++) {
		content = is_tmpfs(&all->mounts[i]) ? content_of(cap, &all->mounts[i]) : NULL;
		if (content && !content->last)
			r = content_last(cap, content, err);
	}
	return r;
}

static int gzip_whole(const struct buf *tar, struct buf *gz, struct error *err)
{
	z_stream z = { .next_in = tar->data, .avail_in = 0 };
	size_t left = tar->len, bound = deflateBound(NULL, tar->len) + 64;
	int r, e;

	r = buf_reserve(gz, bound, err);
	if (r < 0)
		return r;
	if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK)
		return error_nomem(err);
	z.next_out = gz->data;
	do { /* zlib counts in 32 bits */
		z.avail_in = (uInt)MIN(left, (size_t)1 << 30);
		left -= z.avail_in;
		z.avail_out =
			(uInt)MIN(gz->cap - (size_t)(z.next_out - gz->data), (size_t)UINT32_MAX);
		e = deflate(&z, left ? Z_NO_FLUSH : Z_FINISH);
	} while (e == Z_OK && left);
	gz->len = (size_t)(z.next_out - gz->data);
	(void)deflateEnd(&z);
	if (e != Z_STREAM_END)
		return error_set(err, ERROR_INTERNAL, EIO, "zlib cannot compress %zu bytes",
				 tar->len);
	return 0;
}

static int content_finish(struct capture *cap, struct mount_content *content, struct error *err)
{
	struct tmpfs_notes notes = { .cap = cap, .mount = content->mount };
	_cleanup_buf_ struct buf tar = BUF_INIT;
	_cleanup_buf_ struct buf gz = BUF_INIT;
	struct tree_sink sink = { tar_append, &tar };
	struct bytes kept;
	int r;

	r = tree_rounds_write(content->rounds, &sink, err);
	if (r >= 0)
		r = gzip_whole(&tar, &gz, err);
	if (r < 0)
		return r;
	tree_rounds_notes(content->rounds, tmpfs_note, &notes);
	if (notes.failed ||
	    (notes.n > NOTES_MAX && mount_gap(cap, GAP_DEGRADED, content->mount,
					      "more files in it are not as they were") < 0))
		return error_nomem(err);
	kept = (struct bytes){ arena_memdup(&cap->set->arena, gz.data, gz.len), gz.len };
	if (!kept.data)
		return error_nomem(err);
	return image_add(cap->set, IMAGE_TMPFS_DEV, mount_kdev(content->mount), NULL, kept, err);
}

int mount_contents_finish(struct capture *cap, struct error *err)
{
	struct mount_content *content;
	int r = 0;

	for (content = cap->mounts ? cap->mounts->contents : NULL; content && r >= 0;
	     content = content->next) {
		r = op_cancelled(cap->op, err);
		if (r >= 0 && content->last)
			r = content_finish(cap, content, err);
	}
	return r;
}

void mount_contents_free(struct mount_content *content)
{
	struct mount_content *next;

	for (; content; content = next) {
		next = content->next;
		tree_rounds_free(content->rounds);
		free(content);
	}
}
