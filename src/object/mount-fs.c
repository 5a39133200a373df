// SPDX-License-Identifier: Apache-2.0
/*
 * mount-fs: see mount-fs.h.
 */
#include "object/mount-fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"

static const char *const tmpfs_options[] = { "size", "nr_blocks", "nr_inodes", "mode",	  "uid",
					     "gid",  "huge",	  "inode32",   "inode64", NULL };
static const char *const devpts_options[] = { "uid", "gid", "mode", "ptmxmode", "max", NULL };
static const char *const proc_options[] = { "gid", "hidepid", "subset", NULL };
static const char *const cgroup_options[] = { "cpu",	 "cpuacct",  "cpuset",	   "memory",
					      "devices", "freezer",  "blkio",	   "pids",
					      "net_cls", "net_prio", "perf_event", "hugetlb",
					      "rdma",	 "misc",     "xattr",	   "noprefix",
					      "name",	 NULL };

static const struct mount_fs types[] = {
	{ "proc", IMG__FSTYPE__PROC, MOUNT_FRESH, proc_options },
	{ "sysfs", IMG__FSTYPE__SYSFS, MOUNT_FRESH, NULL },
	{ "tmpfs", IMG__FSTYPE__TMPFS, MOUNT_CONTENT, tmpfs_options },
	{ "devpts", IMG__FSTYPE__DEVPTS, MOUNT_FRESH, devpts_options },
	{ "mqueue", IMG__FSTYPE__MQUEUE, MOUNT_FRESH, NULL },
	{ "cgroup", IMG__FSTYPE__CGROUP, MOUNT_CGROUP, cgroup_options },
	{ "cgroup2", IMG__FSTYPE__CGROUP2, MOUNT_CGROUP, NULL },
	{ "devtmpfs", IMG__FSTYPE__DEVTMPFS, MOUNT_DEVICES, NULL },
	{ "overlay", IMG__FSTYPE__OVERLAYFS, MOUNT_STORAGE, NULL },
	{ "aufs", IMG__FSTYPE__AUFS, MOUNT_STORAGE, NULL },
	{ "simfs", IMG__FSTYPE__SIMFS, MOUNT_STORAGE, NULL },
	{ "fuse", IMG__FSTYPE__FUSE, MOUNT_STORAGE, NULL },
	{ "autofs", IMG__FSTYPE__AUTOFS, MOUNT_REFUSED, NULL },
	{ "binfmt_misc", IMG__FSTYPE__BINFMT_MISC, MOUNT_REFUSED, NULL },
	{ "pstore", IMG__FSTYPE__PSTORE, MOUNT_REFUSED, NULL },
	{ "securityfs", IMG__FSTYPE__SECURITYFS, MOUNT_REFUSED, NULL },
	{ "fusectl", IMG__FSTYPE__FUSECTL, MOUNT_REFUSED, NULL },
	{ "debugfs", IMG__FSTYPE__DEBUGFS, MOUNT_REFUSED, NULL },
	{ "tracefs", IMG__FSTYPE__TRACEFS, MOUNT_REFUSED, NULL },
	/* The images have no number for these, they go by name. */
	{ "bpf", IMG__FSTYPE__AUTO, MOUNT_REFUSED, NULL },
	{ "configfs", IMG__FSTYPE__AUTO, MOUNT_REFUSED, NULL },
	{ "efivarfs", IMG__FSTYPE__AUTO, MOUNT_REFUSED, NULL },
	{ "hugetlbfs", IMG__FSTYPE__AUTO, MOUNT_REFUSED, NULL },
	{ "nsfs", IMG__FSTYPE__AUTO, MOUNT_REFUSED, NULL },
};

static const struct mount_fs other = { "other", IMG__FSTYPE__AUTO, MOUNT_STORAGE, NULL };

const struct mount_fs *mount_fs_by_name(const char *name)
{
	size_t i, len = strcspn(name, ".");

	for (i = 0; i < ARRAY_SIZE(types); i++)
		if (strlen(types[i].name) == len && !strncmp(types[i].name, name, len))
			return &types[i];
	return &other;
}

const struct mount_fs *mount_fs_of(const Img__Mnt *mnt)
{
	size_t i;

	if (mnt->fstype == IMG__FSTYPE__AUTO)
		return mnt->fsname ? mount_fs_by_name(mnt->fsname) : &other;
	for (i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].code == (Img__Fstype)mnt->fstype)
			return &types[i];
	return &other;
}

const char *mount_fs_name(const Img__Mnt *mnt)
{
	const struct mount_fs *fs = mount_fs_of(mnt);

	return fs != &other ? fs->name : mnt->fsname ?: "of an unknown type";
}

static bool option_allowed(const struct mount_fs *fs, const char *key, size_t len)
{
	const char *const *o;

	for (o = fs->options; o && *o; o++)
		if (strlen(*o) == len && !strncmp(*o, key, len))
			return true;
	return false;
}

