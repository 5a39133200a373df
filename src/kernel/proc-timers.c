// SPDX-License-Identifier: Apache-2.0
/*
 * proc-timers: /proc/PID/timers. Never asks the process for the times.
 */
#include "kernel/proc-timers.h"

#include <errno.h>
#include <signal.h>

#include "kernel/proc.h"
#include "kernel/scan.h"

#ifndef SIGEV_THREAD_ID
#define SIGEV_THREAD_ID 4
#endif

/* "signal/tid.123" */
static bool take_notify(struct scan *s, struct proc_timer *timer)
{
	static const struct {
		const char *name;
		int32_t value;
	} names[] = { { "signal/", SIGEV_SIGNAL },
		      { "none/", SIGEV_NONE },
		      { "thread/", SIGEV_THREAD } };
	bool found = false;

	scan_blanks(s);
	for (size_t i = 0; !found && i < ARRAY_SIZE(names); i++) {
		found = scan_lit(s, names[i].name);
		timer->notify = names[i].value;
	}
	if (!found)
		return false;
	if (scan_lit(s, "tid."))
		timer->notify |= SIGEV_THREAD_ID;
	else if (!scan_lit(s, "pid."))
		return false;
	return scan_i32(s, &timer->notify_pid);
}

static bool take_signal(struct scan *s, struct proc_timer *timer)
{
	if (!scan_i32(s, &timer->signo) || !scan_lit(s, "/"))
		return false;
	(void)scan_lit(s, "0x");
	/* A null pointer is written as "(null)" or as zeros, by kernel. */
	if (scan_lit(s, "(null)")) {
		timer->sigval = 0;
		return true;
	}
	return scan_u64(s, 16, &timer->sigval);
}

int proc_timers_parse(struct bytes text, struct arena *arena, struct proc_timers *ret,
		      struct error *err)
{
	struct scan s = scan_of(text), line;
	struct proc_timers timers = { 0 };
	struct proc_timer *timer = NULL;

	while (scan_line(&s, &line)) {
		if (scan_lit(&line, "ID:")) {
			if (timers.n_timers >= PROC_TIMERS_MAX)
				return proc_too_many(err, "timers", PROC_TIMERS_MAX);
			timers.timers = arena_grow(arena, timers.timers, timers.n_timers,
						   sizeof(*timers.timers));
			if (!timers.timers)
				return error_nomem(err);
			timer = &timers.timers[timers.n_timers++];
			if (!scan_i32(&line, &timer->id))
				return proc_malformed(err, "timers", "ID");
		} else if (!timer) {
			return proc_malformed(err, "timers", "first line");
		} else if (scan_lit(&line, "signal:")) {
			if (!take_signal(&line, timer))
				return proc_malformed(err, "timers", "signal");
		} else if (scan_lit(&line, "notify:")) {
			if (!take_notify(&line, timer))
				return proc_malformed(err, "timers", "notify");
		} else if (scan_lit(&line, "ClockID:")) {
			if (!scan_i32(&line, &timer->clockid))
				return proc_malformed(err, "timers", "ClockID");
		}
	}
	*ret = timers;
	return 0;
}

int proc_timers_read(int proc_fd, struct arena *arena, struct proc_timers *ret, struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	int r;

	r = proc_read(proc_fd, "timers", PROC_TIMERS_MAX_BYTES, &text, err);
	if (r < 0)
		return r;
	return proc_timers_parse((struct bytes){ text.data, text.len }, arena, ret, err);
}
