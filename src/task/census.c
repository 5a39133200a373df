// SPDX-License-Identifier: Apache-2.0
/*
 * census: see census.h.
 */
#include "task/census.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "kernel/pidfd.h"
#include "kernel/proc-stat.h"
#include "kernel/proc-status.h"
#include "kernel/proc-tasks.h"
#include "kernel/proc.h"
#include "task/trace.h"

#define TASKS_MAX    ((size_t)1 << 20)
#define FILES_SPARED 256 /* that are opened ahead when the limit is not known */

static void thread_close(struct thread *thread)
{
	if (thread->status_fd)
		close(thread->status_fd);
	if (thread->children_fd)
		close(thread->children_fd);
	thread->status_fd = thread->children_fd = 0;
}

void census_task_close(struct task *task)
{
	struct thread *thread;

	if (task->pidfd >= 0)
		close(task->pidfd);
	if (task->proc_fd >= 0)
		close(task->proc_fd);
	task->pidfd = task->proc_fd = -1;
	if (task->stat_fd)
		close(task->stat_fd);
	task->stat_fd = 0;
	foreach_thread (thread, task)
		thread_close(thread);
}

static bool gone(int r)
{
	return r == -ENOENT || r == -ESRCH;
}

static int thread_status(const struct task *task, pid_t tid, struct arena *arena,
			 struct proc_status *ret, struct error *err)
{
	_cleanup_close_ int fd = -1;
	int r;

	r = proc_open_thread(task->proc_fd, tid, &fd, err);
	return r < 0 ? r : proc_status_read(fd, arena, ret, err);
}

/* Why PTRACE_SEIZE was refused. Returns 1 when the thread is ours already, 0 when it is dead. */
static int refused(struct census *c, const struct task *task, pid_t tid, struct error *err)
{
	struct arena scratch = ARENA_INIT;
	struct proc_status status;
	int r;

	r = thread_status(task, tid, &scratch, &status, err);
	arena_deinit(&scratch);
	if (r == 0 && status.state == 'Z')
		return 0;
	if (gone(r) || (r == 0 && status.state == 'X')) {
		c->unsure = true;
		error_clear(err);
		return 0;
	}
	if (r < 0)
		return r;
	if (status.tracer_pid == gettid())
		return 1;
	if (status.tracer_pid)
		return error_hint(
			err,
			error_set(err, ERROR_SYSTEM, EBUSY,
				  "thread %d of task %d (%s) is already traced by process %d", tid,
				  task->pid, task->comm, status.tracer_pid),
			"end the debugger or tracer (process %d) and try again", status.tracer_pid);
	return error_hint(err,
			  error_errno(err, EPERM, "attaching to thread %d of task %d (%s)", tid,
				      task->pid, task->comm),
			  "run amber as root (CAP_SYS_PTRACE) outside of the container");
}

static struct thread *thread_find(struct task *task, pid_t tid)
{
	struct thread *thread;

	foreach_thread (thread, task)
		if (thread->tid == tid && thread->seized)
			return thread;
	return NULL;
}

static int add_thread(struct census *c, struct task *task, pid_t tid, bool ours, struct error *err)
{
	struct thread *threads;
	int r = 0;

	if (thread_find(task, tid))
		return 0;
	threads = arena_grow(&c->tree->arena, task->threads, task->n_threads, sizeof(*threads));
	if (!threads)
		return error_nomem(err);
	task->threads = threads;
	if (!ours) {
		r = trace_seize(tid, TRACE_VICTIM);
		if (r == -EPERM) {
			r = refused(c, task, tid, err);
			if (r <= 0)
				return r;
			r = 0;
		}
	}
	if (r == -ESRCH) {
		c->unsure = true;
		return 0;
	}
	if (r < 0)
		return error_errno(err, -r, "attaching to thread %d of task %d (%s)", tid,
				   task->pid, task->comm);
	if (c->interrupt)
		(void)trace_interrupt(tid); /* -ESRCH: it is dying, waiting for it tells */
	threads[task->n_threads++] = (struct thread){ .task = task, .tid = tid, .seized = true };
	c->found = true;
	return 0;
}

/* Add a process without its threads. *ret = NULL when it is gone. */
static int add_task(struct census *c, pid_t pid, struct task **ret, struct error *err)
{
	struct proc_stat stat;
	struct task **tasks;
	struct task *task;
	int r;

	*ret = task_find(c->tree, pid);
	if (*ret)
		return 0;
	if (c->tree->n_tasks >= TASKS_MAX)
		return error_set(err, ERROR_SYSTEM, E2BIG, "more than %zu tasks", TASKS_MAX);
	task = arena_new(&c->tree->arena, struct task);
	tasks = arena_grow(&c->tree->arena, c->tree->tasks, c->tree->n_tasks, sizeof(*tasks));
	if (!task || !tasks)
		return error_nomem(err);
	c->tree->tasks = tasks;
	*task = (struct task){ .pid = pid, .pidfd = -1, .proc_fd = -1, .arena = &c->tree->arena };
	r = proc_open(pid, &task->proc_fd, err);
	if (r == 0)
		r = proc_stat_read(task->proc_fd, &stat, err);
	if (r == 0) {
		snprintf(task->comm, sizeof(task->comm), "%.15s", stat.comm);
		r = pidfd_open_process(pid, &task->pidfd, err);
		if (r < 0 && stat.state == 'Z')
			r = 0;
	}
	if (r < 0) {
		census_task_close(task);
		if (!gone(r))
			return r;
		c->unsure = true;
		error_clear(err);
		return 0;
	}
	tasks[c->tree->n_tasks++] = task;
	c->found = true;
	*ret = task;
	return 0;
}

