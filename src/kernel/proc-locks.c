// SPDX-License-Identifier: Apache-2.0
/*
 * proc-locks: file locks as the kernel writes them. Never says which descriptor holds one.
 */
#include "kernel/proc-locks.h"

#include <errno.h>

#include "base/fd.h"
#include "kernel/proc.h"
#include "kernel/scan.h"

static enum proc_lock_kind kind_of(const struct scan *word)
{
	static const char *const names[] = {
		[PROC_LOCK_POSIX] = "POSIX", [PROC_LOCK_OFD] = "OFDLCK",
		[PROC_LOCK_FLOCK] = "FLOCK", [PROC_LOCK_LEASE] = "LEASE",
		[PROC_LOCK_DELEG] = "DELEG",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (scan_is(word, names[i]))
			return i;
	return PROC_LOCK_OTHER;
}

static bool access_of(const struct scan *word, enum proc_lock_access *ret)
{
	static const char *const names[] = {
		[PROC_LOCK_READ] = "READ",
		[PROC_LOCK_WRITE] = "WRITE",
		[PROC_LOCK_UNLOCK] = "UNLCK",
		[PROC_LOCK_NONE] = "NONE",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (scan_is(word, names[i])) {
			*ret = i;
			return true;
		}
	}
	/* LOCK_MAND of old kernels */
	*ret = PROC_LOCK_NONE;
	return scan_is(word, "RW");
}

int proc_lock_parse(struct bytes line, struct proc_lock *ret, struct error *err)
{
	struct proc_lock lock = { 0 };
	struct scan s = scan_of(line), kind, mode, access;

	while (scan_left(&s) && s.end[-1] == '\n')
		s.end--;
	if (!scan_i64(&s, &lock.id) || !scan_lit(&s, ":"))
		return proc_malformed(err, "lock", "number");
	scan_blanks(&s);
	/* One arrow for each level of waiting. */
	while (scan_lit(&s, "->")) {
		lock.blocked = true;
		scan_blanks(&s);
	}
	if (!scan_word(&s, &kind) || !scan_word(&s, &mode) || !scan_word(&s, &access) ||
	    !access_of(&access, &lock.access))
		return proc_malformed(err, "lock", "kind and access");
	lock.kind = kind_of(&kind);
	lock.mandatory = scan_is(&mode, "MANDATORY");
	lock.lease = scan_is(&mode, "BREAKING")	 ? PROC_LEASE_BREAKING
		     : scan_is(&mode, "BREAKER") ? PROC_LEASE_BREAKER
						 : PROC_LEASE_ACTIVE;
	if (!scan_i32(&s, &lock.pid))
		return proc_malformed(err, "lock", "pid");
	scan_blanks(&s);
	/* A lock whose file has no inode any more has a word in place of the numbers. */
	if (!scan_lit(&s, "<none>:0") &&
	    (!scan_u32(&s, 16, &lock.major) || !scan_lit(&s, ":") ||
	     !scan_u32(&s, 16, &lock.minor) || !scan_lit(&s, ":") || !scan_u64(&s, 10, &lock.ino)))
		return proc_malformed(err, "lock", "file");
	if (!scan_u64(&s, 10, &lock.start))
		return proc_malformed(err, "lock", "start");
	scan_blanks(&s);
	if (scan_lit(&s, "EOF"))
		lock.end = UINT64_MAX;
	else if (!scan_u64(&s, 10, &lock.end))
		return proc_malformed(err, "lock", "end");
	*ret = lock;
	return 0;
}

int proc_locks_parse(struct bytes text, struct arena *arena, struct proc_locks *ret,
		     struct error *err)
{
	struct scan s = scan_of(text), line;
	struct proc_locks locks = { 0 };
	int r;

	while (scan_line(&s, &line)) {
		if (locks.n_locks >= PROC_LOCKS_MAX)
			return proc_too_many(err, "file locks", PROC_LOCKS_MAX);
		locks.locks = arena_grow(arena, locks.locks, locks.n_locks, sizeof(*locks.locks));
		if (!locks.locks)
			return error_nomem(err);
		r = proc_lock_parse(
			(struct bytes){ (const unsigned char *)line.at, scan_left(&line) },
			&locks.locks[locks.n_locks], err);
		if (r < 0)
			return r;
		locks.n_locks++;
	}
	*ret = locks;
	return 0;
}

int proc_locks_read(struct arena *arena, struct proc_locks *ret, struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	int r;

	r = fd_read_file(-1, "/proc/locks", PROC_LOCKS_MAX_BYTES, &text, err);
	if (r < 0)
		return r;
	return proc_locks_parse((struct bytes){ text.data, text.len }, arena, ret, err);
}
