/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc-timers: /proc/PID/timers: the POSIX timers of a process (not their times: timer_gettime()
 * inside the process tells those).
 */
#pragma once

#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"

#define PROC_TIMERS_MAX_BYTES ((size_t)64 << 20)
#define PROC_TIMERS_MAX	      ((size_t)1 << 20)

struct proc_timer {
	int32_t id;
	int32_t signo;
	uint64_t sigval;
	int32_t notify; /* SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD, with SIGEV_THREAD_ID in addition
			 */
	pid_t notify_pid; /* a tid with SIGEV_THREAD_ID; numbered by the pid namespace of the reader
			   */
	int32_t clockid;
};

struct proc_timers {
	struct proc_timer *timers;
	size_t n_timers;
};

int proc_timers_parse(struct bytes text, struct arena *arena, struct proc_timers *ret,
		      struct error *err) _must_check_;
int proc_timers_read(int proc_fd, struct arena *arena, struct proc_timers *ret,
		     struct error *err) _must_check_;
