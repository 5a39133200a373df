/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeout: when the call in which a thread sleeps is to end.
 *
 * The kernel tells neither when a call began nor when it ends. But it tells when a thread last ran
 * (se.exec_start of /proc/<pid>/sched), and a thread that sleeps in a call has begun it before
 * that: the end reckoned from there is never too early. Looked at while the thread sleeps, before
 * it is stopped; used when the stop proves to be what woke it. Where one of these is missing the
 * whole timeout starts afresh.
 */
#pragma once

#include "task/task.h"

/* timeout_look - note the ends of timed calls of all threads of the tree. Everything runs; we are
 * attached. What cannot be found out is left unknown. */
void timeout_look(struct op *op, struct task_tree *tree);

/*
 * timeout_stood - the thread stands: does what was noted still hold? Where its timeout is a struct
 * timespec, one with what is left is written into dead bytes of its stack.
 * @switches: voluntary context switches of its status now
 */
void timeout_stood(struct thread *thread, uint64_t switches);

/*
 * timeout_left - before a call is made again: let it wait for what is left at the time now_ns only.
 * @regs: in front of the call
 * Where the timeout is a struct timespec, what is left is what was written last.
 */
void timeout_left(const struct thread *thread, uint64_t now_ns, struct user_regs_struct *regs);

/* timeout_image - the same for an image, as of the stop, also for calls that the kernel resumes. */
void timeout_image(const struct thread *thread, struct user_regs_struct *regs);

/* timeout_renew - before a call is made again: write what is left now. Returns whether its end is
 * known. */
bool timeout_renew(const struct thread *thread);

/* timeout_undo - the call goes on by itself, or ends: put the bytes back that were overwritten. */
void timeout_undo(const struct thread *thread);

/*
 * timeout_advance - before the thread is let go: the time it stood counts for a call whose time
 * left the kernel has written into the program's own memory when we stopped it, to restart it with
 * that (select, pselect, ppoll).
 */
void timeout_advance(const struct thread *thread);
