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

static int lost(const struct borrowed *b, struct error *err)
{
	return error_set(err, ERROR_NOT_FOUND, ESRCH, "thread %d of task %d (%s) has died",
			 b->thread->tid, b->thread->task->pid, b->thread->task->comm);
}

static int resume(const struct borrowed *b, int request, int signal, struct error *err)
{
	int r = trace_run(b->thread->tid, request, signal);

	if (r == -ESRCH)
		return lost(b, err);
	return r < 0 ? error_errno(err, -r, "running thread %d of task %d (%s)", b->thread->tid,
				   b->thread->task->pid, b->thread->task->comm)
		     : 0;
}

/* The deadline has passed: get hold of the thread, so that it can be put back. */
static int too_long(const struct borrowed *b, struct error *err)
{
	struct trace_event event;

	(void)trace_interrupt(b->thread->tid);
	trace_wait(b->thread->tid, clock_ns() + RECOVER_NS, &event);
	return error_set(err, ERROR_SYSTEM, ETIME,
			 "a system call made in thread %d of task %d (%s) does not return",
			 b->thread->tid, b->thread->task->pid, b->thread->task->comm);
}

static int note_birth(struct script *s, const struct borrowed *b, pid_t tid, struct error *err)
{
	struct user_regs_struct regs;
	struct script_birth *births;
	int r;

	r = regs_get(b->thread, &regs, err);
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
static int wait_for(struct script *s, const struct borrowed *b, enum trace_kind wanted, int request,
		    struct error *err)
{
	uint64_t deadline = clock_ns() + RUN_NS;
	struct trace_event event;
	int r, signal;

	for (;;) {
		trace_wait(b->thread->tid, deadline, &event);
		if (event.kind == TRACE_ENDED)
			return lost(b, err);
		if (event.kind == TRACE_NONE)
			return too_long(b, err);
		if (event.kind == wanted &&
		    (wanted != TRACE_SIGNAL || event.signal == b->trap_signal))
			return 0;
		if (event.kind == TRACE_BIRTH && event.child) {
			r = note_birth(s, b, event.child, err);
			if (r < 0)
				return r;
		}
		signal = event.kind == TRACE_SIGNAL ? event.signal : 0;
		if (signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGTRAP)
			return error_set(err, ERROR_INTERNAL, EFAULT,
					 "a script in task %d (%s) ended by signal %d",
					 b->thread->task->pid, b->thread->task->comm, signal);
		r = resume(b, request, signal == SIGSTOP ? signal : 0, err);
		if (r < 0)
			return r;
	}
}

/* From the entry of a call on to a stop behind it, in which any registers can be set. */
static int leave_call(struct script *s, struct error *err)
{
	int r = trace_interrupt(s->own.thread->tid);

	return r < 0 ? lost(&s->own, err) : resume(&s->own, PTRACE_CONT, 0, err);
}

static int finish_call(struct script *s, struct error *err)
{
	int r = leave_call(s, err);

	return r < 0 ? r : wait_for(s, &s->own, TRACE_STOP, PTRACE_CONT, err);
}

int run_call_send(struct script *s, uint64_t gadget, uint64_t sp, long nr, const uint64_t args[6],
		  struct error *err)
{
	struct user_regs_struct regs = s->own.home;
	int r;

	arch_call(&regs, gadget, sp, nr, args);
	/* Registers before the mask: from here on the way home brings the old mask back. */
	r = regs_set(s->own.thread, &regs, err);
	if (r == 0)
		r = regs_set_sigmask(s->own.thread, s->own.mask, err);
	if (r == 0)
		r = resume(&s->own, PTRACE_SYSCALL, 0, err);
	s->call = r == 0 ? CALL_SENT : CALL_NONE;
	return r;
}

int script_push(struct script *s, struct error *err)
{
	int r;

	if (s->call != CALL_SENT)
		return 0;
	r = wait_for(s, &s->own, TRACE_SYSCALL, PTRACE_SYSCALL, err);
	if (r == 0)
		r = leave_call(s, err);
	s->call = r == 0 ? CALL_ENTERED : CALL_NONE;
	return r;
}

int run_call_take(struct script *s, int64_t *ret_result, struct error *err)
{
	struct user_regs_struct regs;
	int r;

	r = script_push(s, err);
	if (r == 0 && s->call != CALL_ENTERED)
		r = lost(&s->own, err);
	if (r == 0)
		r = wait_for(s, &s->own, TRACE_STOP, PTRACE_CONT, err);
	s->call = CALL_NONE;
	if (r == 0)
		r = regs_get(s->own.thread, &regs, err);
	if (r == 0)
		*ret_result = arch_result(&regs);
	return r;
}

int run_call(struct script *s, uint64_t gadget, uint64_t sp, long nr, const uint64_t args[6],
	     int64_t *ret_result, struct error *err)
{
	int r = run_call_send(s, gadget, sp, nr, args, err);

	return r < 0 ? r : run_call_take(s, ret_result, err);
}

/* Is the thread behind the call that ends a run? */
static int at_trap(struct script *s, const struct borrowed *b, struct user_regs_struct *regs,
		   struct error *err)
{
	int r = regs_get(b->thread, regs, err);

	if (r < 0)
		return r;
	return arch_ip(regs) == s->code + (uint64_t)(arch_loop_trap - arch_loop);
}

static int request_of(const struct borrowed *b)
{
	return b->trap_signal ? PTRACE_CONT : PTRACE_SYSCALL;
}

int run_start(struct script *s, struct borrowed *b, struct error *err)
{
	return resume(b, request_of(b), 0, err);
}

int run_finish(struct script *s, struct borrowed *b, struct error *err)
{
	enum trace_kind wanted = b->trap_signal ? TRACE_SIGNAL : TRACE_SYSCALL;
	struct user_regs_struct regs;
	int r;

	for (;;) {
		r = wait_for(s, b, wanted, request_of(b), err);
		if (r == 0)
			r = at_trap(s, b, &regs, err);
		if (r)
			break;
		r = resume(b, request_of(b), 0, err);
		if (r < 0)
			break;
	}
	if (r < 0)
		return r;
	r = (int)arch_loop_error(&regs);
	if (r < 0)
		return error_errno(err, -r, "making %zu bytes of scratch memory in task %d (%s)",
				   s->used, b->thread->task->pid, b->thread->task->comm);
	/* Stopped at the entry of the last call: go through it, to where registers can be set. */
	return b->trap_signal ? 0 : finish_call(s, err);
}

int run_put_scratch(struct script *s, struct error *err)
{
	unsigned char tail[ARCH_TAIL_BYTES];
	int r = 0;

	if (!s->code_written) {
		arch_loop_tail(tail, session_tail(s, &s->own), session_remote(s, s->own.header));
		r = trace_write(s->own.thread->tid, s->mem_fd, s->code, arch_loop,
				(size_t)(arch_loop_end - arch_loop));
		if (r == 0)
			r = trace_write(s->own.thread->tid, s->mem_fd, session_tail(s, &s->own),
					tail, sizeof(tail));
	}
	s->code_written = r == 0;
	if (r == 0)
		r = trace_write(s->own.thread->tid, s->mem_fd, session_remote(s, 0), s->shadow,
				s->used);
	if (r < 0)
		return error_errno(err, -r, "writing a script into task %d (%s) at 0x%llx",
				   s->own.thread->task->pid, s->own.thread->task->comm,
				   (unsigned long long)s->code);
	return 0;
}

int session_park(struct script *s, struct error *err)
{
	struct user_regs_struct regs = s->own.home;
	int r;

	r = run_put_scratch(s, err);
	if (r < 0)
		return r;
	arch_loop_enter(&regs, s->code, session_remote(s, 0), 0,
			s->first_heal ? session_remote(s, s->first_heal) : 0);
	return regs_set(s->own.thread, &regs, err);
}

int run_read(struct script *s, struct error *err)
{
	return process_vm_read(s->own.thread->task->pid, session_remote(s, 0), s->shadow, s->used,
			       err);
}

/* The session's own thread; also when it has no calls, to make memory writable for the others. */
static int send_own(struct script *s, struct error *err)
{
	size_t writable = PAGE_ALIGN_UP(s->used);
	struct user_regs_struct regs = s->own.home;
	int r;

	if (!s->own.first && writable <= s->writable)
		return 0;
	session_header(s)->first = s->own.first ? session_remote(s, s->own.first) : 0;
	r = run_put_scratch(s, err);
	if (r < 0)
		return r;
	arch_loop_enter(&regs, s->code, session_remote(s, 0), writable > s->writable ? writable : 0,
			s->first_heal ? session_remote(s, s->first_heal) : 0);
	r = regs_set(s->own.thread, &regs, err);
	if (r == 0)
		r = regs_set_sigmask(s->own.thread, s->own.mask, err);
	if (r == 0)
		r = run_start(s, &s->own, err);
	s->run_sent = r == 0;
	return r;
}

static int take_own(struct script *s, struct error *err)
{
	int r;

	if (!s->run_sent)
		return 0;
	s->run_sent = false;
	r = run_finish(s, &s->own, err);
	if (r < 0)
		return r;
	s->writable = MAX(s->writable, PAGE_ALIGN_UP(s->used));
	s->own.first = s->own.last = 0;
	return run_read(s, err);
}

int script_run_send(struct script *s, struct error *err)
{
	if (s->failed)
		return error_errno(err, -s->failed, "composing a script for task %d (%s)",
				   s->own.thread->task->pid, s->own.thread->task->comm);
	return s->n_run == s->n_calls || s->run_sent ? 0 : send_own(s, err);
}

int script_run(struct script *s, struct error *err)
{
	int r;

	r = script_run_send(s, err);
	if (r == 0)
		r = take_own(s, err);
	if (r == 0 && s->n_lanes)
		r = lanes_run(s, err);
	if (r < 0 || s->n_run == s->n_calls)
		return r;
	s->n_run = s->n_calls;
	session_keep_heal(s);
	return 0;
}
