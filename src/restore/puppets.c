// SPDX-License-Identifier: Apache-2.0
/*
 * puppets: threads, attributes and registers of every task, from outside. (Memory:
 * puppets-memory.c.)
 *
 * Never runs code of the image: the first instruction of a restored program is executed after
 * puppets_release().
 */
#include "restore/puppets.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "memory/space.h"
#include "object/registers.h"
#include "task/regs.h"

#define THREADS_A_RUN 256

int puppets_seize(struct run *run, struct error *err)
{
	size_t i;
	int r;

	for (i = 0; i < run->rst.n_tasks; i++) {
		if (run->rst.tasks[i].zombie)
			continue;
		r = puppet_seize(run->rst.op, run->pids[i], &run->puppets[i], err);
		if (r < 0)
			return error_while(err, r, "taking over task %d", run->rst.tasks[i].pid);
	}
	return 0;
}

/* One run that makes the threads [first, first + n); their tids in our namespace in tids. */
static int clone_threads(struct run *run, struct restore_task *task, size_t first, size_t n,
			 pid_t *tids, struct error *err)
{
	struct puppet *puppet = run->puppets[task->index];
	struct board_slot *slot = &run->board->slots[task->index];
	_cleanup_script_ struct script *s = NULL;
	int calls[THREADS_A_RUN];
	size_t i;
	int r;

	r = script_adopt(run->rst.op, &puppet->task.threads[0], slot->area, SPACE_AREA_SIZE, &s,
			 err);
	if (r < 0)
		return r;
	for (i = 0; i < n; i++) {
		pid_t tid = task->threads[first + i].tid;
		struct clone_args args = {
			.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
				 CLONE_SYSVSEM,
			.set_tid = script_data(s, &tid, sizeof(tid)),
			.set_tid_size = 1,
		};

		calls[i] = script_need(s, SYS_clone3, script_data(s, &args, sizeof(args)),
				       sizeof(args));
	}
	r = script_run(s, err);
	if (r < 0)
		return r;
	for (i = 0; i < n; i++) {
		int64_t result = script_result(s, calls[i]);

		if (result < 0)
			return error_errno(err, result > -4096 ? (int)-result : EIO,
					   "making thread %d of task %d",
					   task->threads[first + i].tid, task->pid);
		r = script_new_thread(s, calls[i], &tids[i], err);
		if (r < 0)
			return r;
	}
	return script_end(&s, err);
}

