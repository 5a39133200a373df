/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc-locks: file locks, from /proc/locks and from the "lock:" lines of fdinfo.
 *
 * /proc/locks names the process that took the lock, as the reader's pid namespace numbers it; which
 * descriptor holds it is known from fdinfo only.
 */
#pragma once

#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"

#define PROC_LOCKS_MAX_BYTES ((size_t)64 << 20)
#define PROC_LOCKS_MAX	     ((size_t)1 << 20)

enum proc_lock_kind {
	PROC_LOCK_POSIX,
	PROC_LOCK_OFD,
	PROC_LOCK_FLOCK,
	PROC_LOCK_LEASE,
	PROC_LOCK_DELEG,
	PROC_LOCK_OTHER
};
enum proc_lock_access { PROC_LOCK_READ, PROC_LOCK_WRITE, PROC_LOCK_UNLOCK, PROC_LOCK_NONE };
/* leases only */
enum proc_lock_lease { PROC_LEASE_ACTIVE, PROC_LEASE_BREAKING, PROC_LEASE_BREAKER };

struct proc_lock {
	int64_t id;
	bool blocked; /* "->": waits for the lock above it */
	enum proc_lock_kind kind;
	enum proc_lock_access access;
	enum proc_lock_lease lease;
	bool mandatory;
	pid_t pid; /* -1 for OFD locks and owners outside of our pid namespace may be 0 or less */
	uint32_t major, minor;
	uint64_t ino;
	uint64_t start;
	uint64_t end; /* UINT64_MAX = to the end of the file */
};

struct proc_locks {
	struct proc_lock *locks;
	size_t n_locks;
};

/* proc_lock_parse - one line, without what fdinfo puts before it. Returns 0 or -EBADMSG. */
int proc_lock_parse(struct bytes line, struct proc_lock *ret, struct error *err) _must_check_;

/* proc_locks_parse - the whole file. Returns 0, -EBADMSG, -E2BIG, -ENOMEM. */
int proc_locks_parse(struct bytes text, struct arena *arena, struct proc_locks *ret,
		     struct error *err) _must_check_;

/* proc_locks_read - /proc/locks. */
int proc_locks_read(struct arena *arena, struct proc_locks *ret, struct error *err) _must_check_;
