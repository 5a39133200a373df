/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount-fs: the file system types that a container's mounts can be of, and how each is made anew.
 *
 * One row a type. Options come from images, which may be hostile: only those a row names are passed
 * on.
 */
#pragma once

#include "base/op.h"
#include "image/schema.h"

enum mount_way {
	MOUNT_FRESH,   /* a new instance is as good as the old one: proc, sysfs, devpts, mqueue */
	MOUNT_CONTENT, /* a new instance, filled from the images: tmpfs */
	MOUNT_CGROUP,  /* a view of the sandbox's own group, never writable */
	MOUNT_DEVICES, /* devtmpfs: the host's devices do not belong into a sandbox, a small /dev
			  does */
	MOUNT_STORAGE, /* on a disk or made of other directories: only as the root or as a bind */
	MOUNT_REFUSED, /* the host kernel's own state, or a program behind it: an empty directory */
};

struct mount_fs {
	const char *name;
	Img__Fstype code; /* AUTO: the images name it */
	enum mount_way way;
	const char *const *options; /* that may be passed on, NULL-terminated; NULL = none */
};

/* mount_fs_by_name - the row of a type ("fuse.sshfs" is "fuse"); never NULL: unknown types are
 * MOUNT_STORAGE with code AUTO. */
const struct mount_fs *mount_fs_by_name(const char *name);

/* mount_fs_of - the row of an entry of the images; never NULL. */
const struct mount_fs *mount_fs_of(const Img__Mnt *mnt);

/* mount_fs_name - the type's name of an entry, for people. */
const char *mount_fs_name(const Img__Mnt *mnt);

/*
 * mount_fs_make - a new, detached mount.
 * @source, @options: as in mountinfo, NULL = none; options that are not known are dropped
 * *ret_fd: the mount's root, for move_mount(); the caller's. Contents are not filled in.
 * Returns 0 or a negative errno.
 */
int mount_fs_make(struct op *op, const struct mount_fs *fs, const char *source, const char *options,
		  int *ret_fd, struct error *err) _must_check_;

/* mount_fs_set - give a mount (by a descriptor of its root) the MS_* flags of mnt, exactly. */
int mount_fs_set(int fd, unsigned long flags, struct error *err) _must_check_;

/* mount_fs_readonly - make the whole file system behind a mount read-only. */
int mount_fs_readonly(int fd, struct error *err) _must_check_;

/* mount_fs_devices - the few device nodes that every program may expect, in a directory. */
int mount_fs_devices(int dirfd, struct error *err) _must_check_;
