// SPDX-License-Identifier: Apache-2.0
/*
 * seize: see seize.h.
 *
 * First everybody is attached to while all run (newborns are attached to by the kernel from then
 * on), then all are interrupted, then it is made sure that nobody was missed. Uses no freezer,
 * sends no signal.
 */
#include "task/seize.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "kernel/pidfd.h"
#include "kernel/proc-stat.h"
#include "kernel/proc.h"
#include "task/census.h"
#include "task/gadget.h"
#include "task/regs.h"
#include "task/settle.h"
#include "task/timeout.h"
#include "task/trace.h"

#define TIMEOUT_MS_DEFAULT  5000
#define LET_GO_NS	    (20 * 1000000ULL)
#define LET_GO_LAST_NS	    (2 * 1000000000ULL)
#define KILL_TIMEOUT_NS	    (2 * 1000000000ULL)
#define ATTACH_ROUNDS	    64 /* a fork bomb need not converge before the interrupt */
#define LOOKS_WITHOUT_SLEEP 100
#define LOOK_SLEEP_NS	    50000
#define VFORK_PATIENCE_NS   3000000
#define VFORK_SLICE_NS	    50000000

static void pause_ns(long ns)
{
	struct timespec t = { .tv_nsec = ns };

	nanosleep(&t, NULL);
}

/* One thread's next step towards a stand. Nothing is held back: a signal on its way is delivered
 * now. */
static int advance(struct census *c, struct thread *thread, bool *moved, struct error *err)
{
	struct trace_event event;
	pid_t tid = thread->tid;
	int r = 0;

	trace_wait(tid, 0, &event);
	if (event.kind != TRACE_NONE)
		*moved = true;
	switch (event.kind) {
	case TRACE_NONE:
		break;
	case TRACE_ENDED:
		thread->seized = false;
		c->unsure = true;
		break;
	case TRACE_STOP:
		thread->stop_signal = event.signal;
		/* At once: until it is settled, our death would show as an EINTR. */
		r = settle_thread(thread, err);
		thread->stopped = r == 0;
		if (r == -ESRCH || r == -ENOENT) {
			error_clear(err); /* killed; the next look tells */
			r = 0;
		}
		break;
	case TRACE_BIRTH:
		/* Adding the child may move this array: thread is not to be used afterwards. */
		if (event.child)
			r = census_born(c, event.child, err);
		(void)trace_run(tid, PTRACE_CONT, 0);
		break;
	case TRACE_SYSCALL:
		(void)trace_run(tid, PTRACE_CONT, 0);
		break;
	case TRACE_SIGNAL:
		(void)trace_run(tid, PTRACE_CONT, event.signal);
		break;
	}
	return r;
}

/* Everybody once. *ret_waiting = those that still run. */
static int advance_all(struct census *c, bool *moved, size_t *ret_waiting, struct error *err)
{
	size_t waiting = 0;
	int r;

	for (size_t i = 0; i < c->tree->n_tasks; i++) {
		for (size_t k = 0; k < c->tree->tasks[i]->n_threads; k++) {
			struct thread *thread = &c->tree->tasks[i]->threads[k];

			if (!thread->seized || thread->stopped)
				continue;
			r = advance(c, thread, moved, err);
			if (r < 0)
				return r;
			thread = &c->tree->tasks[i]->threads[k];
			if (thread->seized && !thread->stopped)
				waiting++;
		}
	}
	*ret_waiting = waiting;
	return 0;
}

/* Stopped threads that were killed meanwhile: until we have looked, their leader cannot end either.
 */
static bool notice_deaths(struct census *c)
{
	struct trace_event event;
	struct thread *thread;
	bool any = false;

	for (size_t i = 0; i < c->tree->n_tasks; i++) {
		foreach_thread (thread, c->tree->tasks[i]) {
			if (!thread->seized || !thread->stopped)
				continue;
			trace_wait(thread->tid, 0, &event);
			if (event.kind != TRACE_ENDED)
				continue;
			thread->seized = thread->stopped = false;
			c->unsure = any = true;
		}
	}
	return any;
}

static bool runs(const struct task *task)
{
	bool any = false;

	for (size_t i = 0; i < task->n_threads; i++)
		any |= task->threads[i].seized && !task->threads[i].stopped;
	return any;
}

