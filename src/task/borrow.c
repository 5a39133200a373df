// SPDX-License-Identifier: Apache-2.0
/*
 * borrow: a place in somebody else's task, taken and given back.
 *
 * What must hold at every instant: if we are killed now, the task finds home. Before the loop's
 * page is there and after it has gone, the way leads over two signal frames on the thread's own
 * stack (arch_way_home); in the loop it leads over its end. Where a task has no stack that is
 * surely free below its pointer, or lacks the instructions, the first and the last call are made
 * without frames: some microseconds in which our death would be felt.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "kernel/proc-maps.h"
#include "kernel/process-vm.h"
#include "task/place.h"
#include "task/regs.h"
#include "task/session.h"
#include "task/settle.h"
#include "task/trace.h"

#define SIZE_SMALL ((size_t)64 << 10) /* for tasks with tight limits */

static uint64_t bit(int signal)
{
	return 1ULL << (signal - 1);
}

/* A signal that the task drops when nobody traces it; while we do, it stops the thread. */
int borrow_choose_trap(const struct thread *thread)
{
	static const int ignored_by_default[] = { SIGWINCH, SIGURG, SIGCHLD };
	const struct task *task = thread->task;
	uint64_t busy =
		thread->sigmask | thread->sigpending | task->shared_pending | task->sig_caught;

	for (size_t i = 0; i < ARRAY_SIZE(ignored_by_default); i++)
		if (!(busy & bit(ignored_by_default[i])))
			return ignored_by_default[i];
	for (int signal = 1; signal < SIGRTMAX; signal++) {
		/* These do things when they are sent, not when they are delivered. */
		if (signal == SIGCONT || signal == SIGSTOP || signal == SIGTSTP ||
		    signal == SIGTTIN || signal == SIGTTOU || signal == SIGKILL)
			continue;
		if (task->sig_ignored & ~busy & bit(signal))
			return signal;
	}
	return 0;
}

/* Where the way home can lie: the address behind it, 0 = nowhere. */
static uint64_t way_place(const struct thread *thread, const struct proc_maps *maps,
			  const struct gadgets *gadgets, size_t room)
{
	/* It would lead back to a wait of which nothing is known any more. */
	if (arch_restarted(&thread->regs) && !thread->restarted_nr)
		return 0;
	if (!gadgets->at[ARCH_GADGET_CALL] || !gadgets->at[ARCH_GADGET_SIGRETURN] ||
	    regs_shadow_stack(thread))
		return 0;
	return place_on_stack(thread, maps, room);
}

/*
 * Registers with which the thread can be run on by itself, when the kernel's own restart is no
 * longer there. rt_sigreturn forgets what a timed wait has still to wait for; a jump does not.
 */
static void home_registers(const struct borrowed *b, bool by_jump, struct user_regs_struct *ret)
{
	long nr;

	*ret = b->home;
	switch (-arch_interrupted(ret, &nr)) {
	case KERNEL_ERESTART_RESTARTBLOCK:
		if (by_jump)
			arch_redo_restart(ret);
		else
			arch_redo(ret, b->thread->restarted_nr);
		break;
	case KERNEL_ERESTARTSYS:
	case KERNEL_ERESTARTNOINTR:
	case KERNEL_ERESTARTNOHAND:
		arch_redo(ret, 0);
		break;
	default:
		arch_settle(ret);
	}
}

void borrow_fill_header(struct script *s, const struct borrowed *b)
{
	struct loop_header *header = (struct loop_header *)(s->shadow + b->header);
	bool by_frames = b == &s->own && s->way.bytes.len;

	header->first = b->first ? session_remote(s, b->first) : 0;
	header->home_frame = by_frames ? s->way.home_frame : 0;
	header->mask = b->home_mask;
	header->tail = session_tail(s, b);
	home_registers(b, true, &header->home);
	header->trap[0] = b->trap_signal ? SYS_tgkill : SYS_getpid;
	header->trap[1] = (uint64_t)b->thread->task->ns_pid;
	header->trap[2] = (uint64_t)b->thread->ns_tid;
	header->trap[3] = (uint64_t)b->trap_signal;
}

/* Write the way home below the stack, what is there kept. Nothing points at it yet. */
static int lay_way(struct script *s, struct bytes xstate, uint64_t end, struct error *err)
{
	struct user_regs_struct home;
	struct arch_way_home_plan plan = { .home = &home,
					   .end = end,
					   .mask = s->own.home_mask,
					   .xstate = xstate,
					   .layout = &s->xstate,
					   .call = s->gadgets.at[ARCH_GADGET_CALL],
					   .sigreturn = s->gadgets.at[ARCH_GADGET_SIGRETURN],
					   .scratch = s->code,
					   .scratch_size = s->size };
	pid_t pid = s->own.thread->task->pid;
	int r;

	home_registers(&s->own, false, &home);
	r = arch_way_home(&plan, &s->way, err);
	if (r < 0)
		return r;
	r = buf_reserve(&s->below_stack, s->way.bytes.len, err);
	if (r == 0)
		r = process_vm_read(pid, s->way.addr, s->below_stack.data, s->way.bytes.len, err);
	if (r == 0) {
		s->below_stack.len = s->way.bytes.len;
		r = process_vm_write(pid, s->way.addr, s->way.bytes.data, s->way.bytes.len, err);
	}
	return r;
}

