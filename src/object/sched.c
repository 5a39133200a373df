// SPDX-License-Identifier: Apache-2.0
/*
 * sched: scheduling policy, priority and nice value of every thread, both directions.
 */
#include <errno.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "object/task-kinds.h"

/* sched_getattr(2); glibc before 2.41 has no wrapper. */
struct kernel_sched_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static int sched_take(struct capture *cap, struct task_capture *tc, size_t thread, struct script *s,
		      void *state, struct error *err)
{
	Img__ThreadCore *core = tc->thread_cores[thread]->thread_core;
	pid_t tid = tc->task->threads[thread].tid;
	struct kernel_sched_attr attr = { 0 };

	(void)cap, (void)s, (void)state;
	if (syscall(SYS_sched_getattr, tid, &attr, sizeof(attr), 0) < 0)
		return error_errno(err, errno, "cannot read the scheduling of thread %d", tid);
	core->has_sched_policy = true;
	core->sched_policy = attr.policy;
	core->has_sched_nice = true;
	core->sched_nice = attr.nice;
	if (attr.policy == SCHED_FIFO || attr.policy == SCHED_RR) {
		core->has_sched_prio = true;
		core->sched_prio = attr.priority;
	}
	if (attr.policy == 6 /* SCHED_DEADLINE */)
		return gap_add(cap->gaps, GAP_COSMETIC, "sched", tc->task->ns_pid, "SCHED_DEADLINE",
			       "runtime, deadline and period are not in the image format");
	return 0;
}

static int sched_revive(struct restore *rst, struct restore_task *task, size_t thread,
			struct script *s, struct error *err)
{
	const Img__ThreadCore *core = task->threads[thread].core->thread_core;
	struct kernel_sched_attr attr = { .size = 48 };
	uint64_t at;

	(void)rst;
	if (!core->has_sched_policy || core->sched_policy == 6)
		return 0;
	attr.policy = core->sched_policy;
	attr.nice = core->has_sched_nice ? core->sched_nice : 0;
	attr.priority = core->has_sched_prio ? core->sched_prio : 0;
	at = script_data(s, &attr, sizeof(attr));
	if (!at)
		return error_nomem(err);
	script_need(s, SYS_sched_setattr, 0, at, 0);
	return 0;
}

const struct task_kind sched_kind = {
	.name = "sched",
	.take_thread = sched_take,
	.revive_thread = sched_revive,
};
