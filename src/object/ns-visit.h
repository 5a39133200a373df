/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ns-visit: doing something inside of a container's namespaces, fast, while the container stands
 * still.
 *
 * Unlike the child of ns_call() a visit costs no copy of our page tables, which may describe
 * gigabytes of captured memory, and what it finds needs no way back.
 */
#pragma once

#include "kernel/ns.h"
#include "object/capture.h"

typedef int ns_visit_fn(void *arg, struct error *err);

/*
 * ns_visit - run fn in namespaces of the container's root task: in this thread, which joins them
 * for that time, or with mnt in one of its own.
 * @kinds: bits 1 << NS_*; any of mnt, net, uts, ipc, cgroup (the others need a process)
 * fn shares memory and descriptors with us; its root and working directory are the mount
 * namespace's. Returns fn's value, or a negative errno.
 */
int ns_visit(struct capture *cap, unsigned int kinds, ns_visit_fn *fn, void *arg,
	     struct error *err) _must_check_;

/* ns_visit_at - the same in namespaces of the process behind proc_fd, before the stop as well. */
int ns_visit_at(int proc_fd, unsigned int kinds, ns_visit_fn *fn, void *arg,
		struct error *err) _must_check_;
