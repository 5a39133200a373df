// SPDX-License-Identifier: Apache-2.0
/*
 * task-misc: what prctl(2) and small files of /proc know of a process and its threads, both
 * directions: names, personality, oom score, login uid, subreaper, parent-death signal, dumpable,
 * huge pages, membarrier, the end of the heap.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "kernel/proc.h"
#include "object/task-kinds.h"

#define MEMBARRIER_GET_REGISTRATIONS (1 << 9)
#define LOGINUID_UNSET		     UINT32_MAX

struct misc_state {
	int brk, dumpable, thp, membarrier, subreaper_call;
	int *subreaper;
};

static int misc_ask(struct capture *cap, struct task_capture *tc, struct script *s, void **state,
		    struct error *err)
{
	struct misc_state *st = arena_new(&cap->set->arena, struct misc_state);
	uint64_t at;

	(void)tc;
	if (!st)
		return error_nomem(err);
	at = script_alloc(s, sizeof(int), (void **)&st->subreaper);
	if (!at)
		return error_nomem(err);
	st->brk = script_call(s, SYS_brk, 0);
	st->dumpable = script_call(s, SYS_prctl, PR_GET_DUMPABLE);
	st->thp = script_call(s, SYS_prctl, PR_GET_THP_DISABLE);
	st->membarrier = script_call(s, SYS_membarrier, MEMBARRIER_GET_REGISTRATIONS, 0, 0);
	st->subreaper_call = script_call(s, SYS_prctl, PR_GET_CHILD_SUBREAPER, at);
	*state = st;
	return 0;
}

/* A number from a small file of /proc/<pid>; absent files (kernel options) leave *ret alone. */
static int proc_number(struct task_capture *tc, const char *name, int base, long long *ret,
		       struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct error local = ERROR_INIT;
	char *end;
	int r;

	r = proc_read(tc->task->proc_fd, name, 64, &text, &local);
	if (r == -ENOENT)
		return 0;
	if (r < 0) {
		*err = local;
		return r;
	}
	*ret = strtoll((char *)text.data, &end, base);
	return end == (char *)text.data ? proc_malformed(err, name, "a number") : 0;
}

static int misc_take(struct capture *cap, struct task_capture *tc, struct script *s, void *state,
		     struct error *err)
{
	long long personality_bits = 0, oom = 0, loginuid = LOGINUID_UNSET;
	const struct misc_state *st = state;
	Img__TaskCore *core = tc->core->tc;
	int r;

	r = proc_number(tc, "personality", 16, &personality_bits, err);
	if (r == 0)
		r = proc_number(tc, "oom_score_adj", 10, &oom, err);
	if (r == 0)
		r = proc_number(tc, "loginuid", 10, &loginuid, err);
	if (r < 0)
		return r;
	core->personality = (uint32_t)personality_bits;
	core->has_oom_score_adj = true;
	core->oom_score_adj = (int32_t)oom;
	core->has_loginuid = (uint32_t)loginuid != LOGINUID_UNSET;
	core->loginuid = (uint32_t)loginuid;
	core->comm = arena_strdup(&cap->set->arena, tc->task->comm);
	core->flags = tc->task->stat.flags;
	core->has_child_subreaper = true;
	core->child_subreaper = script_result(s, st->subreaper_call) == 0 && *st->subreaper;
	if (script_result(s, st->membarrier) > 0) {
		core->has_membarrier_registration_mask = true;
		core->membarrier_registration_mask = (uint32_t)script_result(s, st->membarrier);
	}
	tc->mm->mm_brk = (uint64_t)script_result(s, st->brk);
	tc->mm->has_dumpable = true;
	tc->mm->dumpable = (int32_t)script_result(s, st->dumpable);
	tc->mm->has_thp_disabled = true;
	tc->mm->thp_disabled = script_result(s, st->thp) > 0;
	return core->comm ? 0 : error_nomem(err);
}

struct thread_misc_state {
	int call;
	int *pdeath_sig;
};

static int misc_ask_thread(struct capture *cap, struct task_capture *tc, size_t thread,
			   struct script *s, void **state, struct error *err)
{
	struct thread_misc_state *st = arena_new(&cap->set->arena, struct thread_misc_state);
	uint64_t at;

