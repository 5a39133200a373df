// SPDX-License-Identifier: Apache-2.0
/*
 * sched: how a thread is scheduled, both directions: policy, priority, nice value; and what only
 * amber keeps: the processors it may run on, its I/O priority, its timer slack.
 */
#include <errno.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "object/task-kinds.h"

#define SCHED_POLICY_DEADLINE 6
#define IOPRIO_WHO_THREAD     1
#define SCHED_ATTR_SIZE	      48   /* SCHED_ATTR_SIZE_VER0 */
#define CPU_MASK_MAX	      1024 /* bytes: 8192 processors */

/* sched_getattr(2); glibc before 2.41 has no wrapper. */
struct kernel_sched_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

struct sched_state {
	int slack_call;
};

static int sched_ask(struct capture *cap, struct task_capture *tc, size_t thread, struct script *s,
		     void **state, struct error *err)
{
	struct sched_state *st = arena_new(&cap->set->arena, struct sched_state);

	(void)tc, (void)thread;
	if (!st)
		return error_nomem(err);
	st->slack_call = script_call(s, SYS_prctl, PR_GET_TIMERSLACK);
	*state = st;
	return 0;
}

static int take_extras(struct capture *cap, pid_t tid, const struct sched_state *st,
		       struct script *s, Img__ThreadCore *core, struct error *err)
{
	unsigned char mask[CPU_MASK_MAX];
	long n;

	n = syscall(SYS_sched_getaffinity, tid, sizeof(mask), mask);
	if (n > 0) {
		core->has_amber_cpus = true;
		core->amber_cpus.len = (size_t)n;
		core->amber_cpus.data = arena_memdup(&cap->set->arena, mask, (size_t)n);
		if (!core->amber_cpus.data)
			return error_nomem(err);
	}
	n = syscall(SYS_ioprio_get, IOPRIO_WHO_THREAD, tid);
	if (n > 0) {
		core->has_amber_ioprio = true;
		core->amber_ioprio = (uint32_t)n;
	}
	if (script_result(s, st->slack_call) > 0) {
		core->has_amber_timer_slack = true;
		core->amber_timer_slack = (uint64_t)script_result(s, st->slack_call);
	}
	return 0;
}

static int sched_take(struct capture *cap, struct task_capture *tc, size_t thread, struct script *s,
		      void *state, struct error *err)
{
	Img__ThreadCore *core = tc->thread_cores[thread]->thread_core;
	pid_t tid = tc->task->threads[thread].tid;
	struct kernel_sched_attr attr = { 0 };

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
	if (attr.policy == SCHED_POLICY_DEADLINE &&
	    gap_add(cap->gaps, GAP_COSMETIC, "sched", tc->task->ns_pid, "SCHED_DEADLINE",
		    "runtime, deadline and period are not in the image format") < 0)
		return error_nomem(err);
	return take_extras(cap, tid, state, s, core, err);
}

static int revive_extras(struct script *s, const Img__ThreadCore *core, struct error *err)
{
	uint64_t at;

	if (core->has_amber_cpus && core->amber_cpus.len) {
		at = script_data(s, core->amber_cpus.data, core->amber_cpus.len);
		if (!at)
			return error_nomem(err);
		/* Refused where none of these processors is there: then any will do. */
		script_call(s, SYS_sched_setaffinity, 0, core->amber_cpus.len, at);
	}
	if (core->has_amber_ioprio)
		script_call(s, SYS_ioprio_set, IOPRIO_WHO_THREAD, 0, core->amber_ioprio);
	if (core->has_amber_timer_slack)
		script_call(s, SYS_prctl, PR_SET_TIMERSLACK, core->amber_timer_slack);
	return 0;
}

static int sched_revive(struct restore *rst, struct restore_task *task, size_t thread,
			struct script *s, struct error *err)
{
	const Img__ThreadCore *core = task->threads[thread].core->thread_core;
	struct kernel_sched_attr attr = { .size = SCHED_ATTR_SIZE };
	uint64_t at;

	(void)rst;
	if (core->has_sched_policy && core->sched_policy != SCHED_POLICY_DEADLINE) {
		attr.policy = core->sched_policy;
		attr.nice = core->has_sched_nice ? core->sched_nice : 0;
		attr.priority = core->has_sched_prio ? core->sched_prio : 0;
		at = script_data(s, &attr, sizeof(attr));
		if (!at)
			return error_nomem(err);
		script_need(s, SYS_sched_setattr, 0, at, 0);
	}
	return revive_extras(s, core, err);
}

const struct task_kind sched_kind = {
	.name = "sched",
	.ask_thread = sched_ask,
	.take_thread = sched_take,
	.revive_thread = sched_revive,
};
