// SPDX-License-Identifier: Apache-2.0
/*
 * signal-queue: pending signals with their siginfo, and blocked signals, both directions.
 *
 * The queues are peeked at, nothing is taken out. The mask of a restored thread is set from outside
 * when it is let go; until then everything is blocked, so that what is queued here stays queued.
 */
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "object/task-kinds.h"
#include "task/regs.h"

static int queue_of(struct capture *cap, const struct thread *thread, bool shared,
		    Img__SignalQueue **ret, struct error *err)
{
	Img__SignalQueue *queue = img_new(cap->set, Img__SignalQueue, signal_queue);
	siginfo_t *infos = NULL;
	size_t n = 0, i;
	int r;

	if (!queue)
		return error_nomem(err);
	r = regs_peek_signals(thread, shared, &cap->set->arena, &infos, &n, err);
	if (r < 0)
		return r;
	queue->signals = arena_array(&cap->set->arena, Img__Siginfo *, n);
	if (!queue->signals)
		return error_nomem(err);
	for (i = 0; i < n; i++) {
		queue->signals[i] = img_new(cap->set, Img__Siginfo, siginfo);
		if (!queue->signals[i])
			return error_nomem(err);
		queue->signals[i]->siginfo.data = (uint8_t *)&infos[i];
		queue->signals[i]->siginfo.len = sizeof(infos[i]);
		queue->n_signals++;
	}
	*ret = queue;
	return 0;
}

static int queue_take(struct capture *cap, struct task_capture *tc, struct script *s, void *state,
		      struct error *err)
{
	(void)s, (void)state;
	return queue_of(cap, task_leader(tc->task), true, &tc->core->tc->signals_s, err);
}

static int queue_take_thread(struct capture *cap, struct task_capture *tc, size_t thread,
			     struct script *s, void *state, struct error *err)
{
	Img__ThreadCore *core = tc->thread_cores[thread]->thread_core;
	const struct thread *th = &tc->task->threads[thread];

	(void)s, (void)state;
	core->has_blk_sigset = true;
	core->blk_sigset = th->sigmask;
	if (thread == 0)
		tc->core->tc->blk_sigset = th->sigmask;
	return queue_of(cap, th, false, &core->signals_p, err);
}

static int put_queue(struct script *s, const Img__SignalQueue *queue, pid_t pid, pid_t tid,
		     struct error *err)
{
	siginfo_t info;
	uint64_t at;
	size_t i;

	for (i = 0; queue && i < queue->n_signals; i++) {
		memset(&info, 0, sizeof(info));
		memcpy(&info, queue->signals[i]->siginfo.data,
		       MIN(queue->signals[i]->siginfo.len, sizeof(info)));
		at = script_data(s, &info, sizeof(info));
		if (!at)
			return error_nomem(err);
		/* To itself a task may send any si_code (kernel/signal.c, do_rt_sigqueueinfo). */
		if (tid)
			script_need(s, SYS_rt_tgsigqueueinfo, pid, tid, info.si_signo, at);
		else
			script_need(s, SYS_rt_sigqueueinfo, pid, info.si_signo, at);
	}
	return 0;
}

static int queue_revive(struct restore *rst, struct restore_task *task, size_t thread,
			struct script *s, struct error *err)
{
	const Img__Core *core = task->threads[thread].core;
	int r = 0;

	(void)rst;
	if (thread == 0)
		r = put_queue(s, task->core->tc->signals_s, task->pid, 0, err);
	if (r == 0)
		r = put_queue(s, core->thread_core->signals_p, task->pid, task->threads[thread].tid,
			      err);
	return r;
}

const struct task_kind signal_queue_kind = {
	.name = "signal-queue",
	.take = queue_take,
	.take_thread = queue_take_thread,
	.revive_thread = queue_revive,
};
