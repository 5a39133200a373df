// SPDX-License-Identifier: Apache-2.0
/*
 * mount-make: one mount of the sandbox, detached, from what the images tell; see mount.h.
 *
 * Names, options and contents come from the images and are taken for hostile.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "object/mount-builder.h"
#include "object/tree.h"

#define EXTRACT_MAX ((uint64_t)4 << 30) /* it is memory of this host */

void mount_lose(struct builder *b, struct point *p, enum gap_effect effect, const char *why)
{
	char subject[512];

	snprintf(subject, sizeof(subject), "mount %u at %s (%s)", p->mnt->mnt_id,
		 p->mnt->mountpoint, mount_fs_name(p->mnt));
	restore_gap(b->rst, effect, "mount", 0, subject, "%s", why);
}

static bool is_external(const Img__Mnt *mnt)
{
	return mnt->ext_key || (mnt->has_ext_mount && mnt->ext_mount);
}

static struct bytes content_of(const struct builder *b, const Img__Mnt *mnt)
{
	struct image *image = image_find(b->rst->set, IMAGE_TMPFS_DEV, mnt->root_dev);

	if (!image)
		image = image_find(b->rst->set, IMAGE_TMPFS, mnt->mnt_id);
	return image && image->n_entries ? image->entries[0].extra : (struct bytes){ 0 };
}

bool mount_originates(const struct builder *b, const Img__Mnt *mnt)
{
	switch (mount_fs_of(mnt)->way) {
	case MOUNT_CONTENT:
		return !strcmp(mnt->root, "/") && (!is_external(mnt) || content_of(b, mnt).data);
	case MOUNT_CGROUP:
		return true;
	case MOUNT_FRESH:
	case MOUNT_DEVICES:
	case MOUNT_REFUSED:
		return !strcmp(mnt->root, "/") && !is_external(mnt);
	default:
		return false;
	}
}

static void tree_lost(void *ctx, const char *path, const char *text)
{
	struct builder *b = ctx;

	restore_gap(b->rst, GAP_DEGRADED, "mount", 0, path, "in a tmpfs: %s", text);
}

static int fill(struct builder *b, struct point *p, int fd)
{
	const struct mount_fs *fs = mount_fs_of(p->mnt);
	struct bytes tar = content_of(b, p->mnt);
	struct tree_extract_options opt = { .op = b->rst->op,
					    .max_bytes = EXTRACT_MAX,
					    .devices = true,
					    .note = tree_lost,
					    .ctx = b };
	int r = 0;

	if (fs->way == MOUNT_DEVICES)
		return mount_fs_devices(fd, b->err);
	if (fs->way != MOUNT_CONTENT)
		return 0;
	if (tar.data)
		r = tree_extract_bytes(fd, &opt, tar, b->err);
	else if (!b->invented)
		mount_lose(b, p, GAP_DEGRADED, "its content is not in the images: it is empty");
	if (r == -EBADMSG) {
		mount_lose(b, p, GAP_DEGRADED, b->err ? b->err->text : "its content is damaged");
		error_clear(b->err);
		r = 0;
	}
	if (r >= 0 && p->mnt->has_sb_flags && (p->mnt->sb_flags & MS_RDONLY))
		r = mount_fs_readonly(fd, b->err);
	return r;
}

/* Mounting a version 1 hierarchy that the host does not have would create it there. */
static bool cgroup_known(const struct builder *b, const Img__Mnt *mnt)
{
	const struct proc_mount *m;
	size_t i;

	if (mount_fs_of(mnt)->code != IMG__FSTYPE__CGROUP)
		return true;
	for (i = 0; i < b->host.n_mounts; i++) {
		m = &b->host.mounts[i];
		if (!strcmp(m->fstype, "cgroup") &&
		    (!strncmp(m->super_options, "rw,", 3) ||
		     !strncmp(m->super_options, "ro,", 3)) &&
		    !strcmp(m->super_options + 3, mnt->options))
			return true;
	}
	return false;
}

