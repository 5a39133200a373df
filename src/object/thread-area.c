// SPDX-License-Identifier: Apache-2.0
/*
 * thread-area: the addresses that a thread has told the kernel, both directions: alternate signal
 * stack, robust futex list, the word that is cleared at its end, restartable sequences.
 */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "object/task-kinds.h"
#include "task/regs.h"

#define SIGALTSTACK_FLAGS 0x80000000U /* SS_AUTODISARM: the only flag that is set, not reported */

struct area_state {
	int stack_call, tid_call;
	stack_t *stack;
	uint64_t *tid_address;
};

static int area_ask(struct capture *cap, struct task_capture *tc, size_t thread, struct script *s,
		    void **state, struct error *err)
{
	struct area_state *st = arena_new(&cap->set->arena, struct area_state);
	uint64_t stack_at, tid_at;

	(void)tc, (void)thread;
	if (!st)
		return error_nomem(err);
	stack_at = script_alloc(s, sizeof(stack_t), (void **)&st->stack);
	tid_at = script_alloc(s, sizeof(uint64_t), (void **)&st->tid_address);
	if (!stack_at || !tid_at)
		return error_nomem(err);
	st->stack_call = script_call(s, SYS_sigaltstack, 0, stack_at);
	st->tid_call = script_call(s, SYS_prctl, PR_GET_TID_ADDRESS, tid_at);
	*state = st;
	return 0;
}

static int take_rseq(struct capture *cap, struct task_capture *tc, size_t thread,
		     Img__ThreadCore *core, struct error *err)
{
	const struct regs_rseq *rseq = &tc->task->threads[thread].rseq;
	Img__Rseq *out;

	if (!rseq->area)
		return 0;
	out = img_new(cap->set, Img__Rseq, rseq);
	if (!out)
		return error_nomem(err);
	out->rseq_abi_pointer = rseq->area;
	out->rseq_abi_size = rseq->size;
	out->signature = rseq->sig;
	core->rseq_entry = out;
	return 0;
}

static int area_take(struct capture *cap, struct task_capture *tc, size_t thread, struct script *s,
		     void *state, struct error *err)
{
	Img__ThreadCore *core = tc->thread_cores[thread]->thread_core;
	pid_t tid = tc->task->threads[thread].tid;
	const struct area_state *st = state;
	uint64_t head = 0;
	size_t len = 0;

	if (script_result(s, st->stack_call) < 0)
		return script_failed(s, st->stack_call, tc, "sigaltstack", err);
	core->sas = img_new(cap->set, Img__ThreadSas, thread_sas);
	if (!core->sas)
		return error_nomem(err);
	core->sas->ss_sp = (uint64_t)(uintptr_t)st->stack->ss_sp;
	core->sas->ss_size = st->stack->ss_size;
	core->sas->ss_flags = (uint32_t)st->stack->ss_flags;
	if (script_result(s, st->tid_call) == 0) /* absent only without CONFIG_CHECKPOINT_RESTORE */
		tc->thread_cores[thread]->thread_info->clear_tid_addr = *st->tid_address;
	if (syscall(SYS_get_robust_list, tid, &head, &len) < 0 && errno != ENOSYS)
		return error_errno(err, errno, "cannot read the robust list of thread %d", tid);
	core->futex_rla = head;
	core->futex_rla_len = (uint32_t)len;
	return take_rseq(cap, tc, thread, core, err);
}

static int area_revive(struct restore *rst, struct restore_task *task, size_t thread,
		       struct script *s, struct error *err)
{
	const Img__Core *core = task->threads[thread].core;
	const Img__ThreadSas *sas = core->thread_core->sas;
	const Img__Rseq *rseq = core->thread_core->rseq_entry;
	stack_t stack = { 0 };
	uint64_t at;

	(void)rst;
	if (sas && !(sas->ss_flags & SS_DISABLE) && sas->ss_size) {
		stack.ss_sp = (void *)(uintptr_t)sas->ss_sp;
		stack.ss_size = sas->ss_size;
		stack.ss_flags = (int)(sas->ss_flags & SIGALTSTACK_FLAGS);
		at = script_data(s, &stack, sizeof(stack));
		if (!at)
			return error_nomem(err);
		script_need(s, SYS_sigaltstack, at, 0);
	}
	if (core->thread_core->futex_rla_len)
		script_need(s, SYS_set_robust_list, core->thread_core->futex_rla,
			    core->thread_core->futex_rla_len);
	if (core->thread_info)
		script_need(s, SYS_set_tid_address, core->thread_info->clear_tid_addr);
	if (rseq && rseq->rseq_abi_pointer)
		script_need(s, SYS_rseq, rseq->rseq_abi_pointer, rseq->rseq_abi_size, 0,
			    rseq->signature);
	return 0;
}

const struct task_kind thread_area_kind = {
	.name = "thread-area",
	.ask_thread = area_ask,
	.take_thread = area_take,
	.revive_thread = area_revive,
};
