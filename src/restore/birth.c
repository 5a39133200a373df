// SPDX-License-Identifier: Apache-2.0
/*
 * birth: pids, sessions and process groups of newborn tasks, as planned.
 *
 * SIGCHLD stays unblocked and at its default here: the deaths of stand-ins and zombies must leave
 * no pending signal.
 */
#include "restore/birth.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

_Noreturn void birth_fail(struct run *run, const struct error *err)
{
	restore_shared_fail(&run->board->shared, err);
	_exit(1);
}

/* fork() with a pid of our choice. Returns as fork() does. */
static pid_t fork_as(pid_t pid, uint64_t flags)
{
	struct clone_args args = {
		.flags = flags,
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&pid,
		.set_tid_size = 1,
	};

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static void wait_for(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void births(struct run *run, const struct plan_node *node, bool early)
{
	const struct plan_node *child;
	struct error err = ERROR_INIT;
	pid_t pid;

	for (child = node->first; child; child = child->next) {
		if (child->early != early)
			continue;
		pid = fork_as(child->pid, (child->share_files ? CLONE_FILES : 0) |
						  (child->share_fs ? CLONE_FS : 0));
		if (pid == 0)
			birth_live(run, child);
		if (pid < 0) {
			(void)error_errno(&err, errno, "making task %d, a child of %d", child->pid,
					  node->pid);
			if (errno == EEXIST)
				(void)error_hint(&err, 0, "the pid is taken in the sandbox");
			birth_fail(run, &err);
		}
		if (child->kind == PLAN_LEADER || child->kind == PLAN_STEP)
			wait_for(pid); /* it has borne its children now; they come to init */
	}
}

static void stage(struct run *run, enum stage stage, size_t task)
{
	if (board_reach(run->board, stage, task) < 0)
		_exit(1);
}

/* A process group whose leader is dead is led by a stand-in until somebody is in it. */
static pid_t group_revive(struct run *run, pid_t pgid)
{
	struct error err = ERROR_INIT;
	pid_t pid = fork_as(pgid, 0);

	if (pid == 0) {
		for (;;)
			(void)pause();
	}
	if (pid < 0 || setpgid(pid, pid) < 0) {
		(void)error_errno(&err, errno, "making process group %d", pgid);
		birth_fail(run, &err);
	}
	return pid;
}

static void take_group(struct run *run, const struct plan_node *node)
{
	const struct restore_task *task = node->task;
	char subject[40];
	pid_t stand_in = 0;

	if (node->group == PLAN_GROUP_LEAD)
		(void)setpgid(0, 0);
	if (node->group == PLAN_GROUP_REVIVE)
		stand_in = group_revive(run, task->pgid);
	stage(run, STAGE_LED, task->index);

	if ((node->group == PLAN_GROUP_JOIN || node->group == PLAN_GROUP_REVIVE) &&
	    getpgrp() != task->pgid && setpgid(0, task->pgid) < 0) {
		(void)snprintf(subject, sizeof(subject), "process group %d", task->pgid);
		restore_gap(&run->rst, GAP_DEGRADED, "group", task->pid, subject,
			    "the task cannot join it: %s", strerror(errno));
	}
	stage(run, STAGE_GROUPED, task->index);
	if (stand_in > 0) {
		(void)kill(stand_in, SIGKILL);
		wait_for(stand_in);
	}
}

/* Die as the image's zombie did. */
static _Noreturn void die_as(const struct restore_task *task)
{
	int status = (int)task->core->tc->exit_code;
	struct rlimit none = { 0, 0 };

	(void)prctl(PR_SET_NAME, task->core->tc->comm, 0, 0, 0);
	if (WIFSIGNALED(status)) {
		(void)setrlimit(RLIMIT_CORE, &none);
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
		(void)signal(WTERMSIG(status), SIG_DFL);
		(void)kill(getpid(), WTERMSIG(status));
	}
	_exit(WEXITSTATUS(status));
}

static _Noreturn void task_live(struct run *run, const struct plan_node *node)
{
	struct error err = ERROR_INIT;
	size_t index = node->task->index;

	stage(run, STAGE_BORN, index);
	take_group(run, node);
	if (node->task->zombie)
		die_as(node->task);
	stage(run, STAGE_BURIED, index);

	if (belongings_take(run, node, &err) < 0) {
		(void)error_while(&err, 0, "restoring task %d", node->pid);
		birth_fail(run, &err);
	}
	stage(run, STAGE_READY, index);
	for (;;) /* a puppet from here on */
		(void)pause();
}

_Noreturn void birth_live(struct run *run, const struct plan_node *node)
{
	struct error err = ERROR_INIT;

	/* Before any stand-in below ends and leaves its children to us. */
	if (node->task && node->task->core->tc->has_child_subreaper &&
	    node->task->core->tc->child_subreaper)
		(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	births(run, node, true);
	if (node->setsid && setsid() < 0) {
		(void)error_errno(&err, errno, "making session %d", node->pid);
		birth_fail(run, &err);
	}
	births(run, node, false);

	switch (node->kind) {
	case PLAN_LEADER:
	case PLAN_STEP:
		_exit(0);
	case PLAN_INIT:
		init_live(run);
	case PLAN_TASK:
		break;
	}
	task_live(run, node);
}
