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

/* What the kinds keep between asking and taking, for one thread; of the process with the leader's.
 */
struct answers {
	void *task[KINDS_MAX], *thread[KINDS_MAX];
};

static int ask_all(struct capture *cap, struct task_capture *tc, size_t thread, struct script *s,
		   struct answers *answers, struct error *err)
{
	const struct task_kind *kind;
	size_t i;
	int r;

	for (i = 0; (kind = task_kinds[i]) && i < KINDS_MAX; i++) {
		r = 0;
		if (thread == 0 && kind->ask)
			r = kind->ask(cap, tc, s, &answers->task[i], err);
		if (r == 0 && kind->ask_thread)
			r = kind->ask_thread(cap, tc, thread, s, &answers->thread[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int take_all(struct capture *cap, struct task_capture *tc, size_t thread, struct script *s,
		    const struct answers *answers, struct error *err)
{
	const struct task_kind *kind;
	size_t i;
	int r;

	for (i = 0; (kind = task_kinds[i]) && i < KINDS_MAX; i++) {
		r = 0;
		if (kind->take_thread)
			r = kind->take_thread(cap, tc, thread, s, answers->thread[i], err);
		if (r == 0 && thread == 0 && kind->take)
			r = kind->take(cap, tc, s, answers->task[i], err);
		if (r < 0)
			return error_while(err, r, "capturing %s of task %d", kind->name,
					   tc->task->pid);
	}
	return add_core(cap, tc->task->threads[thread].ns_tid, tc->thread_cores[thread], err);
}

/* The session goes on with one more thread. Returns 1 when the run must be made first. */
static int join(struct script *s, struct thread *thread, bool first, struct error *err)
{
	struct error local = ERROR_INIT;
	int r;

	r = script_also(s, thread, &local);
	if (r == -EOPNOTSUPP && first)
		return script_move(s, thread, err);
	if ((r == -EOPNOTSUPP || r == -ENOSPC) && !first)
		return 1;
	if (r < 0 && err)
		*err = local;
	return r;
}

/* As many threads as can be asked in one run, from @first on; *ret_next = the first one left. */
static int capture_some(struct capture *cap, struct task_capture *tc, struct script *s,
			size_t first, struct answers *answers, size_t *ret_next, struct error *err)
{
	struct task *task = tc->task;
	size_t i, next;
	int r = 0;

	if (first)
		script_reset(s);
	for (next = first; next < task->n_threads; next++) {
		if (next)
			r = join(s, &task->threads[next], next == first, err);
		if (r == 1)
			break;
		if (r == 0)
			r = ask_all(cap, tc, next, s, &answers[next], err);
		if (r < 0)
			return r;
	}
	r = script_run(s, err);
	for (i = first; r == 0 && i < next; i++)
		r = take_all(cap, tc, i, s, &answers[i], err);
	*ret_next = next;
	return r;
}

/* One session for the whole process. */
static int capture_threads(struct capture *cap, struct task_capture *tc, struct error *err)
{
	struct task *task = tc->task;
	_cleanup_script_ struct script *s = NULL;
	_cleanup_free_ struct answers *answers = calloc(task->n_threads, sizeof(*answers));
	size_t next = 0;
	int r;

	if (!answers)
		return error_nomem(err);
	r = script_begin(cap->op, cap->tree, &task->threads[0], true, &s, err);
	while (r == 0 && next < task->n_threads)
		r = capture_some(cap, tc, s, next, answers, &next, err);
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
