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
 * timeout_stood - the thread stands: does what was noted still hold?
 * @switches: voluntary context switches of its status now
 */
void timeout_stood(struct thread *thread, uint64_t switches);

/*
 * timeout_left - before a call is made again: let it wait for what is left at the time now_ns only.
 * @regs: in front of the call
 */
void timeout_left(const struct thread *thread, uint64_t now_ns, struct user_regs_struct *regs);
