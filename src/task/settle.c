// SPDX-License-Identifier: Apache-2.0
/*
 * settle: see settle.h.
 */
#include "task/settle.h"

#include <errno.h>
#include <linux/rseq.h>
#include <string.h>

#include "kernel/proc-status.h"
#include "kernel/proc.h"
#include "kernel/process-vm.h"
#include "task/arch.h"
#include "task/regs.h"
#include "task/restart.h"
#include "task/timeout.h"

#define RESTARTED_LOOK_BACK 32

/* A file that was opened before the stop costs a third in it. */
static int thread_status(const struct thread *thread, struct arena *arena, struct proc_status *ret,
			 struct error *err)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (thread->status_fd)
		return proc_status_reread(thread->status_fd, arena, ret, err);
	r = proc_open_thread(thread->task->proc_fd, thread->tid, &fd, err);
	return r < 0 ? r : proc_status_read(fd, arena, ret, err);
}

static int process_status(const struct task *task, struct arena *arena, struct proc_status *ret,
			  struct error *err)
{
	const struct thread *leader = task->n_threads ? &task->threads[0] : NULL;

	if (leader && leader->tid == task->pid && leader->status_fd)
		return proc_status_reread(leader->status_fd, arena, ret, err);
	return proc_status_read(task->proc_fd, arena, ret, err);
}

int settle_task(struct task *task, struct error *err)
{
	struct arena scratch = ARENA_INIT;
	struct proc_status status;
	int r;

	r = process_status(task, &scratch, &status, err);
	if (r == 0) {
		task->ns_pid = status.n_ns ? status.ns_tgid[status.n_ns - 1] : task->pid;
		task->shared_pending = status.shd_pnd;
		task->sig_ignored = status.sig_ign;
		task->sig_caught = status.sig_cgt;
		task->status = status;
		task->status.groups = NULL;
		task->status.n_groups = 0;
	}
	arena_deinit(&scratch);
	return r;
}

/*
 * Signals that will run a handler, or end or stop the task, when it runs on. Ignored ones are
 * queued only because we trace it; nobody would have noticed them.
 */
static uint64_t deliverable(const struct proc_status *status)
{
	const uint64_t ignored_by_default = 1ULL << (SIGCHLD - 1) | 1ULL << (SIGCONT - 1) |
					    1ULL << (SIGURG - 1) | 1ULL << (SIGWINCH - 1);
	uint64_t ignored = status->sig_ign | (ignored_by_default & ~status->sig_cgt);

	/* A mask that a call set for its own duration counts: sigsuspend() and its kin. */
	return (status->sig_pnd | status->shd_pnd) & ~status->sig_blk & ~ignored;
}

/*
 * Inside a restartable sequence? Stopping is a preemption, after which the kernel would go to the
 * abort handler on its way back; a script in between would make it forget that.
 */
static int settle_rseq(struct thread *thread, struct error *err)
{
	struct rseq_cs cs;
	uint64_t at = 0, ip = arch_ip(&thread->regs);
	long nr;
	int r;

	r = regs_get_rseq(thread, &thread->rseq, err);
	if (r < 0 || !thread->rseq.area || arch_interrupted(&thread->regs, &nr))
		return r;
	/* What cannot be read is the program's fault, and the kernel will tell it so. */
	if (process_vm_read(thread->task->pid, thread->rseq.area + offsetof(struct rseq, rseq_cs),
			    &at, sizeof(at), NULL) < 0 ||
	    !at || process_vm_read(thread->task->pid, at, &cs, sizeof(cs), NULL) < 0)
		return 0;
	if (ip - cs.start_ip >= cs.post_commit_offset)
		return 0;
	arch_set_ip(&thread->regs, cs.abort_ip);
	return regs_set(thread, &thread->regs, err);
}

/* The second interruption of one call: the kernel has forgotten its number, its program has not. */
static void settle_restarted(struct thread *thread)
{
	unsigned char code[RESTARTED_LOOK_BACK];

	thread->restarted_nr = 0;
	if (arch_restarted(&thread->regs) &&
	    process_vm_read(thread->task->pid, arch_ip(&thread->regs) - sizeof(code), code,
			    sizeof(code), NULL) == 0)
		thread->restarted_nr = arch_restarted_nr(code, sizeof(code));
}

/* The call that would return a spurious EINTR is put back to its beginning. */
static int put_back(struct thread *thread, struct error *err)
{
	struct user_regs_struct regs = thread->regs;
	int r;

	if (!restart_spurious(&thread->regs))
		return 0;
	arch_redo(&regs, 0);
	r = regs_set(thread, &regs, err);
	thread->woken = r == 0;
	return r;
}

/* What its status tells; where the tree keeps it, it is kept whole. */
static int settle_status(struct thread *thread, struct error *err)
{
	struct arena scratch = ARENA_INIT, *kept = thread->task->arena;
	struct proc_status here, *status = kept ? arena_new(kept, struct proc_status) : &here;
	int r;

	if (!status)
		return error_nomem(err);
	r = thread_status(thread, kept ? kept : &scratch, status, err);
	if (r == 0 && thread->woken && deliverable(status)) {
		r = regs_set(thread, &thread->regs, err);
		thread->woken = false;
	}
	if (r == 0) {
		thread->ns_tid = status->n_ns ? status->ns_pid[status->n_ns - 1] : thread->tid;
		thread->sigpending = status->sig_pnd;
		thread->seccomp = (int)status->seccomp;
		thread->status = kept ? status : NULL;
		timeout_stood(thread, status->voluntary_switches);
	}
	arena_deinit(&scratch);
	return r;
}

int settle_thread(struct thread *thread, struct error *err)
{
	int r;

	/* First of all what our death would let the program see; whether it is right is asked next.
	 */
	r = regs_get(thread, &thread->regs, err);
	if (r == 0)
		r = put_back(thread, err);
	if (r == 0)
		r = settle_status(thread, err);
	if (r == 0)
		r = regs_get_sigmask(thread, &thread->sigmask, err);
	if (r < 0)
		return r;
	settle_restarted(thread);
	return settle_rseq(thread, err);
}

void settle_home(const struct thread *thread, struct user_regs_struct *ret)
{
	*ret = thread->regs;
	if (!thread->woken)
		return;
	arch_redo(ret, 0);
	timeout_left(thread, clock_ns(), ret);
}

int settle_release(struct thread *thread, struct error *err)
{
	struct arena scratch = ARENA_INIT;
	struct user_regs_struct regs;
	struct proc_status status;
	int r = 0;

	if (thread->woken) {
		r = thread_status(thread, &scratch, &status, err);
		arena_deinit(&scratch);
	}
	if (r < 0)
		return r;
	if (thread->woken && deliverable(&status)) {
		thread->woken = false;
		r = regs_set(thread, &thread->regs, err);
	}
	if (!thread->woken) {
		timeout_undo(thread);
		timeout_advance(thread);
	} else if (timeout_renew(thread)) {
		settle_home(thread, &regs);
		r = regs_set(thread, &regs, err);
	}
	return r;
}
