// SPDX-License-Identifier: Apache-2.0
/*
 * task-capture: see task-capture.h.
 */
#include "object/task-capture.h"

#include <errno.h>
#include <string.h>

#include "object/task-kinds.h"
#include "task/script-steps.h"

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

static int capture_zombie(struct capture *cap, struct task *task, struct error *err)
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

/* One process under way. */
struct task_job {
	struct task_capture tc;
	struct script *s;
	struct answers *answers; /* one a thread */
	size_t first, next;	 /* the threads of the present run */
};

/* Append questions for as many threads as one run can ask, from the first that is left. */
static int ask_some(struct capture *cap, struct task_job *job, struct error *err)
{
	struct task *task = job->tc.task;
	int r = 0;

	job->first = job->next;
	if (job->first)
		script_reset(job->s);
	for (; r == 0 && job->next < task->n_threads; job->next++) {
		if (job->next)
			r = join(job->s, &task->threads[job->next], job->next == job->first, err);
		if (r == 1)
			return 0;
		if (r == 0)
			r = ask_all(cap, &job->tc, job->next, job->s, &job->answers[job->next],
				    err);
	}
	return r;
}

static int take_some(struct capture *cap, struct task_job *job, struct error *err)
{
	size_t i;
	int r;

	r = script_run(job->s, err);
	for (i = job->first; r == 0 && i < job->next; i++)
		r = take_all(cap, &job->tc, i, job->s, &job->answers[i], err);
	return r;
}

static int make_cores(struct capture *cap, struct task_capture *tc)
{
	struct task *task = tc->task;
	size_t i;

	tc->thread_cores = arena_array(&cap->set->arena, Img__Core *, task->n_threads);
	if (!tc->thread_cores)
		return -ENOMEM;
	for (i = 0; i < task->n_threads; i++) {
		tc->thread_cores[i] = core_new(cap, i == 0);
		if (!tc->thread_cores[i])
			return -ENOMEM;
	}
	tc->core = tc->thread_cores[0];
	tc->core->tc->task_state = task->state == TASK_GROUP_STOPPED ? STATE_STOPPED : STATE_ALIVE;
	if (task->state == TASK_GROUP_STOPPED) {
		tc->core->tc->has_stop_signo = true;
		tc->core->tc->stop_signo = (uint32_t)task_leader(task)->stop_signal;
	}
	return 0;
}

/* The steps of a session, each made for all processes before the next: a step that has to wait for
 * one of them finds it done by the time that the others have been sent on their way. */

static int job_begin(struct capture *cap, struct task_job *job, struct error *err)
{
	struct task *task = job->tc.task;

	if (task->state == TASK_ZOMBIE)
		return capture_zombie(cap, task, err);
	job->answers = calloc(task->n_threads, sizeof(*job->answers));
	if (!job->answers || make_cores(cap, &job->tc) < 0)
		return error_nomem(err);
	return script_begin_send(cap->op, cap->tree, &task->threads[0], true, &job->s, err);
}

static int job_push(struct capture *cap, struct task_job *job, struct error *err)
{
	(void)cap;
	return job->s ? script_push(job->s, err) : 0;
}

static int job_ask(struct capture *cap, struct task_job *job, struct error *err)
{
	int r;

	if (!job->s)
		return 0;
	r = script_begin_take(&job->s, err);
	if (r == 0)
		r = ask_some(cap, job, err);
	return r < 0 ? r : script_run_send(job->s, err);
}

static int job_take(struct capture *cap, struct task_job *job, struct error *err)
{
	int r;

	if (!job->s)
		return 0;
	r = take_some(cap, job, err);
	while (r == 0 && job->next < job->tc.task->n_threads) {
		r = ask_some(cap, job, err);
		if (r == 0)
			r = take_some(cap, job, err);
	}
	return r < 0 ? r : script_end_send(job->s, err);
}

static int job_end(struct capture *cap, struct task_job *job, struct error *err)
{
	(void)cap;
	return job->s ? script_end(&job->s, err) : 0;
}

static void jobs_free(struct task_job *jobs, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (jobs[i].s)
			(void)script_end(&jobs[i].s, NULL);
		free(jobs[i].answers);
	}
	free(jobs);
}

int task_capture(struct capture *cap, struct task *const *tasks, Img__Mm *const *mms, size_t n,
		 struct error *err)
{
	static int (*const steps[])(struct capture *, struct task_job *, struct error *) = {
		job_begin, job_push, job_ask, job_take, job_push, job_end,
	};
	struct task_job *jobs = calloc(n, sizeof(*jobs));
	size_t i, step;
	char name[40];
	int r = 0;

	if (!jobs)
		return error_nomem(err);
	for (i = 0; i < n; i++)
		jobs[i].tc = (struct task_capture){ .task = tasks[i], .mm = mms[i] };
	for (step = 0; r == 0 && step < ARRAY_SIZE(steps); step++) {
		for (i = 0; r == 0 && i < n; i++)
			r = steps[step](cap, &jobs[i], err);
		if (r < 0)
			r = error_while(err, r, "capturing task %s",
					task_name(tasks[i - 1], name, sizeof(name)));
	}
	jobs_free(jobs, n);
	return r;
}
