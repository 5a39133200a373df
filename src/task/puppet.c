// SPDX-License-Identifier: Apache-2.0
/*
 * puppet: see puppet.h. Knows nothing of what a puppet is to become: states come from restore/.
 */
#include "task/puppet.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "kernel/pidfd.h"
#include "kernel/proc-maps.h"
#include "kernel/proc-stat.h"
#include "kernel/proc.h"
#include "task/regs.h"
#include "task/session.h"
#include "task/settle.h"
#include "task/trace.h"

#define STOP_WAIT_NS (5 * 1000000000ULL)

static int puppet_new(struct op *op, pid_t pid, struct puppet **ret, struct error *err)
{
	struct puppet *p = calloc(1, sizeof(*p));
	struct proc_stat stat;
	int r;

	if (!p)
		return error_nomem(err);
	p->op = op;
	p->task = (struct task){ .pid = pid, .pidfd = -1, .proc_fd = -1 };
	r = pidfd_open_process(pid, &p->task.pidfd, err);
	if (r == 0)
		r = proc_open(pid, &p->task.proc_fd, err);
	if (r == 0)
		r = proc_stat_read(p->task.proc_fd, &stat, err);
	if (r < 0) {
		puppet_free(p);
		return r;
	}
	snprintf(p->task.comm, sizeof(p->task.comm), "%.15s", stat.comm);
	p->task.ppid = stat.ppid;
	p->task.pgid = stat.pgrp;
	p->task.sid = stat.session;
	p->task.exit_signal = stat.exit_signal;
	*ret = p;
	return 0;
}

int puppet_add_thread(struct puppet *puppet, pid_t tid, struct error *err)
{
	struct task *task = &puppet->task;
	struct thread *threads;
	int r;

	threads = reallocarray(task->threads, task->n_threads + 1, sizeof(*threads));
	if (!threads)
		return error_nomem(err);
	task->threads = threads;
	threads[task->n_threads] =
		(struct thread){ .task = task, .tid = tid, .seized = true, .stopped = true };
	task->n_threads++;
	r = settle_thread(&threads[task->n_threads - 1], err);
	if (r < 0)
		task->n_threads--;
	return r;
}

