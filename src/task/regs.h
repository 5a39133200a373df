/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regs: what ptrace tells of one stopped thread, and sets in it.
 *
 * Thin, checked calls; no policy. While a script session has borrowed the thread the kernel's
 * registers are the script's: general registers are then to be taken from struct thread. FPU state
 * is never touched by scripts and can be read at any time.
 */
#pragma once

#include <linux/filter.h>
#include <signal.h>
#include <sys/ptrace.h>

#include "base/buf.h"
#include "task/task.h"

/* regs_get, regs_set - general registers (NT_PRSTATUS), fs and gs base included. */
int regs_get(const struct thread *thread, struct user_regs_struct *ret,
	     struct error *err) _must_check_;
int regs_set(const struct thread *thread, const struct user_regs_struct *regs,
	     struct error *err) _must_check_;

/*
 * regs_redo - the registers from which the thread can be started afresh, in an image or after a
 * death of ours: an interrupted call is made again from its beginning, with what is left of its
 * timeout where that is known (timeout.h),
 * everything else is as it was. A timed wait that was interrupted twice and whose number cannot be
 * found out any more returns EINTR. A call that has ended (also one that really returned EINTR)
 * stays ended.
 */
void regs_redo(const struct thread *thread, struct user_regs_struct *ret);

/* regs_in_syscall - did the stop interrupt a system call, which is to be resumed? ret_nr may be
 * NULL. */
bool regs_in_syscall(const struct thread *thread, long *ret_nr);

/*
 * regs_get_xstate, regs_set_xstate - FPU and vector state whole (NT_X86_XSTATE, the uncompacted
 * layout of XSAVE with XCR0's mask at byte 464; on arm64 NT_PRFPREG). Appended to buf.
 */
int regs_get_xstate(const struct thread *thread, struct buf *buf, struct error *err) _must_check_;
int regs_set_xstate(const struct thread *thread, struct bytes xstate,
		    struct error *err) _must_check_;

/* regs_xstate_layout - of this processor; all sizes 0 where it does not tell. */
void regs_xstate_layout(struct xstate_layout *ret);

/* regs_get_sigmask, regs_set_sigmask - blocked signals, bit N-1 = signal N. */
int regs_get_sigmask(const struct thread *thread, uint64_t *ret, struct error *err) _must_check_;
int regs_set_sigmask(const struct thread *thread, uint64_t mask, struct error *err) _must_check_;

/*
 * regs_peek_signals - queued signals with their siginfo, oldest first, not taken from the queue.
 * @shared: the process's queue instead of the thread's
 * @ret: array in arena, n may be 0
 */
int regs_peek_signals(const struct thread *thread, bool shared, struct arena *arena,
		      siginfo_t **ret, size_t *ret_n, struct error *err) _must_check_;

/* regs_shadow_stack - does the thread run with a shadow stack (x86 CET, arm64 GCS)? */
bool regs_shadow_stack(const struct thread *thread);

/* regs_get_rseq - restartable sequences registration. A kernel that cannot tell: area 0, returns 0.
 */
int regs_get_rseq(const struct thread *thread, struct regs_rseq *ret,
		  struct error *err) _must_check_;

struct regs_seccomp {
	struct sock_filter *insns; /* in the arena */
	size_t n_insns;
	uint64_t flags; /* SECCOMP_FILTER_FLAG_LOG or 0 */
};

/*
 * regs_get_seccomp - the filters of a thread, oldest first (the order in which they must be
 * installed). Needs CAP_SYS_ADMIN in the initial user namespace and no filter on us. n is 0 without
 * filters.
 */
int regs_get_seccomp(const struct thread *thread, struct arena *arena, struct regs_seccomp **ret,
		     size_t *ret_n, struct error *err) _must_check_;

/* regs_get_syscall - PTRACE_GET_SYSCALL_INFO: in what kind of stop the thread is, arch, ip, sp. */
int regs_get_syscall(const struct thread *thread, struct __ptrace_syscall_info *ret,
		     struct error *err) _must_check_;