static int take_up_way(struct script *s, struct error *err)
{
	int r = 0;

	if (s->below_stack.len)
		r = process_vm_write(s->own.thread->task->pid, s->way.addr, s->below_stack.data,
				     s->below_stack.len, err);
	s->below_stack.len = s->way.bytes.len = 0;
	return r;
}

int borrow_seccomp(struct script *s, struct borrowed *b, struct error *err)
{
	unsigned long options = s->adopted ? TRACE_PUPPET : TRACE_VICTIM;
	int r;

	if (!s->adopted && !b->thread->seccomp)
		return 0;
	r = trace_options(b->thread->tid, options | PTRACE_O_SUSPEND_SECCOMP);
	b->suspended = r == 0;
	if (r == 0 || s->adopted)
		return 0;
	return error_hint(err,
			  error_errno(err, -r, "suspending the seccomp filter of task %d (%s)",
				      b->thread->task->pid, b->thread->task->comm),
			  "run amber with CAP_SYS_ADMIN and without a seccomp filter of its own");
}

int borrow_go_home(struct script *s, struct borrowed *b, struct error *err)
{
	int r;

	/* Until the registers are set the way home is still there, and brings the mask too. */
	r = regs_set_sigmask(b->thread, b->home_mask, err);
	if (r == 0)
		r = regs_set(b->thread, &b->home, err);
	if (r == 0 && b->suspended)
		r = trace_options(b->thread->tid, s->adopted ? TRACE_PUPPET : TRACE_VICTIM);
	b->suspended = false;
	b->thread->script = false;
	return r;
}

static int send_mapping(struct script *s, struct error *err)
{
	const uint64_t args[6] = { s->code,
				   s->size,
				   PROT_READ | PROT_EXEC,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
					   MAP_FIXED_NOREPLACE,
				   (uint64_t)-1,
				   0 };
	bool way = s->way.bytes.len > 0;

	return run_call_send(s, s->gadgets.at[way ? ARCH_GADGET_CALL : ARCH_GADGET_SYSCALL],
			     way ? s->way.undo : arch_sp(&s->own.home), SYS_mmap, args, err);
}

static void give_back(struct script *s)
{
	if (s->own.thread->script)
		(void)borrow_go_home(s, &s->own, NULL);
	(void)take_up_way(s, NULL);
}

/* Lay the way home and send the thread to map the scratch area. */
static int borrow_send(struct script *s, struct bytes xstate, uint64_t way, struct error *err)
{
	int r = 0;

	if (way)
		r = lay_way(s, xstate, way, err);
	if (r == 0)
		r = borrow_seccomp(s, &s->own, err);
	if (r == 0) {
		s->own.thread->script = true;
		r = send_mapping(s, err);
	}
	if (r < 0)
		give_back(s);
	return r;
}

static int borrow_take(struct script *s, struct error *err)
{
	int64_t result = 0;
	int r;

	r = run_call_take(s, &result, err);
	if (r == 0 && result != (int64_t)s->code)
		r = error_errno(err, result < 0 ? (int)-result : EEXIST,
				"mapping %zu bytes of scratch memory in task %d (%s)", s->size,
				s->own.thread->task->pid, s->own.thread->task->comm);
	if (r < 0) {
		give_back(s);
		return r;
	}
	s->stage = SESSION_HELD;
	borrow_fill_header(s, &s->own);
	/* Without a way home on the stack, stand where the loop's own way begins as soon as it is
	 * there. */
	return s->way.bytes.len ? 0 : session_park(s, err);
}

/* What a session must know of the thread that it is going to borrow, and how long its way home is.
 */
static int meet(struct script *s, struct thread *thread, struct buf *xstate, uint64_t *ret_way,
		struct error *err)
{
	int r = regs_get_xstate(thread, xstate, err);

	if (r < 0)
		return r;
	s->own.thread = thread;
	settle_home(thread, &s->own.home);
	s->own.home_mask = thread->sigmask;
	s->own.trap_signal = borrow_choose_trap(thread);
	s->own.mask = s->own.trap_signal ? ~bit(s->own.trap_signal) : ~0ULL;
	*ret_way = way_place(thread, &s->maps, &s->gadgets, arch_way_home_room(xstate->len));
	return 0;
}