int puppet_adopt_child(struct op *op, pid_t tid, struct puppet **ret, struct error *err)
{
	_cleanup_puppet_ struct puppet *p = NULL;
	int r;

	r = puppet_new(op, tid, &p, err);
	if (r == 0)
		r = puppet_add_thread(p, tid, err);
	if (r == 0)
		r = settle_task(&p->task, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(p);
	return 0;
}

/* Signals on their way are delivered: the child is still a program of ours. */
static int stop(pid_t pid, struct error *err)
{
	uint64_t deadline = clock_ns() + STOP_WAIT_NS;
	struct trace_event event;
	int r;

	r = trace_seize(pid, TRACE_PUPPET);
	if (r == 0)
		r = trace_interrupt(pid);
	if (r < 0)
		return error_errno(err, -r, "attaching to the new process %d", pid);
	for (;;) {
		trace_wait(pid, deadline, &event);
		switch (event.kind) {
		case TRACE_STOP:
			return 0;
		case TRACE_NONE:
			return error_set(err, ERROR_SYSTEM, ETIME, "new process %d does not stop",
					 pid);
		case TRACE_ENDED:
			return error_set(err, ERROR_SYSTEM, ESRCH,
					 "new process %d has ended too early", pid);
		default:
			(void)trace_run(pid, PTRACE_CONT,
					event.kind == TRACE_SIGNAL ? event.signal : 0);
		}
	}
}

int puppet_seize(struct op *op, pid_t pid, struct puppet **ret, struct error *err)
{
	int r = stop(pid, err);

	return r < 0 ? r : puppet_adopt_child(op, pid, ret, err);
}

/*
 * The scratch area's last use is over: a `syscall` of the restored program itself takes it away, so
 * that nothing has to run in it.
 */
static int unmap(struct puppet *puppet, uint64_t addr, size_t size, struct error *err)
{
	const uint64_t args[6] = { addr, size };
	struct script s = { .op = puppet->op,
			    .own.thread = &puppet->task.threads[0],
			    .own.mask = ~0ULL };
	struct arena scratch = ARENA_INIT;
	struct gadgets gadgets;
	struct proc_maps maps;
	int64_t result = 0;
	int r;

	r = proc_maps_read(puppet->task.proc_fd, PROC_MAPS_ONLY, &scratch, &maps, err);
	if (r == 0)
		r = gadget_find(NULL, &puppet->task, &maps, addr, size, &gadgets, err);
	arena_deinit(&scratch);
	if (r == 0 && !gadgets.at[ARCH_GADGET_SYSCALL])
		r = error_set(err, ERROR_SYSTEM, ENOEXEC,
			      "restored task %d (%s) has no instruction from which to make a call",
			      puppet->task.pid, puppet->task.comm);
	/* Restored seccomp filters must not judge it. Where they cannot be suspended there are
	 * none. */
	if (r == 0)
		(void)trace_options(s.own.thread->tid, TRACE_PUPPET | PTRACE_O_SUSPEND_SECCOMP);
	if (r == 0)
		r = regs_get(s.own.thread, &s.own.home, err);
	if (r == 0)
		r = run_call(&s, gadgets.at[ARCH_GADGET_SYSCALL], arch_sp(&s.own.home), SYS_munmap,
			     args, &result, err);
	if (r == 0 && result < 0)
		r = error_errno(err, (int)-result, "unmapping the scratch area of task %d",
				puppet->task.pid);
	return r;
}

static int set_state(struct thread *thread, const struct puppet_thread_state *state,
		     struct error *err)
{
	struct user_regs_struct regs = state->regs;
	int r = 0;

	arch_settle(&regs);
	if (state->xstate.len)
		r = regs_set_xstate(thread, state->xstate, err);
	if (r == 0)
		r = regs_set_sigmask(thread, state->sigmask, err);
	return r < 0 ? r : regs_set(thread, &regs, err);
}

int puppet_release(struct puppet *puppet, const struct puppet_thread_state *states, uint64_t addr,
		   size_t size, int stop_signal, struct error *err)
{
	struct task *task = &puppet->task;
	int r;

	r = unmap(puppet, addr, size, err);
	for (size_t i = 0; r == 0 && i < task->n_threads; i++)
		r = set_state(&task->threads[i], &states[i], err);
	/* Whichever signal stopped it: SIGSTOP has the same effect and no handler. */
	if (r == 0 && stop_signal)
		r = pidfd_kill(task->pidfd, SIGSTOP, err);
	for (size_t i = 0; r == 0 && i < task->n_threads; i++) {
		r = trace_detach(task->threads[i].tid, 0);
		if (r < 0)
			return error_errno(err, -r, "letting thread %d of task %d go",
					   task->threads[i].tid, task->pid);
		task->threads[i].seized = task->threads[i].stopped = false;
	}
	if (r == 0)
		task->n_threads = 0;
	return r;
}

void puppet_free(struct puppet *puppet)
{
	struct trace_event event;
	struct task *task;

	if (!puppet)
		return;
	task = &puppet->task;
	if (task->n_threads && task->pidfd >= 0) {
		(void)!pidfd_kill(task->pidfd, SIGKILL, NULL);
		for (size_t i = task->n_threads; i-- > 0;)
			do
				trace_wait(task->threads[i].tid, clock_ns() + STOP_WAIT_NS, &event);
			while (event.kind != TRACE_ENDED && event.kind != TRACE_NONE);
	}
	if (task->pidfd >= 0)
		close(task->pidfd);
	if (task->proc_fd >= 0)
		close(task->proc_fd);
	free(task->threads);
	free(puppet);
}
