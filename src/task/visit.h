/* SPDX-License-Identifier: Apache-2.0 */
/*
 * visit: one thread of a running process is stopped for a moment, so that a script can run in it,
 * and goes on as if nothing had been.
 *
 * The other threads of the process run on meanwhile, and so may see what the script does in the
 * short time in which it does it. Calls that the thread waited in go on waiting, exactly as after
 * task_tree_stop() and task_tree_resume().
 */
#pragma once

#include "task/task.h"

/*
 * task_visit_fn - what to do while the thread stands. Called in a thread of its own (ptrace belongs
 * to threads), while the caller of task_visit() waits.
 * @tree: holds one task with this one thread, for script_begin()
 */
typedef int task_visit_fn(struct op *op, struct task_tree *tree, struct thread *thread, void *arg,
			  struct error *err);

/*
 * task_visit - stop one thread of a process that runs, call fn, let it go.
 * @pid: in our pid namespace
 * @ret_stood_ns: how long it stood; 0 when none was stopped; may be NULL
 * Takes the leader where it listens, another thread where it does not. Returns what fn returned;
 * -ESRCH when the process has ended or has no thread left that could be stopped; -EBUSY when it is
 * traced by somebody else; -ETIME when none of its threads came to a stand within a second (they
 * are let go all the same); -EPERM without the right to trace it.
 */
int task_visit(struct op *op, pid_t pid, task_visit_fn *fn, void *arg, uint64_t *ret_stood_ns,
	       struct error *err) _must_check_;
