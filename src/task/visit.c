// SPDX-License-Identifier: Apache-2.0
/*
 * visit: see visit.h.
 *
 * Everything that can be known before the stop is asked before it. The tracer is a thread made for
 * the visit: whatever happens, its end lets the visited one go, even one that is deaf to ptrace and
 * would otherwise stop, unseen by anybody, as soon as it hears again. Sends no signal.
 */
#include "task/visit.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "kernel/pidfd.h"
#include "kernel/proc-maps.h"
#include "kernel/proc-stat.h"
#include "kernel/proc-status.h"
#include "kernel/proc-tasks.h"
#include "kernel/proc.h"
#include "task/census.h"
#include "task/gadget.h"
#include "task/regs.h"
#include "task/settle.h"
#include "task/timeout.h"
#include "task/trace.h"

#define STAND_NS      (1000 * 1000000ULL)
#define THREADS_TRIED 16

struct visit {
	struct op *op;
	pid_t pid;
	task_visit_fn *fn;
	void *arg;
	struct error *err;
	struct task_tree tree;
	struct task task;
	struct task *tasks[1];
	struct thread thread;
	int result;
};

static bool gone(int r)
{
	return r == -ENOENT || r == -ESRCH;
}

/* The process without its threads. */
static int meet(struct visit *v)
{
	struct task *task = &v->task;
	struct proc_stat stat;
	int r;

	*task = (struct task){ .pid = v->pid, .pidfd = -1, .proc_fd = -1 };
	v->tasks[0] = task;
	v->tree = (struct task_tree){ .tasks = v->tasks, .n_tasks = 1 };
	r = proc_open(v->pid, &task->proc_fd, v->err);
	if (r == 0)
		r = proc_stat_read(task->proc_fd, &stat, v->err);
	if (r == 0)
		r = pidfd_open_process(v->pid, &task->pidfd, v->err);
	if (r < 0)
		return gone(r) ? -ESRCH : r;
	snprintf(task->comm, sizeof(task->comm), "%.15s", stat.comm);
	return 0;
}

/* What a script will need is searched for while all still run; not finding it is told there. */
static void prepare(struct visit *v)
{
	struct arena scratch = ARENA_INIT;
	struct gadgets gadgets;
	struct proc_maps maps;

	regs_xstate_layout(&v->tree.xstate);
	if (proc_maps_read(v->task.proc_fd, PROC_MAPS_ONLY, &scratch, &maps, NULL) < 0 ||
	    gadget_find(&v->tree.gadgets, &v->task, &maps, 0, 0, &gadgets, NULL) < 0)
		op_debug(v->op, "task %d cannot be searched yet", v->pid);
	arena_deinit(&scratch);
}

/* Does it hear ptrace? One that waits uninterruptibly (a disk, vfork) would only keep us. */
static bool listens(const struct task *task, pid_t tid)
{
	_cleanup_close_ int fd = -1;
	struct proc_stat stat;

	return proc_open_thread(task->proc_fd, tid, &fd, NULL) == 0 &&
	       proc_stat_read(fd, &stat, NULL) == 0 &&
	       (stat.state == 'R' || stat.state == 'S' || stat.state == 'T');
}

static int traced(const struct visit *v, pid_t tid)
{
	struct arena scratch = ARENA_INIT;
	_cleanup_close_ int fd = -1;
	struct proc_status status = { 0 };
	int r;

	r = proc_open_thread(v->task.proc_fd, tid, &fd, NULL);
	if (r == 0)
		r = proc_status_read(fd, &scratch, &status, NULL);
	arena_deinit(&scratch);
	if (gone(r) || (r == 0 && (status.state == 'Z' || status.state == 'X')))
		return -ESRCH;
	if (r == 0 && status.tracer_pid)
		return error_hint(
			v->err,
			error_set(v->err, ERROR_SYSTEM, EBUSY,
				  "thread %d of task %d (%s) is already traced by process %d", tid,
				  v->pid, v->task.comm, status.tracer_pid),
			"end the debugger or tracer (process %d) and try again", status.tracer_pid);
	return error_hint(v->err,
			  error_errno(v->err, EPERM, "attaching to thread %d of task %d (%s)", tid,
				      v->pid, v->task.comm),
			  "run amber as root (CAP_SYS_PTRACE) outside of the container");
}

