// SPDX-License-Identifier: Apache-2.0
/*
 * run: a borrowed thread makes calls, through the loop or one at a gadget.
 *
 * All signals are held back meanwhile but SIGKILL, SIGSTOP, and the one that ends a run; that one
 * is ignored by the task, so one that was really sent to it would have been dropped anyway.
 */
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "kernel/process-vm.h"
#include "task/regs.h"
#include "task/session.h"
#include "task/trace.h"

#define RUN_NS	   (60 * 1000000000ULL)
#define RECOVER_NS (1 * 1000000000ULL)
#define BIRTHS_MAX ((size_t)1 << 20)

static int lost(const struct script *s, struct error *err)
{
	return error_set(err, ERROR_NOT_FOUND, ESRCH, "thread %d of task %d (%s) has died",
			 s->thread->tid, s->thread->task->pid, s->thread->task->comm);
}

static int resume(const struct script *s, int request, int signal, struct error *err)
{
	int r = trace_run(s->thread->tid, request, signal);

	if (r == -ESRCH)
		return lost(s, err);
	return r < 0 ? error_errno(err, -r, "running thread %d of task %d (%s)", s->thread->tid,
				   s->thread->task->pid, s->thread->task->comm)
		     : 0;
}

/* The deadline has passed: get hold of the thread, so that it can be put back. */
static int too_long(struct script *s, struct error *err)
{
	struct trace_event event;

	(void)trace_interrupt(s->thread->tid);
	trace_wait(s->thread->tid, clock_ns() + RECOVER_NS, &event);
	return error_set(err, ERROR_SYSTEM, ETIME,
			 "a system call made in thread %d of task %d (%s) does not return",
			 s->thread->tid, s->thread->task->pid, s->thread->task->comm);
}

static int note_birth(struct script *s, pid_t tid, struct error *err)
{
	struct user_regs_struct regs;
	struct script_birth *births;
	int r;

	r = regs_get(s->thread, &regs, err);
	if (r < 0)
		return r;
	if (s->n_births >= BIRTHS_MAX)
		return error_set(err, ERROR_SYSTEM, E2BIG, "a script makes too many threads");
	births = reallocarray(s->births, s->n_births + 1, sizeof(*births));
	if (!births)
		return error_nomem(err);
	births[s->n_births++] = (struct script_birth){ arch_loop_current(&regs), tid };
	s->births = births;
	return 0;
}

/*
 * Wait until the thread stops by an event of the wanted kind, and carry it over all others: a
 * SIGSTOP takes effect (and is run over, as ptrace allows), other signals are none but ours.
 */
static int wait_for(struct script *s, enum trace_kind wanted, int request, struct error *err)
{
	uint64_t deadline = clock_ns() + RUN_NS;
	struct trace_event event;
	int r, signal;

	for (;;) {
		trace_wait(s->thread->tid, deadline, &event);
		if (event.kind == TRACE_ENDED)
			return lost(s, err);
		if (event.kind == TRACE_NONE)
			return too_long(s, err);
		if (event.kind == wanted &&
		    (wanted != TRACE_SIGNAL || event.signal == s->trap_signal))
			return 0;
		if (event.kind == TRACE_BIRTH && event.child) {
			r = note_birth(s, event.child, err);
			if (r < 0)
				return r;
		}
		signal = event.kind == TRACE_SIGNAL ? event.signal : 0;
		if (signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGTRAP)
			return error_set(err, ERROR_INTERNAL, EFAULT,
					 "a script in task %d (%s) ended by signal %d",
					 s->thread->task->pid, s->thread->task->comm, signal);
		r = resume(s, request, signal == SIGSTOP ? signal : 0, err);
		if (r < 0)
			return r;
	}
}

/* From the entry of a call to a stop behind it, in which any registers can be set. */
static int finish_call(struct script *s, struct error *err)
{
	int r;

	r = trace_interrupt(s->thread->tid);
	if (r < 0)
		return lost(s, err);
	r = resume(s, PTRACE_CONT, 0, err);
	return r < 0 ? r : wait_for(s, TRACE_STOP, PTRACE_CONT, err);
}

