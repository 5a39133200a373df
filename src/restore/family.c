// SPDX-License-Identifier: Apache-2.0
/*
 * family: which of our pids is which task of the image. Reads /proc only.
 */
#include "restore/family.h"

#include <errno.h>
#include <string.h>

#include "kernel/proc-status.h"
#include "kernel/proc-tasks.h"
#include "kernel/proc.h"

#define FAMILY_MAX (2 * RESTORE_TASKS_MAX)

struct walk {
	struct run *run;
	struct arena arena;
	pid_t *queue;
	size_t n, at;
	bool *seen; /* [task index] */
	bool early; /* some zombie is not one yet */
};

static int push(struct walk *w, pid_t pid, struct error *err)
{
	pid_t *more;

	if (w->n >= FAMILY_MAX)
		return error_set(err, ERROR_SYSTEM, E2BIG, "the sandbox has too many processes");
	more = arena_grow(&w->arena, w->queue, w->n, sizeof(*w->queue));
	if (!more)
		return error_nomem(err);
	w->queue = more;
	w->queue[w->n++] = pid;
	return 0;
}

static int visit(struct walk *w, pid_t pid, struct error *err)
{
	struct run *run = w->run;
	_cleanup_close_ int proc = -1;
	struct proc_numbers children = { 0 };
	struct proc_status status;
	struct restore_task *task;
	size_t i;
	int r;

	if (proc_open(pid, &proc, NULL) < 0)
		return 0; /* a stand-in that is gone */
	r = proc_status_read(proc, &w->arena, &status, err);
	if (r < 0)
		return r == -ESRCH || r == -ENOENT ? 0 : r;
	task = status.n_ns ? restore_task_find(&run->rst, status.ns_pid[status.n_ns - 1]) : NULL;
	if (task) {
		w->seen[task->index] = true;
		run->pids[task->index] = pid;
		if (status.state == 'Z' && !task->zombie)
			return error_set(err, ERROR_INTERNAL, ECHILD,
					 "task %d died while it was being restored", task->pid);
		if (status.state != 'Z' && task->zombie)
			w->early = true;
	}
	r = proc_children_read(proc, &w->arena, &children, err);
	if (r < 0)
		return r == -ESRCH || r == -ENOENT ? 0 : r;
	for (i = 0; i < children.n_values; i++) {
		r = push(w, children.values[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

int family_find(struct run *run, struct error *err)
{
	struct walk w = { .run = run };
	size_t i;
	int r;

	w.seen = arena_array(&w.arena, bool, run->rst.n_tasks);
	r = w.seen ? push(&w, run->top, err) : error_nomem(err);
	while (r >= 0 && w.at < w.n)
		r = visit(&w, w.queue[w.at++], err);
	for (i = 0; r >= 0 && i < run->rst.n_tasks; i++)
		if (!w.seen[i])
			r = error_set(err, ERROR_INTERNAL, ESRCH,
				      "task %d is missing in the sandbox", run->rst.tasks[i].pid);
	arena_deinit(&w.arena);
	return r < 0 ? r : w.early;
}
