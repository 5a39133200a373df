/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ns-visit: doing something inside of a container's namespaces, fast, while the container stands
 * still.
 *
 * A thread of ours joins and ends. Unlike the child of ns_call() it costs no copy of our page
 * tables, which may describe gigabytes of captured memory, and what it finds needs no way back.
 */
#pragma once

#include "kernel/ns.h"
#include "object/capture.h"

typedef int ns_visit_fn(void *arg, struct error *err);

/*
 * ns_visit - run fn in a thread that joined namespaces of the container's root task, and wait for
 * it.
 * @kinds: bits 1 << NS_*; any of mnt, net, uts, ipc, cgroup (the others need a process)
 * fn shares memory and descriptors with us; its root and working directory are the mount
 * namespace's. Returns fn's value, or a negative errno.
 */
int ns_visit(struct capture *cap, unsigned int kinds, ns_visit_fn *fn, void *arg,
	     struct error *err) _must_check_;
