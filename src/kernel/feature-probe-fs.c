// SPDX-License-Identifier: Apache-2.0
/*
 * feature-probe-fs: mounts and files, tried on detached mounts that end with their descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/feature-probe.h"

/* A context for a mount that is never made. */
enum feature_state probe_overlayfs(char *detail)
{
	_cleanup_close_ int fd = syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);

	return fd < 0 ? feature_errno(errno, detail) : FEATURE_YES;
}

/* A detached copy of one mount, changed; it is gone when its descriptor is closed. */
enum feature_state probe_mount_api(char *detail)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID };
	_cleanup_close_ int fd =
		syscall(SYS_open_tree, AT_FDCWD, "/proc", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0)
		return feature_errno(errno, detail);
	if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return feature_errno(errno, detail);
	return FEATURE_YES;
}

enum feature_state probe_openat2(char *detail)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	_cleanup_close_ int fd = syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof(how));

	return fd < 0 ? feature_errno(errno, detail) : FEATURE_YES;
}

enum feature_state probe_cgroup(char *detail)
{
	struct statfs root, unified;

	if (statfs("/sys/fs/cgroup", &root) < 0)
		return feature_errno(errno, detail);
	if (root.f_type == CGROUP2_SUPER_MAGIC)
		snprintf(detail, FEATURE_DETAIL_MAX, "version 2");
	else if (statfs("/sys/fs/cgroup/unified", &unified) == 0 &&
		 unified.f_type == CGROUP2_SUPER_MAGIC)
		snprintf(detail, FEATURE_DETAIL_MAX, "version 1, and 2 at /sys/fs/cgroup/unified");
	else if (root.f_type == TMPFS_MAGIC)
		snprintf(detail, FEATURE_DETAIL_MAX, "version 1");
	else {
		snprintf(detail, FEATURE_DETAIL_MAX, "nothing mounted at /sys/fs/cgroup");
		return FEATURE_NO;
	}
	return FEATURE_YES;
}

/* The handle of a file of tmpfs or of the root file system is opened again. */
enum feature_state probe_open_by_handle(char *detail)
{
	_cleanup_free_ struct file_handle *handle = calloc(1, sizeof(*handle) + MAX_HANDLE_SZ);
	_cleanup_close_ int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	int mount_id;

	if (!handle || dir < 0)
		return feature_errno(errno, detail);
	handle->handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(dir, "", handle, &mount_id, AT_EMPTY_PATH) < 0)
		return feature_errno(errno, detail);
	fd = open_by_handle_at(dir, handle, O_PATH | O_CLOEXEC);
	return fd < 0 ? feature_errno(errno, detail) : FEATURE_YES;
}