	(void)tc, (void)thread;
	if (!st)
		return error_nomem(err);
	at = script_alloc(s, sizeof(int), (void **)&st->pdeath_sig);
	if (!at)
		return error_nomem(err);
	st->call = script_call(s, SYS_prctl, PR_GET_PDEATHSIG, at);
	*state = st;
	return 0;
}

static int misc_take_thread(struct capture *cap, struct task_capture *tc, size_t thread,
			    struct script *s, void *state, struct error *err)
{
	Img__ThreadCore *core = tc->thread_cores[thread]->thread_core;
	const struct thread_misc_state *st = state;

	if (script_result(s, st->call) == 0 && *st->pdeath_sig) {
		core->has_pdeath_sig = true;
		core->pdeath_sig = (uint32_t)*st->pdeath_sig;
	}
	core->comm = arena_strdup(&cap->set->arena, tc->task->threads[thread].status->name);
	return core->comm ? 0 : error_nomem(err);
}

/* A knob of the newborn task itself. What needs a privilege that is missing becomes a note. */
static void put_knob(struct restore *rst, struct restore_task *task, const char *path,
		     long long value)
{
	struct error local = ERROR_INIT;
	char text[32];
	int n = snprintf(text, sizeof(text), "%lld", value);

	if (fd_write_file(AT_FDCWD, path, 0, 0, text, (size_t)n, &local) < 0)
		restore_gap(rst, GAP_COSMETIC, "task", task->pid, path, "%s", local.text);
}

static int misc_revive(struct restore *rst, struct restore_task *task, struct error *err)
{
	const Img__TaskCore *core = task->core->tc;

	if (core->has_oom_score_adj)
		put_knob(rst, task, "/proc/self/oom_score_adj", core->oom_score_adj);
	if (core->has_loginuid && core->loginuid != LOGINUID_UNSET)
		put_knob(rst, task, "/proc/self/loginuid", core->loginuid);
	if (core->has_child_subreaper && core->child_subreaper &&
	    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return error_errno(err, errno, "cannot make task %d a subreaper", task->pid);
	return 0;
}

static void put_membarrier(struct script *s, uint32_t mask)
{
	int bit;

	for (bit = 0; bit < 32; bit++)
		if (mask & 1U << bit)
			script_call(s, SYS_membarrier, 1U << bit, 0, 0);
}

static int misc_revive_thread(struct restore *rst, struct restore_task *task, size_t thread,
			      struct script *s, struct error *err)
{
	const Img__ThreadCore *core = task->threads[thread].core->thread_core;
	const Img__TaskCore *tc = task->core->tc;
	uint64_t at;

	(void)rst;
	at = script_string(s, core->comm ? core->comm : tc->comm);
	if (!at)
		return error_nomem(err);
	script_need(s, SYS_prctl, PR_SET_NAME, at);
	script_need(s, SYS_personality, tc->personality);
	if (thread == 0 && task->mm) {
		if (tc->has_membarrier_registration_mask)
			put_membarrier(s, tc->membarrier_registration_mask);
		if (task->mm->has_thp_disabled && task->mm->thp_disabled)
			script_need(s, SYS_prctl, PR_SET_THP_DISABLE, 1, 0, 0, 0);
	}
	/* Changes of credentials reset these two, so this kind comes after creds. 2 (suid_dumpable)
	 * cannot be set from user space; 0 is as private. */
	if (core->has_pdeath_sig)
		script_need(s, SYS_prctl, PR_SET_PDEATHSIG, core->pdeath_sig);
	if (thread + 1 == task->n_threads && task->mm && task->mm->has_dumpable)
		script_need(s, SYS_prctl, PR_SET_DUMPABLE, task->mm->dumpable == 1);
	return 0;
}

const struct task_kind task_misc_kind = {
	.name = "task-misc",
	.ask = misc_ask,
	.take = misc_take,
	.ask_thread = misc_ask_thread,
	.take_thread = misc_take_thread,
	.revive = misc_revive,
	.revive_thread = misc_revive_thread,
};
