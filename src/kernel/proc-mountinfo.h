/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc-mountinfo: /proc/PID/mountinfo: the mounts of a process's mount namespace below its root.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

#define PROC_MOUNTINFO_MAX_BYTES ((size_t)256 << 20)
#define PROC_MOUNTINFO_MAX	 ((size_t)1 << 18)

struct proc_mount {
	int32_t id, parent_id;
	uint32_t major, minor;
	const char *root;	/* the part of the file system that is mounted; unescaped */
	const char *mountpoint; /* relative to the process's root; unescaped */
	const char *options;	/* "rw,nosuid,relatime": of this mount */
	int32_t shared;		/* peer group, 0 = none */
	int32_t master;		/* peer group it gets propagation from, 0 = none */
	int32_t propagate_from;
	bool unbindable;
	const char *fstype;	   /* "fuse.sshfs" with its subtype; unescaped */
	const char *source;	   /* unescaped; "" or "none" when there is none */
	const char *super_options; /* of the file system; unescaped */
};

struct proc_mounts {
	struct proc_mount *mounts; /* in the order of the file: parents need not come first */
	size_t n_mounts;
};

/* proc_mountinfo_parse - returns 0, -EBADMSG, -E2BIG, -ENOMEM. */
int proc_mountinfo_parse(struct bytes text, struct arena *arena, struct proc_mounts *ret,
			 struct error *err) _must_check_;
int proc_mountinfo_read(int proc_fd, struct arena *arena, struct proc_mounts *ret,
			struct error *err) _must_check_;

/* proc_mount_find - the mount with this id, or NULL. */
const struct proc_mount *proc_mount_find(const struct proc_mounts *mounts, int32_t id);

/* proc_mount_flags - MS_* bits of an options text ("rw,nosuid,noexec,relatime"); words that are not
 * flags are skipped. */
unsigned long proc_mount_flags(const char *options);
