// SPDX-License-Identifier: Apache-2.0
/*
 * sigaction: what a process does with each signal, both directions.
 *
 * No file in /proc tells handlers, so the process is asked: 62 calls in one script. The kernel's
 * structure is used, not libc's: the restorer belongs to the program and has to come back too.
 */
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>

#include "object/task-kinds.h"

#define SIGNALS	     64
#define SIGSET_BYTES 8

struct kernel_sigaction {
	uint64_t handler, flags, restorer, mask;
};

struct sigaction_state {
	int first; /* index of the first call; the others follow */
	struct kernel_sigaction *actions;
};

static bool has_action(int sig)
{
	return sig != SIGKILL && sig != SIGSTOP;
}

static int sigaction_ask(struct capture *cap, struct task_capture *tc, struct script *s,
			 void **state, struct error *err)
{
	struct sigaction_state *st = arena_new(&cap->set->arena, struct sigaction_state);
	size_t size = sizeof(struct kernel_sigaction);
	uint64_t at;
	int sig, call;

	(void)tc;
	if (!st)
		return error_nomem(err);
	st->first = -1;
	at = script_alloc(s, SIGNALS * size, (void **)&st->actions);
	if (!at)
		return error_nomem(err);
	for (sig = 1; sig <= SIGNALS; sig++) {
		if (!has_action(sig))
			continue;
		call = script_call(s, SYS_rt_sigaction, sig, 0, at + (sig - 1) * size,
				   SIGSET_BYTES);
		if (st->first < 0)
			st->first = call;
	}
	*state = st;
	return 0;
}

static int sigaction_take(struct capture *cap, struct task_capture *tc, struct script *s,
			  void *state, struct error *err)
{
	const struct sigaction_state *st = state;
	Img__TaskCore *core = tc->core->tc;
	int sig, call = st->first;
	Img__Sa *sa;

	core->sigactions = arena_array(&cap->set->arena, Img__Sa *, SIGNALS);
	if (!core->sigactions)
		return error_nomem(err);
	for (sig = 1; sig <= SIGNALS; sig++) {
		if (!has_action(sig))
			continue;
		if (script_result(s, call) < 0)
			return script_failed(s, call, tc, "rt_sigaction", err);
		call++;
		sa = img_new(cap->set, Img__Sa, sa);
		if (!sa)
			return error_nomem(err);
		sa->sigaction = st->actions[sig - 1].handler;
		sa->flags = st->actions[sig - 1].flags;
		sa->restorer = st->actions[sig - 1].restorer;
		sa->mask = st->actions[sig - 1].mask;
		core->sigactions[core->n_sigactions++] = sa;
	}
	return 0;
}

/* Set from outside, in the new address space: a handler must not run before its code is there. */
static int sigaction_revive(struct restore *rst, struct restore_task *task, size_t thread,
			    struct script *s, struct error *err)
{
	const Img__TaskCore *core = task->core->tc;
	struct kernel_sigaction action;
	uint64_t at;
	size_t i = 0;
	int sig;

	(void)rst;
	if (thread != 0)
		return 0;
	for (sig = 1; sig <= SIGNALS && i < core->n_sigactions; sig++) {
		if (!has_action(sig))
			continue;
		action = (struct kernel_sigaction){ core->sigactions[i]->sigaction,
						    core->sigactions[i]->flags,
						    core->sigactions[i]->restorer,
						    core->sigactions[i]->mask };
		i++;
		at = script_data(s, &action, sizeof(action));
		if (!at)
			return error_nomem(err);
		script_need(s, SYS_rt_sigaction, sig, at, 0, SIGSET_BYTES);
	}
	return 0;
}

const struct task_kind sigaction_kind = {
	.name = "sigaction",
	.ask = sigaction_ask,
	.take = sigaction_take,
	.revive_thread = sigaction_revive,
};
