// SPDX-License-Identifier: Apache-2.0
/*
 * sandbox-root: the root directory of a sandbox: its base, read-only, under a fresh writable layer.
 *
 * Runs in pid 1 of the sandbox, in its own mount namespace: nothing here is visible outside, and
 * all of it goes with the namespace.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "restore/sandbox.h"
#include "rootfs/rootfs.h"

static int make_below(const char *dir, const char *name, char *ret, size_t size, struct error *err)
{
	if ((size_t)snprintf(ret, size, "%s/%s", dir, name) >= size)
		return error_set(err, ERROR_INTERNAL, ENAMETOOLONG, "the path %s/%s is too long",
				 dir, name);
	if (mkdir(ret, 0755) < 0)
		return error_errno(err, errno, "making %s", ret);
	return 0;
}

/* The layer's own top directory must look like the base's. */
static int copy_attributes(const char *base, const char *upper, struct error *err)
{
	struct stat st;

	int r = 0;

	if (stat(base, &st) < 0)
		r = error_errno(err, errno, "the root file system %s", base);
	else if (!S_ISDIR(st.st_mode))
		r = error_errno(err, ENOTDIR, "the root file system %s", base);
	if (r < 0)
		return error_hint(err, r, "name another directory with --rootfs");
	if (chown(upper, st.st_uid, st.st_gid) < 0 || chmod(upper, st.st_mode & 07777) < 0)
		return error_errno(err, errno, "setting owner and mode of %s", upper);
	return 0;
}

static int mount_overlay(const struct sandbox_root *root, const char *upper, const char *work,
			 struct error *err)
{
	_cleanup_buf_ struct buf options = BUF_INIT;
	int fds[SANDBOX_LOWERS_MAX];
	size_t i, n = 0;
	int r = 0;

	if (root->n_lowers > SANDBOX_LOWERS_MAX)
		return error_set(err, ERROR_SYSTEM, E2BIG, "the root file system has %zu layers",
				 root->n_lowers);
	/* By descriptor, because a path may hold the commas and colons that separate options. */
	for (i = 0; r >= 0 && i < root->n_lowers; i++) {
		fds[n] = open(root->lowers[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fds[n] < 0)
			r = error_errno(err, errno, "opening the root file system %s",
					root->lowers[i]);
		else
			r = buf_printf(&options, err, "%s/proc/self/fd/%d",
				       i ? ":" : "lowerdir=", fds[n++]);
	}
	if (r >= 0)
		r = buf_printf(&options, err, ",upperdir=%s,workdir=%s,index=off,xino=off", upper,
			       work);
	if (r >= 0 && mount("overlay", root->path, "overlay", 0, options.data) < 0)
		r = error_errno(err, errno, "mounting an overlay of %s", root->lowers[0]);
	while (n-- > 0)
		(void)close(fds[n]);
	return r;
}

/* The whole difference lies in memory: one piece, then the end. */
static ssize_t read_diff(void *ctx, const void **ret, struct error *err)
{
	struct bytes *rest = ctx;
	size_t len = rest->len;

	(void)err;
	*ret = rest->data;
	rest->len = 0;
	return (ssize_t)len;
}

static int apply_diff(struct op *op, const struct sandbox_root *root, struct error *err)
{
	struct bytes rest = root->diff;
	const struct tree_source source = { read_diff, &rest };
	struct rootfs_removed removed = ROOTFS_REMOVED_INIT;
	_cleanup_close_ int dir = -1;
	int r = 0;

	if (!root->diff.len && !root->deleted.len)
		return 0;
	dir = open(root->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return error_errno(err, errno, "opening %s", root->path);
	if (root->deleted.len)
		r = rootfs_removed_parse(root->deleted, &removed, err);
	if (r >= 0)
		r = rootfs_apply(op, dir, &source, &removed, root->note, root->ctx, err);
	rootfs_removed_deinit(&removed);
	return r < 0 ? error_while(err, r, "applying the rootfs difference") : 0;
}

int sandbox_mount(struct op *op, const struct sandbox *sb, struct sandbox_root *root,
		  struct error *err)
{
	const char *layer = root->on_disk ? sb->disk : sb->dir;
	char upper[192], work[192];
	int r;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_errno(err, errno, "making the sandbox's mounts private");
	if (mount("tmpfs", sb->dir, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700,size=90%") < 0 &&
	    mount("tmpfs", sb->dir, "tmpfs", 0, "mode=0700") < 0)
		return error_errno(err, errno, "mounting a tmpfs on %s", sb->dir);
	/* Device nodes of the layer must work. */
	if (mount(NULL, sb->dir, NULL, MS_REMOUNT, "mode=0700,size=90%") < 0)
		return error_errno(err, errno, "remounting %s", sb->dir);

	r = make_below(layer, "upper", upper, sizeof(upper), err);
	if (r >= 0)
		r = make_below(layer, "work", work, sizeof(work), err);
	if (r >= 0)
		r = make_below(sb->dir, "root", root->path, sizeof(root->path), err);
	if (r >= 0)
		r = make_below(sb->dir, "scratch", root->scratch, sizeof(root->scratch), err);
	if (r >= 0)
		r = copy_attributes(root->lowers[0], upper, err);
	if (r >= 0)
		r = mount_overlay(root, upper, work, err);
	if (r >= 0)
		r = apply_diff(op, root, err);
	return r;
}
