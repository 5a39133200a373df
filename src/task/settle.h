/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settle: what a thread is told and asked right after it stands, and right before it runs on.
 *
 * For seize.c. Everything that must not be left to the moment of letting go is done here at once,
 * so that a death of ours in between shows as nothing.
 */
#pragma once

#include "task/task.h"

/* settle_task - ids in the task's own namespace, signal dispositions and queues. Zombies too. */
int settle_task(struct task *task, struct error *err) _must_check_;

/*
 * settle_thread - read registers and masks of a stopped thread; put a call that would return a
 * spurious EINTR back to its beginning; take a restartable sequence to its abort handler.
 */
int settle_thread(struct thread *thread, struct error *err) _must_check_;

/* settle_home - the registers with which the thread is to run on: what script sessions put back. */
void settle_home(const struct thread *thread, struct user_regs_struct *ret);

/*
 * settle_release - before detaching: a signal that came meanwhile interrupts its call after all; a
 * call that is made again waits for what is left of its timeout.
 */
int settle_release(struct thread *thread, struct error *err) _must_check_;