/* Let the stopped children of a task run on. */
static void run_children(struct census *c, const struct task *parent)
{
	struct proc_stat stat;
	struct thread *thread;

	for (size_t i = 0; i < c->tree->n_tasks; i++) {
		struct task *child = c->tree->tasks[i];

		if (child == parent || proc_stat_read(child->proc_fd, &stat, NULL) < 0 ||
		    stat.ppid != parent->pid)
			continue;
		foreach_thread (thread, child)
			if (thread->seized && thread->stopped && !thread->stop_signal &&
			    trace_run(thread->tid, PTRACE_CONT, 0) == 0)
				thread->stopped = thread->woken = false;
	}
}

/*
 * A parent in vfork() stands in the kernel, deaf to ptrace, until its child has called exec or
 * exit: let the children of such a parent run until it hears, and interrupt them again.
 */
static int help_vfork(struct census *c, struct error *err)
{
	uint64_t end = clock_ns() + VFORK_SLICE_NS;
	struct task *deaf = NULL;
	struct thread *thread;
	size_t waiting;
	bool moved;
	int r = 0;

	for (size_t i = 0; i < c->tree->n_tasks && !deaf; i++)
		if (runs(c->tree->tasks[i]))
			deaf = c->tree->tasks[i];
	if (!deaf)
		return 0;
	run_children(c, deaf);
	while (r == 0 && runs(deaf) && clock_ns() < end) {
		pause_ns(LOOK_SLEEP_NS);
		r = advance_all(c, &moved, &waiting, err);
	}
	for (size_t i = 0; i < c->tree->n_tasks; i++)
		foreach_thread (thread, c->tree->tasks[i])
			if (thread->seized && !thread->stopped)
				(void)trace_interrupt(thread->tid);
	return r;
}

static int say_who_is_deaf(struct census *c, struct error *err)
{
	struct task *task;
	struct thread *thread;

	foreach_task (task, c->tree) {
		foreach_thread (thread, task) {
			_cleanup_buf_ struct buf where = BUF_INIT;
			struct proc_stat stat = { .state = '?' };
			_cleanup_close_ int fd = -1;

			if (!thread->seized || thread->stopped)
				continue;
			if (proc_open_thread(task->proc_fd, thread->tid, &fd, NULL) < 0 ||
			    proc_stat_read(fd, &stat, NULL) < 0 ||
			    proc_read(fd, "wchan", 256, &where, NULL) < 0)
				op_debug(c->op, "thread %d has just ended", thread->tid);
			return error_hint(
				err,
				error_set(err, ERROR_SYSTEM, ETIME,
					  "thread %d of task %d (%s) did not stop: state %c, in %s",
					  thread->tid, task->pid, task->comm, stat.state,
					  where.len ? (char *)where.data : "?"),
				"it waits uninterruptibly (a disk, a network file system, a "
				"vfork); "
				"try again when that has ended");
		}
	}
	return error_set(err, ERROR_SYSTEM, ETIME, "the tasks did not stop in time");
}

static int wait_for_all(struct census *c, struct error *err)
{
	uint64_t quiet_since = clock_ns();
	size_t waiting = 0;
	unsigned looks = 0;
	int r;

	for (;;) {
		bool moved = false;

		r = advance_all(c, &moved, &waiting, err);
		if (r < 0 || !waiting)
			return r;
		r = op_cancelled(c->op, err);
		if (r < 0)
			return r;
		if (clock_ns() >= c->deadline_ns)
			return say_who_is_deaf(c, err);
		if (moved) {
			looks = 0;
			quiet_since = clock_ns();
			continue;
		}
		if (clock_ns() - quiet_since > VFORK_PATIENCE_NS) {
			r = notice_deaths(c) ? 0 : help_vfork(c, err);
			if (r < 0)
				return r;
			continue;
		}
		if (looks++ < LOOKS_WITHOUT_SLEEP)
			sched_yield();
		else
			pause_ns(LOOK_SLEEP_NS);
	}
}

static int attach_all(struct census *c, struct error *err)
{
	int r = 0;

	for (int round = 0; r == 0 && round < ATTACH_ROUNDS; round++) {
		c->found = c->unsure = false;
		r = census_scan(c, err);
		if (!c->found && !c->unsure)
			break;
	}
	return r;
}