static int try_begin(struct op *op, struct thread *thread, const struct proc_maps *maps,
		     const struct gadgets *gadgets, const struct xstate_layout *layout, size_t size,
		     struct script **ret, struct error *err)
{
	_cleanup_buf_ struct buf xstate = BUF_INIT;
	struct script *s = NULL;
	uint64_t way = 0;
	int r;

	r = session_new(op, thread, size, &s, err);
	if (r < 0)
		return r;
	s->maps = *maps;
	s->gadgets = *gadgets;
	s->xstate = *layout;
	s->code = place_in_hole(maps, size);
	s->mem_fd = openat(thread->task->proc_fd, "mem", O_RDWR | O_CLOEXEC);
	if (!s->code)
		r = error_set(err, ERROR_SYSTEM, ENOMEM, "task %d (%s) has no free address space",
			      thread->task->pid, thread->task->comm);
	else if (s->mem_fd < 0)
		r = error_errno(err, errno, "opening the memory of task %d (%s)", thread->task->pid,
				thread->task->comm);
	if (r == 0)
		r = meet(s, thread, &xstate, &way, err);
	if (r == 0)
		r = borrow_send(s, (struct bytes){ xstate.data, xstate.len }, way, err);
	if (r < 0) {
		session_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

static bool too_large(int r)
{
	return r == -ENOMEM || r == -EAGAIN;
}

/* The thread asked for, or one of the same task that can always find home. */
static struct thread *choose_thread(struct thread *wanted, bool exact, const struct proc_maps *maps,
				    const struct gadgets *gadgets, size_t room)
{
	struct thread *thread;

	if (exact || way_place(wanted, maps, gadgets, room))
		return wanted;
	foreach_thread (thread, wanted->task)
		if (way_place(thread, maps, gadgets, room))
			return thread;
	return wanted;
}

static int while_preparing(const struct task *task, int r, struct error *err)
{
	return r < 0 ? error_while(err, r, "preparing calls in task %d (%s)", task->pid, task->comm)
		     : 0;
}

int script_begin_send(struct op *op, struct task_tree *tree, struct thread *thread, bool exact,
		      struct script **ret, struct error *err)
{
	const struct task *task = thread->task;
	_cleanup_buf_ struct buf xstate = BUF_INIT;
	struct arena scratch = ARENA_INIT;
	struct xstate_layout layout;
	struct gadgets gadgets;
	struct proc_maps maps = { 0 };
	int r = 0;

	if (!arch_native(&thread->regs))
		return error_set(err, ERROR_SYSTEM, EOPNOTSUPP,
				 "task %d (%s) is a 32-bit program: no calls can be made in it",
				 task->pid, task->comm);
	if (tree && tree->xstate_known)
		layout = tree->xstate;
	else
		regs_xstate_layout(&layout);
	if (task->maps)
		maps = *task->maps;
	else
		r = proc_maps_read(task->proc_fd, PROC_MAPS_ONLY, &scratch, &maps, err);
	if (r == 0)
		r = gadget_find(tree ? &tree->gadgets : NULL, task, &maps, 0, 0, &gadgets, err);
	if (r == 0 && !gadgets.at[ARCH_GADGET_SYSCALL])
		r = error_set(err, ERROR_SYSTEM, ENOEXEC,
			      "task %d (%s) has no instruction from which to make a call",
			      task->pid, task->comm);
	if (r == 0)
		r = regs_get_xstate(thread, &xstate, err);
	if (r == 0) {
		thread = choose_thread(thread, exact, &maps, &gadgets,
				       arch_way_home_room(xstate.len));
		r = try_begin(op, thread, &maps, &gadgets, &layout, SCRIPT_CAPACITY, ret, err);
		if (too_large(r)) {
			error_clear(err);
			r = try_begin(op, thread, &maps, &gadgets, &layout, SIZE_SMALL, ret, err);
		}
	}
	if (r == 0)
		(*ret)->maps_arena = TAKE(scratch, ARENA_INIT);
	arena_deinit(&scratch);
	return while_preparing(task, r, err);
}

int script_begin_take(struct script **script, struct error *err)
{
	struct script *s = TAKE_PTR(*script), *small;
	const struct task *task = s->own.thread->task;
	int r;

	if (s->stage != SESSION_BEGINS) {
		*script = s;
		return 0;
	}
	r = borrow_take(s, err);
	if (too_large(r) && s->size > SIZE_SMALL) {
		error_clear(err);
		r = try_begin(s->op, s->own.thread, &s->maps, &s->gadgets, &s->xstate, SIZE_SMALL,
			      &small, err);
		if (r == 0) {
			small->maps_arena = TAKE(s->maps_arena, ARENA_INIT);
			session_free(s);
			s = small;
			r = borrow_take(s, err);
		}
	}
	if (r < 0)
		session_free(s);
	else
		*script = s;
	return while_preparing(task, r, err);
}

int script_begin(struct op *op, struct task_tree *tree, struct thread *thread, bool exact,
		 struct script **ret, struct error *err)
{
	int r = script_begin_send(op, tree, thread, exact, ret, err);

	return r < 0 ? r : script_begin_take(ret, err);
}

int script_adopt(struct op *op, struct thread *thread, uint64_t addr, size_t size,
		 struct script **ret, struct error *err)
{
	struct script *s;
	int r;

	if (addr % AMBER_PAGE_SIZE || size % AMBER_PAGE_SIZE || size < 3 * AMBER_PAGE_SIZE)
		return error_set(err, ERROR_INTERNAL, EINVAL,
				 "scratch area 0x%llx of %zu bytes is not made of pages",
				 (unsigned long long)addr, size);
	r = session_new(op, thread, size, &s, err);
	if (r < 0)
		return r;
	s->adopted = true;
	s->stage = SESSION_HELD;
	s->code = addr;
	s->writable = s->shadow_size;
	/* No program uses it, and a puppet's dispositions and masks do not matter yet. */
	s->own.trap_signal = SIGSTKFLT;
	s->own.mask = ~bit(SIGSTKFLT);
	s->mem_fd = openat(thread->task->proc_fd, "mem", O_RDWR | O_CLOEXEC);
	if (s->mem_fd < 0)
		r = error_errno(err, errno, "opening the memory of task %d", thread->task->pid);
	if (r == 0)
		r = regs_get(thread, &s->own.home, err);
	if (r == 0)
		r = regs_get_sigmask(thread, &s->own.home_mask, err);
	if (r == 0)
		r = borrow_seccomp(s, &s->own, err);
	if (r < 0) {
		session_free(s);
		return r;
	}
	borrow_fill_header(s, &s->own);
	thread->script = true;
	*ret = s;
	return 0;
}

int script_move(struct script *s, struct thread *to, struct error *err)
{
	_cleanup_buf_ struct buf xstate = BUF_INIT;
	uint64_t way = 0;
	int r;

	if (to == s->own.thread)
		return 0;
	if (s->adopted || to->task != s->own.thread->task)
		return error_set(err, ERROR_INTERNAL, EINVAL, "a session cannot move to thread %d",
				 to->tid);
	/* Between the two nobody would unmap the scratch area: some microseconds. */
	r = borrow_go_home(s, &s->own, err);
	if (r == 0)
		r = take_up_way(s, err);
	if (r == 0)
		r = meet(s, to, &xstate, &way, err);
	if (r == 0 && way)
		r = lay_way(s, (struct bytes){ xstate.data, xstate.len }, way, err);
	if (r == 0)
		r = borrow_seccomp(s, &s->own, err);
	if (r < 0)
		return r;
	to->script = true;
	borrow_fill_header(s, &s->own);
	return session_park(s, err);
}

int script_end_send(struct script *s, struct error *err)
{
	const uint64_t args[6] = { s->code, s->size };
	bool way = s->way.bytes.len > 0;

	if (s->adopted || s->stage != SESSION_HELD)
		return 0;
	s->stage = SESSION_ENDS;
	return run_call_send(s, s->gadgets.at[way ? ARCH_GADGET_CALL : ARCH_GADGET_SYSCALL],
			     way ? s->way.home : arch_sp(&s->own.home), SYS_munmap, args, err);
}

static int unmap_scratch(struct script *s, struct error *err)
{
	int64_t result = 0;
	int r;

	r = script_end_send(s, err);
	if (r == 0)
		r = run_call_take(s, &result, err);
	if (r == 0 && result < 0)
		r = error_errno(err, (int)-result, "unmapping scratch memory in task %d (%s)",
				s->own.thread->task->pid, s->own.thread->task->comm);
	return r;
}

int script_end(struct script **script, struct error *err)
{
	struct script *s;
	int r = 0, home, stack;

	/* One that was given up half-way is brought to where it can be ended. */
	r = script_begin_take(script, err);
	if (r < 0)
		return r;
	s = TAKE_PTR(*script);
	if (s->run_sent && run_finish(s, &s->own, NULL) < 0)
		op_debug(s->op, "the last run in task %d did not end", s->own.thread->task->pid);
	if (!s->adopted)
		r = unmap_scratch(s, err);
	home = borrow_go_home(s, &s->own, r < 0 ? NULL : err);
	stack = take_up_way(s, r < 0 || home < 0 ? NULL : err);
	session_free(s);
	return r < 0 ? r : home < 0 ? home : stack;
}
