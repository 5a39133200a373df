// SPDX-License-Identifier: Apache-2.0
/*
 * mount-content: what is in a container's tmpfs, into images; see mount.h.
 *
 * In the stop a tmpfs is only copied into memory, as a tar; it is compressed after the thaw. It is
 * read through a detached clone of its mount, made by a visit to the namespace: what is mounted
 * over its directories does not hide them then, and no access time changes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "object/mount-fs.h"
#include "object/mount.h"
#include "object/ns-visit.h"
#include "object/tree.h"

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
	struct buf tar;
};

struct tmpfs_capture {
	struct capture *cap;
	struct mount_content *content;
	size_t notes;
	int gap_failed;
};

static int tar_append(void *ctx, const void *data, size_t len, struct error *err)
{
	struct tmpfs_capture *tc = ctx;

	return buf_append(&tc->content->tar, data, len, err);
}

static void tmpfs_note(void *ctx, const char *path, const char *text)
{
	struct tmpfs_capture *tc = ctx;
	char subject[TREE_PATH_MAX + 512];

	if (tc->notes++ >= NOTES_MAX)
		return;
	snprintf(subject, sizeof(subject), "%s in the tmpfs at %s", path,
		 tc->content->mount->mountpoint);
	if (gap_add(tc->cap->gaps, GAP_DEGRADED, "mount", 0, subject, "%s", text) < 0)
		tc->gap_failed = -ENOMEM;
}

/* A socket in a tmpfs is made anew by who listens on it (object/socket-unix), tar need not have it.
 */
static int tmpfs_choose(void *ctx, const char *path, int dirfd, const char *name,
			const struct stat *st, enum tree_choice *ret, struct error *err)
{
	*ret = S_ISSOCK(st->st_mode) ? TREE_SKIP : TREE_TAKE;
	return 0;
}

static int tmpfs_capture(struct capture *cap, const struct proc_mount *m, int fd, struct error *err)
{
	struct mount_content *content = calloc(1, sizeof(*content));
	struct tmpfs_capture tc = { .cap = cap, .content = content };
	struct tree_write_options opt = {
		.op = cap->op,
		.prefix = "./",
		.gzip = -1,
		.unbuffered = true,
		.max_bytes = MOUNT_TMPFS_MAX,
		.choose = tmpfs_choose,
		.note = tmpfs_note,
		.ctx = &tc,
	};
	struct tree_sink sink = { tar_append, &tc };
	int r;

	if (!content)
		return error_nomem(err);
	content->mount = m;
	content->next = cap->mounts->contents;
	cap->mounts->contents = content;
	r = tree_write(fd, &opt, &sink, err);
	if (tc.notes > NOTES_MAX &&
	    mount_gap(cap, GAP_DEGRADED, m, "more files in it are not as they were") < 0)
		tc.gap_failed = -ENOMEM;
	if (r >= 0 && tc.gap_failed)
		r = error_nomem(err);
	if (r < 0)
		return error_while(err, r, "reading the tmpfs at %s of process %d", m->mountpoint,
				   cap->root->pid);
	return 0;
}

static bool is_captured(const struct capture *cap, const struct proc_mount *m)
{
	const struct mount_content *content;

	for (content = cap->mounts->contents; content; content = content->next)
		if (mount_kdev(content->mount) == mount_kdev(m))
			return true;
	return false;
}

/* The external ones too: a later restore can then show what was in them. */
int mount_contents_capture(struct capture *cap, struct error *err)
{
	const struct proc_mounts *all = &cap->mounts->mounts;
	struct clones c = { .root_dir = cap->root_dir };
	const struct proc_mount *m;
	size_t i, k;
	int r;

	for (i = 0; i < all->n_mounts; i++) {
		m = &all->mounts[i];
		if (mount_fs_by_name(m->fstype)->way != MOUNT_CONTENT || strcmp(m->root, "/") != 0)
			continue;
		if (c.n == CLONES_MAX) {
			if (mount_gap(cap, GAP_DEGRADED, m,
				      "too many tmpfs: content not captured") < 0)
				return error_nomem(err);
			continue;
		}
		c.fds[c.n] = -1;
		c.mounts[c.n++] = m;
	}
	if (!c.n)
		return 0;
	r = ns_visit(cap, 1U << NS_MNT, clones_make, &c, err);
	if (r < 0)
		return error_while(err, r, "looking at the mounts of process %d", cap->root->pid);
	for (i = 0; i < c.n; i++)
		mount_index_hold(cap, c.fds[i]);

	for (i = 0; i < c.n; i++) {
		m = c.mounts[i];
		if (is_captured(cap, m))
			continue;
		/* one mount of a file system may be hidden while another shows it */
		for (k = i; k < c.n && (c.fds[k] < 0 || mount_kdev(c.mounts[k]) != mount_kdev(m));
		     k++)
			;
		if (k < c.n)
			r = tmpfs_capture(cap, m, c.fds[k], err);
		else if (mount_gap(cap, GAP_DEGRADED, m,
				   "hidden under another mount: not captured") < 0)
			r = error_nomem(err);
		if (r < 0)
			return r;
	}
	return 0;
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

int mount_contents_finish(struct capture *cap, struct error *err)
{
	struct mount_content *content;
	int r = 0;

	for (content = cap->mounts ? cap->mounts->contents : NULL; content && r >= 0;
	     content = content->next) {
		_cleanup_buf_ struct buf gz = BUF_INIT;
		struct bytes kept;

		r = op_cancelled(cap->op, err);
		if (r >= 0)
			r = gzip_whole(&content->tar, &gz, err);
		if (r < 0)
			break;
		kept = (struct bytes){ arena_memdup(&cap->set->arena, gz.data, gz.len), gz.len };
		r = kept.data ? image_add(cap->set, IMAGE_TMPFS_DEV, mount_kdev(content->mount),
					  NULL, kept, err)
			      : error_nomem(err);
		buf_deinit(&content->tar);
	}
	return r;
}

void mount_contents_free(struct mount_content *content)
{
	struct mount_content *next;

	for (; content; content = next) {
		next = content->next;
		buf_deinit(&content->tar);
		free(content);
	}
}
