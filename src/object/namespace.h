/* SPDX-License-Identifier: Apache-2.0 */
/*
 * namespace: one kind of namespace, both directions.
 *
 * Capture works from outside, by /proc/<pid>/... where that tells enough, else in a short-lived
 * child of ours that joins the namespace (never forking inside the container's pid namespace).
 * Restore works in the sandbox's root task, which was born in new, empty namespaces of every kind.
 */
#pragma once

#include "object/capture.h"
#include "object/restore.h"

/* What a sandbox is made from besides the image set. */
struct sandbox_spec {
	const char *name;
	const char *root; /* directory that becomes / : an overlay of base and captured diff, made
			   * by the controller's side of the sandbox; never NULL */
	const char *
		scratch; /* private directory (a tmpfs of the sandbox) for copies of bind sources */
};

struct namespace_kind {
	const char *name; /* as in /proc/<pid>/ns/ */
	enum ns_kind kind;
	int clone_flag;
	/* Capture runs before the stop, not in it: what it reads does not follow what tasks do from
	 * one moment to the next. */
	bool early;
	/* Optional, before the stop: what follows only its administrator, and what makes capture()
	 * quick. proc_fd is the root task's. */
	int (*look)(struct capture *cap, const struct capture_ns *ns, int proc_fd,
		    struct error *err);
	/* Contents of cap->ns[kind], into the set. Not called for the host's own namespaces. */
	int (*capture)(struct capture *cap, const struct capture_ns *ns, struct error *err);
	/* In the sandbox's root task, table order: user, uts, ipc, net, mnt, cgroup... id is the
	 * image's (0: the images have nothing of this kind, so make a usable default). */
	int (*restore)(struct restore *rst, const struct sandbox_spec *spec, uint32_t id,
		       struct error *err);
};

extern const struct namespace_kind *const namespace_kinds[]; /* NULL-terminated, in restore order */
