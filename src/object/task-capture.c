// SPDX-License-Identifier: Apache-2.0
/*
 * task-capture: see task-capture.h.
 */
#include "object/task-capture.h"

#include <errno.h>
#include <string.h>

#include "object/task-kinds.h"

/* Img__TaskCore.task_state */
#define STATE_ALIVE   1
#define STATE_DEAD    2
#define STATE_STOPPED 3

#define KINDS_MAX 32

int script_failed(const struct script *s, int call, const struct task_capture *tc, const char *what,
		  struct error *err)
{
	int64_t r = script_result(s, call);
	int errnum = r < 0 && r > -4096 ? (int)-r : EIO;

	return error_errno(err, errnum, "%s inside task %d failed", what, tc->task->pid);
}

static Img__Core *core_new(struct capture *cap, bool leader)
{
	Img__Core *core = img_new(cap->set, Img__Core, core);

	if (!core)
		return NULL;
	core->mtype = IMG__CORE__MARCH__X86_64;
	core->thread_core = img_new(cap->set, Img__ThreadCore, thread_core);
	if (leader)
		core->tc = img_new(cap->set, Img__TaskCore, task_core);
	return core->thread_core && (!leader || core->tc) ? core : NULL;
}

static int add_core(struct capture *cap, pid_t id, Img__Core *core, struct error *err)
{
	return image_add(cap->set, IMAGE_CORE, (uint32_t)id, &core->base, (struct bytes){ 0 }, err);
}

static int capture_zombie(struct capture *cap, struct task *task, Img__Core **ret_core,
			  struct error *err)
{
	Img__Core *core = core_new(cap, true);

	if (!core)
		return error_nomem(err);
	core->thread_core = NULL;
	core->tc->task_state = STATE_DEAD;
	core->tc->exit_code = (uint32_t)task->exit_code;
	core->tc->comm = arena_strdup(&cap->set->arena, task->comm);
	if (!core->tc->comm)
		return error_nomem(err);
	*ret_core = core;
	return add_core(cap, task->ns_pid, core, err);
}

/* All questions of one session: the process's when it is the leader's, and the thread's. */
static int ask_all(struct capture *cap, struct task_capture *tc, size_t thread, struct script *s,
		   void **task_states, void **thread_states, struct error *err)
{
	const struct task_kind *kind;
	size_t i;
	int r;

	for (i = 0; (kind = task_kinds[i]) && i < KINDS_MAX; i++) {
		r = 0;
		if (thread == 0 && kind->ask)
			r = kind->ask(cap, tc, s, &task_states[i], err);
		if (r == 0 && kind->ask_thread)
			r = kind->ask_thread(cap, tc, thread, s, &thread_states[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int take_all(struct capture *cap, struct task_capture *tc, size_t thread, struct script *s,
		    void **task_states, void **thread_states, struct error *err)
{
	const struct task_kind *kind;
	size_t i;
	int r;

	for (i = 0; (kind = task_kinds[i]) && i < KINDS_MAX; i++) {
		r = 0;
		if (kind->take_thread)
			r = kind->take_thread(cap, tc, thread, s, thread_states[i], err);
		if (r == 0 && thread == 0 && kind->take)
			r = kind->take(cap, tc, s, task_states[i], err);
		if (r < 0)
			return error_while(err, r, "capturing %s of task %d", kind->name,
					   tc->task->pid);
	}
	return 0;
}

static int capture_thread(struct capture *cap, struct task_capture *tc, size_t thread,
			  struct script *s, struct error *err)
{
	void *task_states[KINDS_MAX] = { 0 }, *thread_states[KINDS_MAX] = { 0 };
	int r;

	r = ask_all(cap, tc, thread, s, task_states, thread_states, err);
	if (r == 0)
		r = script_run(s, err);
	if (r == 0)
		r = take_all(cap, tc, thread, s, task_states, thread_states, err);
	return r;
}

/* One session for the whole process, which moves from thread to thread. */
static int capture_threads(struct capture *cap, struct task_capture *tc, struct error *err)
{
	struct task *task = tc->task;
	_cleanup_script_ struct script *s = NULL;
	size_t i;
	int r;

	r = script_begin(cap->op, cap->tree, &task->threads[0], true, &s, err);
	for (i = 0; r == 0 && i < task->n_threads; i++) {
		if (i > 0) {
			script_reset(s);
			r = script_move(s, &task->threads[i], err);
		}
		if (r == 0)
			r = capture_thread(cap, tc, i, s, err);
		if (r == 0)
			r = add_core(cap, task->threads[i].ns_tid, tc->thread_cores[i], err);
	}
	return r < 0 ? r : script_end(&s, err);
}

int task_capture(struct capture *cap, struct task *task, Img__Mm *mm, Img__Core **ret_core,
		 struct error *err)
{
	struct task_capture tc = { .task = task, .mm = mm };
	size_t i;
	int r;

	if (task->state == TASK_ZOMBIE)
		return capture_zombie(cap, task, ret_core, err);
	tc.thread_cores = arena_array(&cap->set->arena, Img__Core *, task->n_threads);
	if (!tc.thread_cores)
		return error_nomem(err);
	for (i = 0; i < task->n_threads; i++) {
		tc.thread_cores[i] = core_new(cap, i == 0);
		if (!tc.thread_cores[i])
			return error_nomem(err);
	}
	tc.core = tc.thread_cores[0];
	tc.core->tc->task_state = task->state == TASK_GROUP_STOPPED ? STATE_STOPPED : STATE_ALIVE;
	if (task->state == TASK_GROUP_STOPPED) {
		tc.core->tc->has_stop_signo = true;
		tc.core->tc->stop_signo = (uint32_t)task_leader(task)->stop_signal;
	}
	r = capture_threads(cap, &tc, err);
	if (r < 0)
		return r;
	*ret_core = tc.core;
	return 0;
}