/* What scripts will need is searched for while all still run. That nothing is found is no matter
 * here. */
static void look_for_gadgets(struct census *c)
{
	for (size_t i = 0; i < c->tree->n_tasks; i++) {
		const struct task *task = c->tree->tasks[i];
		struct arena scratch = ARENA_INIT;
		struct gadgets gadgets;
		struct proc_maps maps;

		if (proc_maps_read(task->proc_fd, PROC_MAPS_ONLY, &scratch, &maps, NULL) < 0 ||
		    gadget_find(&c->tree->gadgets, task, &maps, 0, 0, &gadgets, NULL) < 0)
			op_debug(c->op, "task %d cannot be searched yet", task->pid);
		arena_deinit(&scratch);
	}
}

static int stop_all(struct census *c, struct error *err)
{
	struct thread *thread;
	int r;

	c->interrupt = true;
	c->tree->stopping_ns = clock_ns();
	for (size_t i = 0; i < c->tree->n_tasks; i++)
		foreach_thread (thread, c->tree->tasks[i])
			(void)trace_interrupt(thread->tid);
	/*
	 * Who is there is certain only now, however quiet all was before. A fork that had begun
	 * when its thread was attached to bears a child that is not traced, and listed only when
	 * the fork is done (copy_process() in kernel/fork.c), which may take long; and a list of
	 * children leaves some out while others are reaped (proc(5), task/[tid]/children).
	 */
	do {
		r = wait_for_all(c, err);
		if (r < 0)
			return r;
		c->found = c->unsure = false;
		r = census_scan(c, err);
		if (r < 0)
			return r;
	} while (c->found || c->unsure);
	return 0;
}

