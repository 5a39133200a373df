/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc-cgroup: /proc/PID/cgroup: where a task stands in each cgroup hierarchy.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

#define PROC_CGROUP_MAX_BYTES ((size_t)1 << 20)
#define PROC_CGROUP_MAX	      64

struct proc_cgroup {
	int32_t hierarchy;	 /* 0 = version 2 */
	const char *controllers; /* "cpu,cpuacct", "name=systemd", "" for version 2 */
	const char *path;	 /* seen from the cgroup namespace of the reader */
	bool deleted;		 /* " (deleted)" split off the path */
};

struct proc_cgroups {
	struct proc_cgroup *cgroups;
	size_t n_cgroups;
};

int proc_cgroup_parse(struct bytes text, struct arena *arena, struct proc_cgroups *ret,
		      struct error *err) _must_check_;
int proc_cgroup_read(int proc_fd, struct arena *arena, struct proc_cgroups *ret,
		     struct error *err) _must_check_;
