// SPDX-License-Identifier: Apache-2.0
/*
 * hurry: while the container stands still, amber's threads run before everything else that is not
 * real-time. On a busy node a time slice lost to others would make the freeze several times as
 * long. Never lasts longer than the stop.
 */
#include <sched.h>

#include "checkpoint/run.h"
#include "kernel/proc-tasks.h"
#include "kernel/proc.h"

void checkpoint_hurry(struct checkpoint *c, bool on)
{
	_cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
	const struct sched_param param = { .sched_priority = on ? 1 : 0 };
	struct proc_numbers threads = { 0 };
	_cleanup_close_ int proc_fd = -1;
	size_t i;

	if (c->hurries == on || proc_open(getpid(), &proc_fd, NULL) < 0 ||
	    proc_threads_read(proc_fd, &arena, &threads, NULL) < 0)
		return;
	c->hurries = on;
	/* Where it is not allowed (a cgroup without real-time) the stop is right all the same. */
	for (i = 0; i < threads.n_values; i++)
		if (sched_setscheduler(threads.values[i], on ? SCHED_RR : SCHED_OTHER, &param) < 0)
			op_debug(&c->op, "thread %d keeps its priority", threads.values[i]);
}