static void options_set(struct op *op, const struct mount_fs *fs, int fsfd, const char *options)
{
	char word[256], *value;
	size_t len;
	int r;

	for (; options && *options; options += len + (options[len] == ',')) {
		len = strcspn(options, ",");
		if (len >= sizeof(word))
			continue;
		memcpy(word, options, len);
		word[len] = '\0';
		value = strchr(word, '=');
		if (!option_allowed(fs, word, strcspn(word, "=")))
			continue;
		if (value)
			*value++ = '\0';
		r = fsconfig(fsfd, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, word, value, 0);
		if (r < 0)
			op_debug(op, "%s: this kernel does not take the option %s", fs->name, word);
		/* a named hierarchy has no controllers, which version 1 wants to be said */
		if (fs->code == IMG__FSTYPE__CGROUP && !strcmp(word, "name"))
			(void)fsconfig(fsfd, FSCONFIG_SET_FLAG, "none", NULL, 0);
	}
}

int mount_fs_make(struct op *op, const struct mount_fs *fs, const char *source, const char *options,
		  int *ret_fd, struct error *err)
{
	const char *name =
		fs->way == MOUNT_DEVICES || fs->way == MOUNT_REFUSED ? "tmpfs" : fs->name;
	_cleanup_close_ int fsfd = fsopen(name, FSOPEN_CLOEXEC);
	int fd;

	if (fsfd < 0)
		return error_errno(err, errno, "this kernel has no %s", name);
	if (source && *source)
		(void)fsconfig(fsfd, FSCONFIG_SET_STRING, "source", source, 0);
	options_set(op, fs, fsfd, options);
	if (fs->way == MOUNT_REFUSED || fs->way == MOUNT_DEVICES)
		(void)fsconfig(fsfd, FSCONFIG_SET_STRING, "mode", "755", 0);
	if (fsconfig(fsfd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return error_errno(err, errno, "cannot make a %s", name);
	fd = fsmount(fsfd, FSMOUNT_CLOEXEC, 0);
	if (fd < 0)
		return error_errno(err, errno, "cannot mount a %s", name);
	*ret_fd = fd;
	return 0;
}

int mount_fs_set(int fd, unsigned long flags, struct error *err)
{
	struct mount_attr attr = {
		.attr_clr = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			    MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODIRATIME | MOUNT_ATTR__ATIME,
	};

	if (flags & MS_RDONLY)
		attr.attr_set |= MOUNT_ATTR_RDONLY;
	if (flags & MS_NOSUID)
		attr.attr_set |= MOUNT_ATTR_NOSUID;
	if (flags & MS_NODEV)
		attr.attr_set |= MOUNT_ATTR_NODEV;
	if (flags & MS_NOEXEC)
		attr.attr_set |= MOUNT_ATTR_NOEXEC;
	if (flags & MS_NODIRATIME)
		attr.attr_set |= MOUNT_ATTR_NODIRATIME;
	if (flags & MS_NOATIME)
		attr.attr_set |= MOUNT_ATTR_NOATIME;
	else if (flags & MS_STRICTATIME)
		attr.attr_set |= MOUNT_ATTR_STRICTATIME;
	if (mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return error_errno(err, errno, "cannot set the flags of a mount");
	return 0;
}

int mount_fs_readonly(int fd, struct error *err)
{
	_cleanup_close_ int fsfd = fspick(fd, "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC);

	if (fsfd < 0 || fsconfig(fsfd, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
	    fsconfig(fsfd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
		return error_errno(err, errno, "cannot make a file system read-only");
	return 0;
}

int mount_fs_devices(int dirfd, struct error *err)
{
	static const struct {
		const char *name;
		unsigned int major, minor;
	} nodes[] = {
		{ "null", 1, 3 },   { "zero", 1, 5 },	 { "full", 1, 7 },
		{ "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 },
	};
	static const struct {
		const char *name, *target;
	} links[] = {
		{ "fd", "/proc/self/fd" },	 { "stdin", "/proc/self/fd/0" },
		{ "stdout", "/proc/self/fd/1" }, { "stderr", "/proc/self/fd/2" },
		{ "ptmx", "pts/ptmx" },
	};
	static const char *const dirs[] = { "pts", "shm", "mqueue" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(nodes); i++) {
		if (mknodat(dirfd, nodes[i].name, S_IFCHR | 0666,
			    makedev(nodes[i].major, nodes[i].minor)) < 0 &&
		    errno != EEXIST)
			return error_errno(err, errno, "cannot make the device node %s",
					   nodes[i].name);
		(void)fchmodat(dirfd, nodes[i].name, 0666, 0); /* whatever the umask is */
	}
	for (i = 0; i < ARRAY_SIZE(links); i++)
		if (symlinkat(links[i].target, dirfd, links[i].name) < 0 && errno != EEXIST)
			return error_errno(err, errno, "cannot make the link %s", links[i].name);
	for (i = 0; i < ARRAY_SIZE(dirs); i++)
		if (mkdirat(dirfd, dirs[i], 0755) < 0 && errno != EEXIST)
			return error_errno(err, errno, "cannot make the directory %s", dirs[i]);
	return 0;
}