int run_call(struct script *s, uint64_t gadget, uint64_t sp, long nr, const uint64_t args[6],
	     int64_t *ret_result, struct error *err)
{
	struct user_regs_struct regs = s->home;
	int r;

	arch_call(&regs, gadget, sp, nr, args);
	/* Registers before the mask: from here on the way home brings the old mask back. */
	r = regs_set(s->thread, &regs, err);
	if (r == 0)
		r = regs_set_sigmask(s->thread, s->mask, err);
	if (r == 0)
		r = resume(s, PTRACE_SYSCALL, 0, err);
	if (r == 0)
		r = wait_for(s, TRACE_SYSCALL, PTRACE_SYSCALL, err);
	if (r == 0)
		r = finish_call(s, err);
	if (r == 0)
		r = regs_get(s->thread, &regs, err);
	if (r == 0)
		*ret_result = arch_result(&regs);
	return r;
}

/* Is the thread behind the call that ends a run? */
static int at_trap(struct script *s, struct user_regs_struct *regs, struct error *err)
{
	int r = regs_get(s->thread, regs, err);

	if (r < 0)
		return r;
	return arch_ip(regs) == s->code + (uint64_t)(arch_loop_trap - arch_loop);
}

static int run_to_trap(struct script *s, struct error *err)
{
	int request = s->trap_signal ? PTRACE_CONT : PTRACE_SYSCALL;
	enum trace_kind wanted = s->trap_signal ? TRACE_SIGNAL : TRACE_SYSCALL;
	struct user_regs_struct regs;
	int r;

	do {
		r = resume(s, request, 0, err);
		if (r == 0)
			r = wait_for(s, wanted, request, err);
		if (r == 0)
			r = at_trap(s, &regs, err);
	} while (r == 0);
	if (r < 0)
		return r;
	r = (int)arch_loop_error(&regs);
	if (r < 0)
		return error_errno(err, -r, "making %zu bytes of scratch memory in task %d (%s)",
				   s->used, s->thread->task->pid, s->thread->task->comm);
	/* Stopped at the entry of the last call: go through it, to where registers can be set. */
	return s->trap_signal ? 0 : finish_call(s, err);
}

static int put_scratch(struct script *s, struct error *err)
{
	int r = 0;

	if (!s->code_written)
		r = trace_write(s->thread->tid, s->mem_fd, s->code, arch_loop,
				(size_t)(arch_loop_end - arch_loop));
	s->code_written = r == 0;
	if (r == 0)
		r = trace_write(s->thread->tid, s->mem_fd, session_remote(s, 0), s->shadow,
				s->used);
	if (r < 0)
		return error_errno(err, -r, "writing a script into task %d (%s) at 0x%llx",
				   s->thread->task->pid, s->thread->task->comm,
				   (unsigned long long)s->code);
	return 0;
}

int session_park(struct script *s, struct error *err)
{
	struct user_regs_struct regs = s->home;
	int r;

	r = put_scratch(s, err);
	if (r < 0)
		return r;
	arch_loop_enter(&regs, s->code, 0, s->first_heal ? session_remote(s, s->first_heal) : 0);
	return regs_set(s->thread, &regs, err);
}

int script_run(struct script *s, struct error *err)
{
	size_t writable = PAGE_ALIGN_UP(s->used);
	struct user_regs_struct regs = s->home;
	int r;

	if (s->failed)
		return error_errno(err, -s->failed, "composing a script for task %d (%s)",
				   s->thread->task->pid, s->thread->task->comm);
	if (s->n_run == s->n_calls)
		return 0;
	session_header(s)->first = session_remote(s, s->calls[s->n_run]);
	r = put_scratch(s, err);
	if (r < 0)
		return r;
	arch_loop_enter(&regs, s->code, writable > s->writable ? writable : 0,
			s->first_heal ? session_remote(s, s->first_heal) : 0);
	r = regs_set(s->thread, &regs, err);
	if (r == 0)
		r = regs_set_sigmask(s->thread, s->mask, err);
	if (r == 0)
		r = run_to_trap(s, err);
	if (r < 0)
		return r;
	s->writable = MAX(s->writable, writable);
	s->n_run = s->n_calls;
	r = process_vm_read(s->thread->task->pid, session_remote(s, 0), s->shadow, s->used, err);
	session_keep_heal(s);
	return r;
}
