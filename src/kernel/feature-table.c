// SPDX-License-Identifier: Apache-2.0
/*
 * feature-table: what amber asks of a kernel, and what goes without it. The rows that need ptrace
 * are beside its only user, in task/ptrace-feature. Never compares versions.
 */
#include "kernel/feature-table.h"

#include "kernel/feature-probe.h"

static const struct feature features[] = {
	{ "process-vm", FEATURE_REQUIRED, "copying memory", "no process can be checkpointed",
	  probe_process_vm },
	{ "capabilities", FEATURE_REQUIRED, "acting on other users' processes and their namespaces",
	  "processes of other users, namespaces and credentials are out of reach",
	  probe_capabilities },
	{ "proc-children", FEATURE_REQUIRED, "finding the process tree",
	  "descendants of a process are not found", probe_proc_children },
	{ "pidfd-getfd", FEATURE_REQUIRED, "looking at open files without the process's help",
	  "open files, pipes and sockets are not captured", probe_pidfd_getfd },
	{ "kcmp", FEATURE_REQUIRED, "telling which descriptors are shared",
	  "shared open files would be restored as separate ones", probe_kcmp },
	{ "kcmp-epoll", FEATURE_NEEDED, "telling which file an epoll watches",
	  "an epoll that watches a file whose descriptor number was used again becomes a gap",
	  probe_kcmp_epoll },
	{ "pagemap-scan", FEATURE_OPTIONAL, "finding pages with data",
	  "pagemap is read entry by entry: a longer freeze", probe_pagemap_scan },
	{ "pagemap-pfn", FEATURE_OPTIONAL, "recognising zero pages where PAGEMAP_SCAN is missing",
	  "zero pages are stored as data", probe_pagemap_pfn },
	{ "uffd-wp-async", FEATURE_OPTIONAL, "tracking writes during pre-copy",
	  "memory is tracked by soft-dirty or copied whole in the freeze", probe_uffd_wp_async },
	{ "soft-dirty", FEATURE_OPTIONAL, "tracking writes where uffd-wp-async is missing",
	  "without uffd-wp-async too, memory is copied whole in the freeze", probe_soft_dirty },
	{ "map-files", FEATURE_NEEDED, "opening mapped files that have no name any more",
	  "content of deleted mapped files becomes a gap", probe_map_files },
	{ "sock-diag-unix", FEATURE_NEEDED, "listing unix sockets", "unix sockets become gaps",
	  probe_sock_diag_unix },
	{ "sock-diag-tcp", FEATURE_NEEDED, "listing TCP sockets",
	  "TCP connections that were not accepted yet become gaps", probe_sock_diag_tcp },
	{ "sock-diag-udp", FEATURE_NEEDED, "listing UDP sockets",
	  "UDP sockets are captured from their descriptors only", probe_sock_diag_udp },
	{ "sock-diag-raw", FEATURE_OPTIONAL, "listing raw sockets",
	  "raw sockets are captured from their descriptors only", probe_sock_diag_raw },
	{ "sock-diag-netlink", FEATURE_NEEDED, "listing netlink sockets",
	  "group memberships of netlink sockets become gaps", probe_sock_diag_netlink },
	{ "sock-diag-packet", FEATURE_OPTIONAL, "listing packet sockets",
	  "packet sockets become gaps", probe_sock_diag_packet },
	{ "so-peek-off", FEATURE_NEEDED, "copying what waits in unix sockets",
	  "queued data of unix sockets becomes a gap", probe_so_peek_off },
	{ "tcp-repair", FEATURE_NEEDED, "capturing and restoring TCP connections",
	  "TCP connections become gaps", probe_tcp_repair },
	{ "net-ns", FEATURE_NEEDED, "isolating the network of a sandbox",
	  "restores into a sandbox fail", probe_net_ns },
	{ "time-ns", FEATURE_NEEDED, "monotonic clocks that go on where they were",
	  "clocks of a restored process jump", probe_time_ns },
	{ "clone3-set-tid", FEATURE_NEEDED, "restoring processes under their pids", "restores fail",
	  probe_clone3_set_tid },
	{ "set-mm", FEATURE_NEEDED, "restoring the marks of heap, arguments and environment",
	  "restores fail", probe_set_mm },
	{ "cap-sys-resource", FEATURE_NEEDED, "raising hard limits and lowering oom_score_adj",
	  "restored processes keep the limits and the oom_score_adj of amber where theirs are "
	  "higher",
	  probe_cap_sys_resource },
	{ "timer-restore-ids", FEATURE_OPTIONAL, "restoring POSIX timers under their ids",
	  "timers are made and deleted until the id fits", probe_timer_restore_ids },
	{ "overlayfs", FEATURE_NEEDED, "a writable root of its own for each restored copy",
	  "a restore needs --rootfs with a private copy", probe_overlayfs },
	{ "mount-api", FEATURE_NEEDED, "restoring mount trees", "restores of mount namespaces fail",
	  probe_mount_api },
	{ "open-by-handle", FEATURE_NEEDED, "finding what inotify watches",
	  "watches on files without a known path become gaps", probe_open_by_handle },
	{ "openat2", FEATURE_NEEDED, "opening paths inside a container without leaving it",
	  "files of a hostile container are opened component by component", probe_openat2 },
	{ "cgroup", FEATURE_NEEDED, "capturing and restoring cgroups",
	  "limits and accounting of a restored container are those of amber", probe_cgroup },
};

const struct feature *feature_table(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(features);
	return features;
}
