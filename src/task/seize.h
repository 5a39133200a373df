/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seize: a whole tree of tasks is brought to a stand, and let go again.
 *
 * PTRACE_SEIZE while they run, then PTRACE_INTERRUPT for all, then again until no new task or
 * thread appears. Never the cgroup freezer. A stop leaves nothing behind: signals that were on
 * their way are delivered once, group stops stay group stops, interrupted calls go on waiting. If
 * amber dies with the tree stopped, the kernel detaches and everything runs on.
 */
#pragma once

#include "task/task.h"

struct task_stop_options {
	const pid_t *roots; /* in our pid namespace: the container's init, and processes put beside
			       it (exec) */
	size_t n_roots;
	unsigned timeout_ms; /* until all must stand; 0 = 5000 */
};

/*
 * task_tree_stop - stop the roots, their descendants, and, where a root is the init of a pid
 * namespace, everything else in that namespace.
 * @tree: TASK_TREE_INIT on entry; filled on success, empty and everything running again on failure
 *
 * Roots that have died meanwhile are left out; -ESRCH when all have. -EBUSY: a task is traced by
 * somebody else (named). -ETIME: a task did not come to a stand (named, with what it waits in).
 * -EPERM: no right to trace it. -ECANCELED: op was cancelled.
 */
int task_tree_stop(struct op *op, const struct task_stop_options *options, struct task_tree *tree,
		   struct error *err) _must_check_;

/*
 * task_tree_resume - everything runs on. Calls whose interruption would show as a spurious EINTR
 * are repeated, unless a signal is really pending. Tasks that died meanwhile are no error. The
 * structs stay readable. Returns 0, or the first failure after having tried all.
 */
int task_tree_resume(struct task_tree *tree, struct error *err);

/* task_tree_kill - SIGKILL for every task instead of letting it run on (amber checkpoint --stop),
 * and wait a moment until they are dead, so that their parents can reap them. */
int task_tree_kill(struct task_tree *tree, struct error *err);

/* task_tree_deinit - resume what is still stopped, close descriptors, free. Accepts a zeroed tree.
 */
void task_tree_deinit(struct task_tree *tree);
#define _cleanup_task_tree_ _cleanup_(task_tree_deinit)
