/* SPDX-License-Identifier: Apache-2.0 */
/*
 * puppet: a child of ours that is being turned into somebody else.
 *
 * Restore makes a child, which prepares what it can in plain C, maps a scratch area and waits. From
 * then on it is a puppet: its address space and threads are changed by scripts (script_adopt()),
 * and at last its registers are set and it is let go. Puppets die with us (PTRACE_O_EXITKILL): half
 * a restored process must never run.
 */
#pragma once

#include "task/script.h"

struct puppet {
	struct task task;
	size_t cap_threads;
	struct op *op;
};

/*
 * puppet_seize - attach to a running child and bring it to a stand.
 * @pid: a process with one thread, in our pid namespace; must not be traced
 * Puppets are freed with puppet_free(), which kills one that was not released.
 */
int puppet_seize(struct op *op, pid_t pid, struct puppet **ret, struct error *err) _must_check_;

/*
 * puppet_add_thread - take over a thread which a script of this puppet made by clone(CLONE_THREAD).
 * @tid: from script_new_thread()
 * Its struct is task.threads[n_threads - 1] afterwards; earlier struct thread pointers of this
 * puppet become invalid (re-read them from task.threads), so end or begin sessions around it.
 */
int puppet_add_thread(struct puppet *puppet, pid_t tid, struct error *err) _must_check_;

/*
 * puppet_adopt_child - take over a process which a script of this puppet made by clone().
 * @tid: from script_new_thread()
 */
int puppet_adopt_child(struct op *op, pid_t tid, struct puppet **ret,
		       struct error *err) _must_check_;

/* What a thread is to be when it is let go. */
struct puppet_thread_state {
	struct user_regs_struct
		regs;	     /* used whole; orig_rax is set to -1: calls are redone by ip */
	struct bytes xstate; /* len 0 = leave alone */
	uint64_t sigmask;
};

/*
 * puppet_release - the end: unmap the scratch area, set every thread's registers, FPU state and
 * signal mask, detach all.
 * @states: one per task.threads[], in that order
 * @addr, @size: the scratch area; the last munmap() is made by a `syscall` instruction found in the
 *         restored mappings (vdso, libc, program)
 * @stop_signal: leave the process group-stopped by this signal (it was so when captured), 0 =
 * running After success the puppet is empty and only to be freed. Sessions must have been ended.
 */
int puppet_release(struct puppet *puppet, const struct puppet_thread_state *states, uint64_t addr,
		   size_t size, int stop_signal, struct error *err) _must_check_;

/* puppet_free - kill it if it was not released, free. Accepts NULL. */
void puppet_free(struct puppet *puppet);

static inline void cleanup_puppet(struct puppet **p)
{
	puppet_free(*p);
}
#define _cleanup_puppet_ _cleanup_(cleanup_puppet)