static int settle_all(struct task_tree *tree, struct error *err)
{
	struct thread *thread;
	struct task *task;
	int r;

	foreach_task (task, tree) {
		foreach_thread (thread, task) {
			if (thread->stop_signal)
				task->state = TASK_GROUP_STOPPED;
		}
		r = settle_task(task, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Attach, stop, ask. A task that is killed in the middle makes this -ESRCH, and worth another try.
 */
static int stop_once(struct op *op, const struct task_stop_options *options, uint64_t deadline_ns,
		     struct task_tree *tree, struct error *err)
{
	struct census c = { .op = op, .tree = tree, .deadline_ns = deadline_ns };
	size_t alive = 0;
	int r;

	for (size_t i = 0; i < options->n_roots; i++) {
		r = census_root(&c, options->roots[i], err);
		if (r < 0)
			return r;
		alive += (size_t)r;
	}
	if (!alive)
		return error_set(err, ERROR_NOT_FOUND, ESRCH, "no such process: %d",
				 options->n_roots ? options->roots[0] : 0);
	regs_xstate_layout(&tree->xstate);
	tree->xstate_known = true;
	r = attach_all(&c, err);
	if (r == 0) {
		census_look(&c);
		look_for_gadgets(&c);
		timeout_look(op, tree);
	}
	if (r == 0)
		r = stop_all(&c, err);
	if (r == 0)
		r = census_compact(&c, err);
	if (r == 0)
		r = settle_all(tree, err);
	if (r < 0)
		return r;
	tree->stopped_ns = clock_ns();
	if (!tree->n_tasks)
		return error_set(err, ERROR_NOT_FOUND, ESRCH, "process %d has just ended",
				 options->roots[0]);
	return 0;
}

int task_tree_stop(struct op *op, const struct task_stop_options *options, struct task_tree *tree,
		   struct error *err)
{
	unsigned timeout_ms = options->timeout_ms ? options->timeout_ms : TIMEOUT_MS_DEFAULT;
	uint64_t deadline_ns = clock_ns() + timeout_ms * 1000000ULL;
	struct error first = ERROR_INIT;
	int r;

	r = stop_once(op, options, deadline_ns, tree, &first);
	while (r == -ESRCH && tree->n_tasks && clock_ns() < deadline_ns) {
		task_tree_deinit(tree);
		error_clear(&first);
		r = stop_once(op, options, deadline_ns, tree, &first);
	}
	if (r < 0) {
		task_tree_deinit(tree);
		if (err)
			*err = first;
		return error_while(err, r, "stopping the container");
	}
	op_debug(op, "stopped %zu tasks in %llu us", tree->n_tasks,
		 (unsigned long long)(tree->stopped_ns - tree->stopping_ns) / 1000);
	return 0;
}

/*
 * Detach one thread. One that runs (a failed stop) must be brought to a stop for that: returns
 * -EAGAIN when it did not come to one.
 */
static int let_go(struct thread *thread, uint64_t patience_ns, struct error *err)
{
	uint64_t deadline = clock_ns() + patience_ns;
	struct trace_event event = { .kind = TRACE_STOP }, born;
	int r = 0;

	if (!thread->stopped) {
		(void)trace_interrupt(thread->tid);
		trace_wait(thread->tid, deadline, &event);
		/* This stop too must not show as an EINTR. */
		if (event.kind == TRACE_STOP)
			thread->stopped = settle_thread(thread, NULL) == 0;
	}
	if (event.kind == TRACE_NONE)
		return -EAGAIN;
	if (event.kind == TRACE_BIRTH && event.child) {
		/* Nobody knows this child but us. */
		trace_wait(event.child, deadline, &born);
		(void)trace_detach(event.child, born.kind == TRACE_SIGNAL ? born.signal : 0);
	}
	if (event.kind != TRACE_ENDED) {
		r = thread->stopped ? settle_release(thread, err) : 0;
		/* A killed one must be waited for, or its process stays a zombie: leaders last. */
		if (trace_detach(thread->tid, event.kind == TRACE_SIGNAL ? event.signal : 0) < 0)
			trace_wait(thread->tid, clock_ns() + patience_ns / 10, &event);
		if (event.kind == TRACE_NONE)
			return -EAGAIN;
	}
	thread->seized = thread->stopped = false;
	if (r == -ENOENT || r == -ESRCH) {
		error_clear(err);
		r = 0;
	}
	return r;
}

static int let_all_go(struct task_tree *tree, uint64_t patience_ns, struct error *err)
{
	struct error first = ERROR_INIT, other = ERROR_INIT;
	struct thread *thread;
	struct task *task;
	int r, result = 0;

	foreach_task (task, tree) {
		task->maps = NULL;
		foreach_thread (thread, task) {
			r = thread->seized ? let_go(thread, patience_ns, result ? &other : &first)
					   : 0;
			if (r == -EAGAIN)
				error_set(&first, ERROR_SYSTEM, EAGAIN,
					  "thread %d of task %d (%s) could not be let go yet",
					  thread->tid, task->pid, task->comm);
			if (r < 0 && result == 0)
				result = r;
		}
	}
	if (result < 0 && err)
		*err = first;
	return result;
}

int task_tree_resume(struct task_tree *tree, struct error *err)
{
	int r;

	/* A parent in vfork() becomes free when its child, let go in the first pass, has run. */
	r = let_all_go(tree, LET_GO_NS, err);
	if (r == -EAGAIN)
		r = let_all_go(tree, LET_GO_LAST_NS, err);
	if (tree->stopped_ns && !tree->resumed_ns)
		tree->resumed_ns = clock_ns();
	return r;
}

int task_tree_kill(struct task_tree *tree, struct error *err)
{
	uint64_t deadline = clock_ns() + KILL_TIMEOUT_NS;
	struct trace_event event;
	struct thread *thread;
	struct task *task;
	int r, result = 0;

	foreach_task (task, tree) {
		if (task->state == TASK_ZOMBIE || task->pidfd < 0)
			continue;
		r = pidfd_kill(task->pidfd, SIGKILL, result < 0 ? NULL : err);
		if (r < 0 && r != -ESRCH && result == 0)
			result = r;
	}
	/* The others first: a leader's end is told when all its threads are gone. */
	foreach_task (task, tree) {
		for (size_t i = task->n_threads; i-- > 0;) {
			thread = &task->threads[i];
			do
				trace_wait(thread->tid, deadline, &event);
			while (event.kind != TRACE_ENDED && event.kind != TRACE_NONE);
			thread->seized = thread->stopped = false;
		}
	}
	return result;
}

void task_tree_deinit(struct task_tree *tree)
{
	struct task *task;

	(void)task_tree_resume(tree, NULL);
	foreach_task (task, tree)
		census_task_close(task);
	gadget_cache_free(tree->gadgets);
	arena_deinit(&tree->arena);
	*tree = TASK_TREE_INIT;
}
