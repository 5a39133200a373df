// SPDX-License-Identifier: Apache-2.0
/*
 * kinds: the tables of everything that amber can capture and bring back.
 *
 * Adding a kind is adding a file and a row here (docs/HOWTO_ADD_A_KIND.md). Order matters and is
 * explained where it does.
 */
#include "object/capture.h"
#include "object/fd-kinds.h"
#include "object/mount.h"
#include "object/namespace-kinds.h"
#include "object/netns.h"
#include "object/reg-file.h"
#include "object/sk-kinds.h"
#include "object/task-kinds.h"

/*
 * Terminals and memfds have paths too, so they stand before files; what amber only knows by name
 * stands behind everything that it can capture, but before files: a device may be among it.
 */
const struct fd_kind *const fd_kinds[] = {
	&sk_unix_kind,	&sk_inet_kind,	&sk_netlink_kind, &sk_packet_kind,
	&pipe_kind,	&fifo_kind,	&eventfd_kind,	  &eventpoll_kind,
	&timerfd_kind,	&signalfd_kind, &inotify_kind,	  &memfd_kind,
	&pidfd_kind,	&ns_file_kind,	&tty_kind,	  &other_file_kind,
	&reg_file_kind, NULL,
};

/*
 * In order of restoring. Timers and queued signals come before the limits that bound them; filters
 * and credentials take privileges away, so what needs one stands before them; task-misc is last
 * because a change of credentials resets what it sets.
 */
const struct task_kind *const task_kinds[] = {
	&registers_kind,   &sigaction_kind,
	&thread_area_kind, &signal_queue_kind,
	&itimer_kind,	   &posix_timer_kind,
	&file_lock_kind,   &fs_kind,
	&sched_kind,	   &rlimit_kind,
	&seccomp_kind,	   &creds_kind,
	&task_misc_kind,   NULL,
};

const struct namespace_kind *const namespace_kinds[] = {
	&user_namespace_kind,
	&uts_namespace_kind,
	&ipc_namespace_kind, /* before mnt: sysctls are set through the host's /proc */
	&netns_kind,
	&mount_namespace_kind, /* from here on the host's files are out of reach */
	&cgroup_namespace_kind,
	&pid_namespace_kind,
	&time_namespace_kind,
	NULL,
};

const struct fd_kind *fd_kind_of(Img__FdTypes type)
{
	size_t i;

	for (i = 0; fd_kinds[i]; i++)
		if (fd_kinds[i]->type == type)
			return fd_kinds[i];
	return NULL;
}

uint32_t capture_next_id(struct capture *cap)
{
	return ++cap->next_id;
}