/* Every thread that is there now. A zombie's only entry refuses to be seized, and so adds none. */
static int scan_threads(struct census *c, struct task *task, struct error *err)
{
	struct arena scratch = ARENA_INIT;
	struct proc_numbers tids = { 0 };
	int r;

	r = proc_threads_read(task->proc_fd, &scratch, &tids, err);
	if (gone(r)) {
		error_clear(err);
		r = 0;
	}
	for (size_t i = 0; r == 0 && i < tids.n_values; i++)
		r = add_thread(c, task, tids.values[i], false, err);
	arena_deinit(&scratch);
	return r;
}

/*
 * From files opened before the stop. Returns 1 when they do not tell all: a thread has none, or has
 * more children than fit, or has just ended.
 */
static int reread_children(const struct task *task, struct arena *arena, struct proc_numbers *ret)
{
	const struct thread *thread;
	unsigned char text[512];
	ssize_t n;

	foreach_thread (thread, task) {
		if (!thread->children_fd)
			return 1;
		n = pread(thread->children_fd, text, sizeof(text), 0);
		if (n < 0 || n == (ssize_t)sizeof(text) ||
		    proc_children_parse((struct bytes){ text, (size_t)n }, arena, ret, NULL) < 0)
			return 1;
	}
	return 0;
}

static int scan_children(struct census *c, struct task *task, struct error *err)
{
	struct arena scratch = ARENA_INIT;
	struct proc_numbers pids = { 0 };
	struct task *child;
	int r;

	r = task->n_threads ? reread_children(task, &scratch, &pids) : 1;
	if (r == 1) {
		pids = (struct proc_numbers){ 0 };
		r = proc_children_read(task->proc_fd, &scratch, &pids, err);
	}
	if (gone(r)) {
		error_clear(err);
		r = 0;
	}
	for (size_t i = 0; r == 0 && i < pids.n_values; i++)
		r = add_task(c, pids.values[i], &child, err);
	arena_deinit(&scratch);
	return r;
}

int census_scan(struct census *c, struct error *err)
{
	int r = 0;

	/* Tasks added on the way are appended and scanned in the same pass. */
	for (size_t i = 0; r == 0 && i < c->tree->n_tasks; i++) {
		r = op_cancelled(c->op, err);
		if (r == 0)
			r = scan_threads(c, c->tree->tasks[i], err);
		if (r == 0)
			r = scan_children(c, c->tree->tasks[i], err);
	}
	return r;
}

/* A file of /proc for the stop; 0 when it cannot be had: then it is opened in the stop. */
static int open_ahead(int proc_fd, const char *name)
{
	int fd = openat(proc_fd, name, O_RDONLY | O_CLOEXEC);

	if (fd == 0) { /* which means none */
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 1);
		close(0);
	}
	return MAX(fd, 0);
}

void census_look(struct census *c)
{
	size_t left = FILES_SPARED;
	struct rlimit limit;
	struct thread *thread;
	struct task *task;
	char name[48];

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		left = limit.rlim_cur / 2;
	foreach_task (task, c->tree) {
		if (left < 2)
			return;
		left -= 2;
		task->stat_fd = open_ahead(task->proc_fd, "stat");
	}
	foreach_task (task, c->tree) {
		foreach_thread (thread, task) {
			if (!left--)
				return;
			snprintf(name, sizeof(name), "task/%d/status", thread->tid);
			thread->status_fd = open_ahead(task->proc_fd, name);
		}
	}
	foreach_task (task, c->tree) {
		foreach_thread (thread, task) {
			if (!left--)
				return;
			snprintf(name, sizeof(name), "task/%d/children", thread->tid);
			thread->children_fd = open_ahead(task->proc_fd, name);
		}
	}
}

/* Processes of the pid namespace of this init, among those that we see. */
static int scan_namespace(struct census *c, const struct task *init, struct error *err)
{
	_cleanup_closedir_ DIR *proc = opendir("/proc");
	struct stat wanted, found;
	struct dirent *entry;
	char path[64];
	int r = 0;

	if (!proc)
		return error_errno(err, errno, "listing /proc");
	if (fstatat(init->proc_fd, "ns/pid", &wanted, 0) < 0)
		return 0;
	while (r == 0 && (entry = readdir(proc))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		struct task *task;

		if (pid <= 0)
			continue;
		snprintf(path, sizeof(path), "%d/ns/pid", pid);
		if (fstatat(dirfd(proc), path, &found, 0) < 0 || found.st_ino != wanted.st_ino ||
		    found.st_dev != wanted.st_dev)
			continue;
		r = add_task(c, pid, &task, err);
	}
	return r;
}

