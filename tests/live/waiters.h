/* SPDX-License-Identifier: Apache-2.0 */
/*
 * waiters: one thread for each blocking call, which judges how each of its calls ended.
 *
 * A call with a timeout is made again and again until the verdict is asked for, and each must end
 * by its timeout: not before, not with EINTR, and not later than the machine was late by itself (a
 * clock thread tells how late). A call without one is made once and must be blocked until it is
 * woken after the verdict has been asked for.
 */
#pragma once

#include "subject.h"

#define WAITER_MS 1500 /* timeouts are this and a little more, different for each */

struct waiter {
	const char *name;
	void (*set_up)(struct waiter *w); /* in the main thread, before all; may fork */
	long (*call)(struct waiter *w);
	void (*wake)(struct waiter *w); /* NULL: the call has a timeout */
	long want;			/* what it returns, */
	int want_errno;			/* and errno where that is -1 */
	bool coarse; /* its timeout starts afresh with every capture (docs/TRACES.md) */

	/* the rest belongs to waiters.c and to the call */
	long ms;
	struct timespec timeout; /* ms */
	int fd[2];
	int id;
	unsigned long aio;
	const char *path;
	pid_t tid, child;
	unsigned futex;
	volatile int state; /* 0 not begun, 1 in it, 2 ended as it should */
	volatile unsigned rounds, early, eintr, late;
	volatile long worst_ms;
};

/* waiters_run - set up, READY, wait, judge, tell, PASS or FAIL. Does not return. */
void waiters_run(struct waiter *w, size_t n) __attribute__((noreturn));

/* waiter_deadline - now + its timeout by this clock, for calls that take a time and no duration. */
struct timespec waiter_deadline(const struct waiter *w, clockid_t clock);

/* Rows: a call that ends by its timeout, and one that is woken. */
#define TIMED(what, set, make, result, error, rough)                                               \
	{                                                                                          \
		.name = what, .set_up = set, .call = make, .want = result, .want_errno = error,    \
		.coarse = rough                                                                    \
	}
#define WOKEN(what, set, make, waking, result)                                                     \
	{                                                                                          \
		.name = what, .set_up = set, .call = make, .wake = waking, .want = result          \
	}

/* waiter_pipe - for set_up: nothing can be read from fd[0] until something is written to fd[1]. */
void waiter_pipe(struct waiter *w);

/* waiter_write - for wake: eight bytes into fd[1]. */
void waiter_write(struct waiter *w);
