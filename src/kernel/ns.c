// SPDX-License-Identifier: Apache-2.0
/*
 * ns: which namespaces a process is in, and opening them. Never joins one: ns-call.c does, in a
 * child.
 */
#include "kernel/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

/* Of linux/nsfs.h. */
#define IOCTL_NS_GET_USERNS _IO(0xb7, 0x1)
#define IOCTL_NS_GET_PARENT _IO(0xb7, 0x2)

static const struct {
	const char *name;
	int flag;
} ns_kinds[NS_KINDS] = {
	[NS_CGROUP] = { "cgroup", CLONE_NEWCGROUP },
	[NS_IPC] = { "ipc", CLONE_NEWIPC },
	[NS_MNT] = { "mnt", CLONE_NEWNS },
	[NS_NET] = { "net", CLONE_NEWNET },
	[NS_PID] = { "pid", CLONE_NEWPID },
	[NS_PID_CHILDREN] = { "pid_for_children", CLONE_NEWPID },
	[NS_TIME] = { "time", CLONE_NEWTIME },
	[NS_TIME_CHILDREN] = { "time_for_children", CLONE_NEWTIME },
	[NS_USER] = { "user", CLONE_NEWUSER },
	[NS_UTS] = { "uts", CLONE_NEWUTS },
};

const char *ns_kind_name(enum ns_kind kind)
{
	return ns_kinds[kind].name;
}

int ns_kind_flag(enum ns_kind kind)
{
	return ns_kinds[kind].flag;
}

static void ns_path(enum ns_kind kind, char path[32])
{
	snprintf(path, 32, "ns/%s", ns_kinds[kind].name);
}

int ns_read(int proc_fd, struct ns_set *ret, struct error *err)
{
	struct ns_set set = { 0 };

	for (int i = 0; i < NS_KINDS; i++) {
		struct stat st;
		char path[32];

		ns_path(i, path);
		if (fstatat(proc_fd, path, &st, 0) == 0)
			set.id[i] = (struct ns_id){ st.st_dev, st.st_ino };
		else if (errno != ENOENT)
			return error_errno(err, errno, "cannot identify %s of a process", path);
	}
	/* Every task that still exists has a user namespace, if only to be compared. */
	if (!set.id[NS_USER].ino && faccessat(proc_fd, "stat", F_OK, 0) < 0)
		return error_errno(err, ESRCH, "the process is gone");
	*ret = set;
	return 0;
}

int ns_open(int proc_fd, enum ns_kind kind, int *ret_fd, struct error *err)
{
	char path[32];
	int fd;

	ns_path(kind, path);
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "cannot open %s of a process", path);
	*ret_fd = fd;
	return 0;
}

static int ns_ask(int ns_fd, unsigned long request, const char *what, int *ret_fd,
		  struct error *err)
{
	int fd = ioctl(ns_fd, request);

	if (fd < 0)
		return error_errno(err, errno, "cannot open the %s of a namespace", what);
	*ret_fd = fd;
	return 0;
}

int ns_owner(int ns_fd, int *ret_fd, struct error *err)
{
	return ns_ask(ns_fd, IOCTL_NS_GET_USERNS, "owner", ret_fd, err);
}

int ns_parent(int ns_fd, int *ret_fd, struct error *err)
{
	return ns_ask(ns_fd, IOCTL_NS_GET_PARENT, "parent", ret_fd, err);
}