int census_root(struct census *c, pid_t pid, struct error *err)
{
	struct arena scratch = ARENA_INIT;
	struct proc_status status;
	struct task *task;
	int r;

	r = add_task(c, pid, &task, err);
	if (r < 0 || !task)
		return r;
	r = proc_status_read(task->proc_fd, &scratch, &status, err);
	if (gone(r)) {
		error_clear(err);
		r = 0;
	} else if (r == 0 && status.tgid != pid) {
		r = error_set(err, ERROR_NOT_FOUND, ESRCH, "%d is a thread of process %d", pid,
			      status.tgid);
	} else if (r == 0 && status.kthread) {
		r = error_set(err, ERROR_DENIED, EPERM, "%d (%s) is a kernel thread", pid,
			      task->comm);
	} else if (r == 0 && status.n_ns > 1 && status.ns_tgid[status.n_ns - 1] == 1) {
		r = scan_namespace(c, task, err);
	}
	arena_deinit(&scratch);
	return r < 0 ? r : 1;
}

int census_born(struct census *c, pid_t tid, struct error *err)
{
	struct arena scratch = ARENA_INIT;
	_cleanup_close_ int fd = -1;
	struct proc_status status;
	struct task *task;
	int r;

	/* /proc/<tid> exists for threads too, though it is not listed. */
	r = proc_open(tid, &fd, err);
	if (r == 0)
		r = proc_status_read(fd, &scratch, &status, err);
	arena_deinit(&scratch);
	if (gone(r)) {
		error_clear(err);
		return 0;
	}
	if (r < 0)
		return r;
	r = add_task(c, status.tgid, &task, err);
	return r < 0 || !task ? r : add_thread(c, task, tid, true, err);
}

static void drop_dead_threads(struct task *task)
{
	size_t n = 0;

	for (size_t i = 0; i < task->n_threads; i++) {
		if (task->threads[i].seized)
			task->threads[n++] = task->threads[i];
		else
			thread_close(&task->threads[i]);
	}
	task->n_threads = n;
	/* The leader first; /proc lists it so, events may have brought others earlier. */
	for (size_t i = 1; i < n; i++) {
		if (task->threads[i].tid == task->pid) {
			struct thread other = task->threads[0];

			task->threads[0] = task->threads[i];
			task->threads[i] = other;
		}
	}
}

/* What is left of a task: true when it stays in the tree. */
static bool take_stock(struct task *task)
{
	struct proc_stat *stat = &task->stat;
	int r;

	drop_dead_threads(task);
	r = task->stat_fd ? proc_stat_reread(task->stat_fd, stat, NULL)
			  : proc_stat_read(task->proc_fd, stat, NULL);
	if (r < 0)
		task->state = TASK_GONE;
	else if (!task->n_threads)
		task->state = stat->state == 'Z' ? TASK_ZOMBIE : TASK_GONE;
	if (task->state == TASK_GONE)
		return false;
	snprintf(task->comm, sizeof(task->comm), "%.15s", stat->comm);
	task->ppid = stat->ppid;
	task->pgid = stat->pgrp;
	task->sid = stat->session;
	task->exit_signal = stat->exit_signal;
	task->exit_code = task->state == TASK_ZOMBIE ? stat->exit_code : 0;
	return true;
}

int census_compact(struct census *c, struct error *err)
{
	struct task_tree *tree = c->tree;
	struct task **sorted;
	size_t n = 0, done = 0;

	for (size_t i = 0; i < tree->n_tasks; i++) {
		if (take_stock(tree->tasks[i]))
			tree->tasks[n++] = tree->tasks[i];
		else
			census_task_close(tree->tasks[i]);
	}
	tree->n_tasks = n;
	for (size_t i = 0; i < n; i++) {
		tree->tasks[i]->parent = task_find(tree, tree->tasks[i]->ppid);
		for (size_t k = 0; k < tree->tasks[i]->n_threads; k++)
			tree->tasks[i]->threads[k].task = tree->tasks[i];
	}

	/* Roots, then children of what is there; pids wrap around, so their order says nothing. */
	sorted = arena_array(&tree->arena, struct task *, n + 1);
	if (!sorted)
		return error_nomem(err);
	for (size_t i = 0; i < n; i++)
		if (!tree->tasks[i]->parent)
			sorted[done++] = tree->tasks[i];
	for (size_t at = 0; at < done; at++)
		for (size_t i = 0; i < n; i++)
			if (tree->tasks[i]->parent == sorted[at])
				sorted[done++] = tree->tasks[i];
	tree->tasks = sorted;
	tree->n_tasks = done;
	return 0;
}