static int originate(struct builder *b, struct point *p, int *ret_fd)
{
	const struct mount_fs *fs = mount_fs_of(p->mnt);
	_cleanup_close_ int fd = -1;
	int r;

	if (fs->way == MOUNT_CGROUP && !cgroup_known(b, p->mnt)) {
		mount_lose(b, p, GAP_COSMETIC,
			   "this host has no such hierarchy: an empty directory");
		fs = mount_fs_by_name("debugfs"); /* any row that stands for an empty directory */
	} else if (fs->way == MOUNT_REFUSED) {
		mount_lose(b, p, GAP_COSMETIC, "the host kernel's own state: an empty directory");
	}
	r = mount_fs_make(b->rst->op, fs, p->mnt->source, p->mnt->options, &fd, b->err);
	if (r >= 0)
		r = fill(b, p, fd);
	if (r < 0)
		return r;
	p->origin = true;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* A part of a file system, without crossing into what has been mounted over it. */
static int resolve_part(const struct point *origin, const char *rest)
{
	struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
	struct stat st, top;
	int fd;

	fd = tree_resolve(origin->fd, rest);
	if (fd != -EXDEV)
		return fd;
	/* a mount stands in the way; if it shows the same file system, it shows the same directory
	 */
	fd = (int)syscall(SYS_openat2, origin->fd, rest, &how, sizeof(how));
	if (fd >= 0 &&
	    (fstat(fd, &st) < 0 || fstat(origin->fd, &top) < 0 || st.st_dev != top.st_dev)) {
		close(fd);
		return -EXDEV;
	}
	return fd < 0 ? -errno : fd;
}

static int bind_part(const struct point *origin, const char *rest)
{
	_cleanup_close_ int part = resolve_part(origin, rest);
	int fd;

	if (part < 0)
		return part;
	fd = open_tree(part, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The mount that p shows a part of. *ret_wait: there is one, but it is not made yet. */
static struct point *origin_of(struct builder *b, struct point *p, const char **ret_rest,
			       bool *ret_wait)
{
	struct point *t;
	size_t i;

	*ret_wait = false;
	for (i = 0; i < b->n; i++) {
		t = &b->points[i];
		if (t == p || t->mnt->root_dev != p->mnt->root_dev ||
		    !mount_below(p->mnt->root, t->mnt->root, ret_rest))
			continue;
		if (t->state == POINT_DONE && t->origin)
			return t;
		if (t->state == POINT_WAITS && mount_originates(b, t->mnt))
			*ret_wait = true;
	}
	return NULL;
}

int mount_make(struct builder *b, struct point *p, int *ret_fd)
{
	const char *rest = NULL, *why = NULL;
	char name[32];
	bool wait;
	struct point *origin = origin_of(b, p, &rest, &wait);
	int r;

	if (origin && mount_fs_of(p->mnt)->way != MOUNT_CGROUP) {
		r = bind_part(origin, rest);
		if (r >= 0) {
			*ret_fd = r;
			return 0;
		}
		if (!is_external(p->mnt)) {
			/* a terminal is made later, and reached by the descriptors that have it */
			mount_lose(b, p,
				   mount_fs_of(p->mnt)->code == IMG__FSTYPE__DEVPTS ? GAP_COSMETIC
										    : GAP_DEGRADED,
				   "what it showed is not in the copy");
			return 2;
		}
	}
	if (mount_originates(b, p->mnt))
		return originate(b, p, ret_fd);
	if (wait)
		return 1;
	snprintf(name, sizeof(name), "mount-%u", p->mnt->mnt_id);
	r = mount_external_copy(b->rst, b->spec, p->mnt, &b->host, name, ret_fd, &why, b->err);
	if (r == 0)
		mount_lose(b, p, GAP_COSMETIC,
			   "came from outside: a private copy of this host's is shown");
	if (r <= 0)
		return r;
	mount_lose(b, p, GAP_DEGRADED, why);
	return 2;
}
