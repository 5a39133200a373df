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

	if (stat(base, &st) < 0 || !S_ISDIR(st.st_mode))
		return error_hint(err,
				  error_errno(err, S_ISDIR(st.st_mode) ? errno : ENOTDIR,
					      "the root file system %s", base),
				  "name another directory with --rootfs");
	if (chown(upper, st.st_uid, st.st_gid) < 0 || chmod(upper, st.st_mode & 07777) < 0)
		return error_errno(err, errno, "setting owner and mode of %s", upper);
	return 0;
}

static int mount_overlay(const char *base, const char *upper, const char *work, const char *merged,
			 struct error *err)
{
	_cleanup_close_ int lower = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char options[1024];

	/* By descriptor, because a path may hold the commas and colons that separate options. */
	if (lower < 0)
		return error_errno(err, errno, "opening the root file system %s", base);
	(void)snprintf(options, sizeof(options),
		       "lowerdir=/proc/self/fd/%d,upperdir=%s,workdir=%s,index=off,xino=off", lower,
		       upper, work);
	if (mount("overlay", merged, "overlay", 0, options) < 0)
		return error_errno(err, errno, "mounting an overlay of %s", base);
	return 0;
}

int sandbox_mount(struct op *op, const struct sandbox *sb, struct sandbox_root *root,
		  struct error *err)
{
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

	r = make_below(sb->dir, "upper", upper, sizeof(upper), err);
	if (r >= 0)
		r = make_below(sb->dir, "work", work, sizeof(work), err);
	if (r >= 0)
		r = make_below(sb->dir, "root", root->path, sizeof(root->path), err);
	if (r >= 0)
		r = make_below(sb->dir, "scratch", root->scratch, sizeof(root->scratch), err);
	if (r >= 0)
		r = copy_attributes(root->base, upper, err);
	if (r >= 0)
		r = mount_overlay(root->base, upper, work, root->path, err);
	return r;
}