/* Wait until the interrupted thread stands and is settled. What comes on the way is passed on. */
static int come_to_a_stand(struct visit *v)
{
	uint64_t deadline = clock_ns() + STAND_NS;
	struct thread *thread = &v->thread;
	struct trace_event event;
	int r;

	for (;;) {
		trace_wait(thread->tid, deadline, &event);
		switch (event.kind) {
		case TRACE_NONE:
			return error_set(v->err, ERROR_SYSTEM, ETIME,
					 "thread %d of task %d (%s) did not stop", thread->tid,
					 v->pid, v->task.comm);
		case TRACE_ENDED:
			thread->seized = false;
			return -ESRCH;
		case TRACE_STOP:
			thread->stop_signal = event.signal;
			r = settle_thread(thread, v->err);
			thread->stopped = r == 0;
			return gone(r) ? -ESRCH : r;
		case TRACE_SIGNAL:
			(void)trace_run(thread->tid, PTRACE_CONT, event.signal);
			break;
		case TRACE_BIRTH:
		case TRACE_SYSCALL:
			(void)trace_run(thread->tid, PTRACE_CONT, 0);
			break;
		}
	}
}

/* Let the thread run on, whatever came of it. */
static int let_go(struct visit *v, int r)
{
	struct error *err = r == 0 ? v->err : NULL;
	struct thread *thread = &v->thread;
	struct trace_event event;
	int released = 0;

	if (thread->seized && thread->stopped)
		released = settle_release(thread, err);
	/* Killed, it must be waited for, or its process stays a zombie. */
	if (thread->seized && trace_detach(thread->tid, 0) < 0)
		trace_wait(thread->tid, clock_ns() + STAND_NS / 10, &event);
	thread->seized = thread->stopped = false;
	if (r)
		return r;
	return gone(released) ? 0 : released;
}

/* Returns 1 when this thread cannot be visited but another may. */
static int visit_thread(struct visit *v, pid_t tid)
{
	struct thread *thread = &v->thread;
	int r;

	*thread = (struct thread){ .task = &v->task, .tid = tid };
	v->task.threads = thread;
	v->task.n_threads = 1;
	/* No births are reported: a child that it makes before it stands is none of ours. */
	r = trace_seize(tid, PTRACE_O_TRACESYSGOOD);
	if (r == -EPERM)
		r = traced(v, tid);
	else if (r < 0 && r != -ESRCH)
		error_errno(v->err, -r, "attaching to thread %d of task %d (%s)", tid, v->pid,
			    v->task.comm);
	if (r < 0)
		return r == -ESRCH ? 1 : r;
	thread->seized = true;
	timeout_look(v->op, &v->tree);
	v->tree.stopping_ns = clock_ns();
	r = trace_interrupt(tid);
	if (r == 0)
		r = come_to_a_stand(v);
	v->tree.stopped_ns = clock_ns();
	if (r == 0)
		r = settle_task(&v->task, v->err);
	if (r == 0)
		r = v->fn(v->op, &v->tree, thread, v->arg, v->err);
	else if (gone(r))
		r = 1;
	r = let_go(v, r);
	v->tree.resumed_ns = clock_ns();
	return r;
}

static void *visitor(void *arg)
{
	struct visit *v = arg;
	struct arena scratch = ARENA_INIT;
	struct proc_numbers tids = { 0 };
	size_t tried = 0;
	int r;

	r = proc_threads_read(v->task.proc_fd, &scratch, &tids, v->err);
	if (r == 0)
		r = 1;
	for (size_t i = 0; r == 1 && i < tids.n_values && tried < THREADS_TRIED; i++) {
		if (!listens(&v->task, tids.values[i]))
			continue;
		tried++;
		r = visit_thread(v, tids.values[i]);
	}
	arena_deinit(&scratch);
	if (r == 1 && tids.n_values && !tried && !pidfd_dead(v->task.pidfd))
		r = error_set(v->err, ERROR_SYSTEM, ETIME,
			      "no thread of task %d (%s) can be stopped", v->pid, v->task.comm);
	else if (r == 1 || gone(r))
		r = error_set(v->err, ERROR_NOT_FOUND, ESRCH, "process %d has just ended", v->pid);
	v->result = r;
	return NULL;
}

int task_visit(struct op *op, pid_t pid, task_visit_fn *fn, void *arg, uint64_t *ret_stood_ns,
	       struct error *err)
{
	struct visit v = { .op = op, .pid = pid, .fn = fn, .arg = arg, .err = err };
	pthread_t thread;
	int r;

	if (ret_stood_ns)
		*ret_stood_ns = 0;
	r = meet(&v);
	if (r == 0) {
		prepare(&v);
		r = pthread_create(&thread, NULL, visitor, &v);
		if (r)
			r = error_errno(err, r, "making a thread");
		else
			pthread_join(thread, NULL);
	}
	if (r == 0)
		r = v.result;
	if (r == 0 && ret_stood_ns)
		*ret_stood_ns = v.tree.resumed_ns - v.tree.stopping_ns;
	census_task_close(&v.task);
	gadget_cache_free(v.tree.gadgets);
	arena_deinit(&v.tree.arena);
	return r < 0 ? error_while(err, r, "visiting task %d", pid) : 0;
}
