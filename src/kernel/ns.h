/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ns: namespaces of processes: which they are, opening them, doing something inside.
 *
 * This process itself never changes a namespace: what has to run inside runs in a child that lives
 * as long as one call. A namespace is known by (dev, ino) of its nsfs file.
 */
#pragma once

#include <sys/types.h>

#include "base/buf.h"

enum ns_kind {
	NS_CGROUP,
	NS_IPC,
	NS_MNT,
	NS_NET,
	NS_PID,
	NS_PID_CHILDREN,
	NS_TIME,
	NS_TIME_CHILDREN,
	NS_USER,
	NS_UTS,
	NS_KINDS
};

struct ns_id {
	uint64_t dev, ino; /* ino 0 = not known: the kernel or the task has none */
};

struct ns_set {
	struct ns_id id[NS_KINDS];
};

/* ns_kind_name - "mnt", "pid_for_children": the name below /proc/PID/ns. */
const char *ns_kind_name(enum ns_kind kind);

/* ns_kind_flag - CLONE_NEW* of the kind. */
int ns_kind_flag(enum ns_kind kind);

static inline bool ns_same(struct ns_id a, struct ns_id b)
{
	return a.ino && a.ino == b.ino && a.dev == b.dev;
}

/* ns_read - identify all namespaces of a task. Kinds that are not there have ino 0; a zombie keeps
 * some only. -EACCES when it may not be ptraced. */
int ns_read(int proc_fd, struct ns_set *ret, struct error *err) _must_check_;

/* ns_open - open one (O_RDONLY|O_CLOEXEC). The caller owns *ret_fd. */
int ns_open(int proc_fd, enum ns_kind kind, int *ret_fd, struct error *err) _must_check_;

/* ns_owner - user namespace that owns the namespace behind ns_fd, ns_parent - its parent (pid and
 * user namespaces); descriptors owned by the caller. -EPERM: out of our sight. */
int ns_owner(int ns_fd, int *ret_fd, struct error *err) _must_check_;
int ns_parent(int ns_fd, int *ret_fd, struct error *err) _must_check_;

/*
 * What runs inside. Bytes that it appends to out travel back, so does err. It must only make system
 * calls and use memory it allocates itself; locks of other threads may be held for ever in the
 * child.
 * @fd: a descriptor to be handed back may be stored here (-1 at the start)
 * Returns 0, a positive outcome, or a negative errno.
 */
typedef int ns_call_fn(void *arg, struct buf *out, int *fd, struct error *err);

#define NS_CALL_MAX ((size_t)1 << 30)

/*
 * ns_call - run fn in a forked child that joined namespaces, and wait for it.
 * @ns_fds: NS_KINDS descriptors, -1 = stay; NULL = none. User is joined first, mnt last. With a pid
 *          namespace fn runs in a grandchild, a member of it
 * @out: what fn appended is appended here (NULL: must append nothing)
 * @ret_fd: receives fn's descriptor, -1 if none; NULL when none is wanted
 * Returns fn's value, or a negative errno. Nothing stays behind; the child dies with us.
 */
int ns_call(const int ns_fds[NS_KINDS], ns_call_fn *fn, void *arg, struct buf *out, int *ret_fd,
	    struct error *err) _must_check_;

/* ns_call_in - ns_call() in the kinds (bits 1 << NS_*) of the task behind proc_fd. */
int ns_call_in(int proc_fd, unsigned int kinds, ns_call_fn *fn, void *arg, struct buf *out,
	       int *ret_fd, struct error *err) _must_check_;

/* ns_socket - a socket made in another network namespace, O_CLOEXEC; the caller owns *ret_fd. */
int ns_socket(int net_ns_fd, int domain, int type, int protocol, int *ret_fd,
	      struct error *err) _must_check_;