static int threads_of(struct run *run, struct restore_task *task, struct error *err)
{
	struct puppet *puppet = run->puppets[task->index];
	pid_t tids[THREADS_A_RUN];
	size_t first, i, n;
	int r;

	for (first = 1; first < task->n_threads; first += n) {
		n = MIN(task->n_threads - first, (size_t)THREADS_A_RUN);
		r = clone_threads(run, task, first, n, tids, err);
		if (r < 0)
			return r;
		for (i = 0; i < n; i++) {
			r = puppet_add_thread(puppet, tids[i], err);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int puppets_threads(struct run *run, struct error *err)
{
	size_t i;
	int r;

	for (i = 0; i < run->rst.n_tasks; i++) {
		if (!run->puppets[i])
			continue;
		r = threads_of(run, &run->rst.tasks[i], err);
		if (r < 0)
			return error_while(err, r, "making the threads of task %d",
					   run->rst.tasks[i].pid);
	}
	return 0;
}

/* Append the calls of every kind, each followed by a marker that tells whether it got so far. */
static int ask_kinds(struct run *run, struct restore_task *task, size_t thread, struct script *s,
		     int *markers, struct error *err)
{
	size_t i;
	int r;

	for (i = 0; task_kinds[i]; i++) {
		markers[i] = -1;
		if (!task_kinds[i]->revive_thread)
			continue;
		r = task_kinds[i]->revive_thread(&run->rst, task, thread, s, err);
		if (r < 0)
			return error_while(err, r, "restoring %s", task_kinds[i]->name);
		markers[i] = script_need(s, SYS_getpid);
	}
	return 0;
}

/* Which kind's calls ended the run? */
static int judge_kinds(struct script *s, const int *markers, int first, struct error *err)
{
	int call = first;
	size_t i;

	for (i = 0; task_kinds[i]; i++) {
		if (markers[i] < 0)
			continue;
		if (script_result(s, markers[i]) == SCRIPT_NOT_RUN) {
			int64_t result = 0;

			for (; call < markers[i]; call++)
				if (script_result(s, call) < 0 &&
				    script_result(s, call) != SCRIPT_NOT_RUN)
					result = script_result(s, call);
			return error_errno(err, result ? (int)-result : EIO, "restoring %s",
					   task_kinds[i]->name);
		}
		call = markers[i] + 1;
	}
	return 0;
}

#define KINDS_MAX 64

static int attributes_of(struct run *run, struct restore_task *task, size_t thread,
			 struct error *err)
{
	struct puppet *puppet = run->puppets[task->index];
	struct board_slot *slot = &run->board->slots[task->index];
	_cleanup_script_ struct script *s = NULL;
	int markers[KINDS_MAX], first, r;

	r = script_adopt(run->rst.op, &puppet->task.threads[thread], slot->area, SPACE_AREA_SIZE,
			 &s, err);
	if (r < 0)
		return r;
	/* pid 1 was to die with the controller while it was amber's. */
	first = script_need(s, SYS_prctl, PR_SET_PDEATHSIG, 0);
	r = ask_kinds(run, task, thread, s, markers, err);
	if (r < 0)
		return r;
	if (thread + 1 == task->n_threads)
		(void)script_need(s, SYS_close_range, run->rst.fd_base, ~0U, 0);
	r = script_run(s, err);
	if (r < 0)
		return r;
	r = judge_kinds(s, markers, first + 1, err);
	if (r < 0)
		return r;
	return script_end(&s, err);
}

int puppets_attributes(struct run *run, struct error *err)
{
	size_t i, j;
	int r;

	for (i = 0; i < run->rst.n_tasks; i++) {
		struct restore_task *task = &run->rst.tasks[i];

		for (j = 0; run->puppets[i] && j < task->n_threads; j++) {
			r = attributes_of(run, task, j, err);
			if (r < 0)
				return error_while(err, r, "thread %d of task %d",
						   task->threads[j].tid, task->pid);
		}
	}
	return 0;
}

static uint64_t signal_mask(const struct restore_task *task, size_t thread)
{
	const Img__ThreadCore *core = task->threads[thread].core->thread_core;

	if (core->has_blk_sigset)
		return core->blk_sigset;
	return thread == 0 ? task->core->tc->blk_sigset : 0;
}

static int release_one(struct run *run, struct restore_task *task, struct error *err)
{
	struct board_slot *slot = &run->board->slots[task->index];
	const Img__TaskCore *tc = task->core->tc;
	struct puppet_thread_state *states;
	struct buf *xstates;
	uint64_t lost = 0;
	int stop, r = 0;
	size_t i;

	states = calloc(task->n_threads, sizeof(*states));
	xstates = calloc(task->n_threads, sizeof(*xstates));
	if (!states || !xstates)
		r = error_nomem(err);
	for (i = 0; r >= 0 && i < task->n_threads; i++) {
		r = registers_from_image(task->threads[i].core->thread_info, &states[i].regs,
					 &xstates[i], &lost, err);
		states[i].xstate = (struct bytes){ xstates[i].data, xstates[i].len };
		states[i].sigmask = signal_mask(task, i);
		if (lost)
			restore_gap(&run->rst, GAP_DEGRADED, "registers", task->threads[i].tid,
				    "extended state", "this processor lacks components %#llx",
				    (unsigned long long)lost);
	}
	stop = tc->task_state != TASK_STATE_STOPPED ? 0
	       : tc->has_stop_signo		    ? (int)tc->stop_signo
						    : SIGSTOP;
	if (r >= 0)
		r = puppet_release(run->puppets[task->index], states, slot->area, SPACE_AREA_SIZE,
				   stop, err);
	for (i = 0; xstates && i < task->n_threads; i++)
		buf_deinit(&xstates[i]);
	free(xstates);
	free(states);
	return r;
}

int puppets_release(struct run *run, struct error *err)
{
	size_t i;
	int r;

	/* Children first: pid 1 is the last to notice that anything has happened. */
	for (i = run->rst.n_tasks; i-- > 0;) {
		if (!run->puppets[i])
			continue;
		r = release_one(run, &run->rst.tasks[i], err);
		/* Those that run already may have ended it: that is their business. */
		if (r == -ESRCH) {
			restore_gap(&run->rst, GAP_COSMETIC, "task", run->rst.tasks[i].pid, "task",
				    "it ended before all of it had been let go");
			error_clear(err);
			r = 0;
		}
		if (r < 0)
			return error_while(err, r, "letting task %d go", run->rst.tasks[i].pid);
		puppet_free(run->puppets[i]);
		run->puppets[i] = NULL;
	}
	return 0;
}

void puppets_kill(struct run *run)
{
	size_t i;

	/* The first task may be pid 1, whose death waits for all others'. */
	for (i = run->rst.n_tasks; run->puppets && i-- > 0;) {
		puppet_free(run->puppets[i]);
		run->puppets[i] = NULL;
	}
}
