// SPDX-License-Identifier: Apache-2.0
/*
 * look: see look.h. Reads what the stop will read, too: the second time the kernel has the names of
 * /proc at hand.
 */
#include "object/look.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/proc-fdinfo.h"
#include "kernel/proc-tasks.h"
#include "kernel/proc.h"

#define DEPTH_MAX 64		    /* of the process tree */
#define FDS_MAX	  ((size_t)1 << 15) /* each pins a file of ours and a page of the kernel's */
#define FDS_OWN	  512		    /* that amber needs besides */

/* Bytes of messages in the arena, rather too many. */
#define ROOM_FD	  1280
#define ROOM_FACT 1536
#define ROOM_VMA  768
#define ROOM_TASK (64UL << 10)
#define ROOM_ALL  (256UL << 10)

static int compare_tasks(const void *a, const void *b)
{
	const struct look_task *const *x = a, *const *y = b;

	return (*x)->pid < (*y)->pid ? -1 : (*x)->pid > (*y)->pid;
}

/* As many files as we may have; the table of descriptors grows now, because in the stop, with
 * other threads about, its growth would wait for the kernel's RCU. */
static void make_room(struct look *look, size_t n)
{
	struct rlimit limit;
	int fd;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (limit.rlim_cur < n) {
		limit.rlim_cur = MIN((rlim_t)n, limit.rlim_max);
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	look->files_max = limit.rlim_cur;
	fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, (int)MIN((rlim_t)n, limit.rlim_cur) - 1);
	if (fd >= 0)
		close(fd);
}

/* The text is read once, so that the kernel's buffer for it is there. */
static int open_info(int proc_fd, int fd)
{
	char name[32], text[64];
	int info_fd;

	(void)snprintf(name, sizeof(name), "fdinfo/%d", fd);
	info_fd = openat(proc_fd, name, O_RDONLY | O_CLOEXEC);
	if (info_fd >= 0 && pread(info_fd, text, sizeof(text), 0) <= 0) {
		close(info_fd);
		return -1;
	}
	return info_fd;
}

static int look_at_fds(struct look *look, struct look_task *task, int proc_fd, struct error *err)
{
	struct proc_numbers fds = { 0 };
	char name[32], link[64];
	size_t i;
	int info_fd;

	if (proc_fds_read(proc_fd, &look->arena, &fds, NULL) < 0)
		return 0;
	task->fds = arena_array(&look->arena, struct look_fd, fds.n_values + 1);
	if (!task->fds)
		return error_nomem(err);
	make_room(look, look->n_fds + 2 * fds.n_values + FDS_OWN); /* each with a duplicate */
	for (i = 0; i < fds.n_values && look->n_fds < MIN(FDS_MAX, look->files_max / 3); i++) {
		info_fd = open_info(proc_fd, fds.values[i]);
		if (info_fd < 0)
			continue;
		task->fds[task->n_fds++] = (struct look_fd){ fds.values[i], info_fd };
		look->n_fds++;
		(void)snprintf(name, sizeof(name), "fd/%d", fds.values[i]);
		(void)!readlinkat(proc_fd, name, link, sizeof(link));
	}
	return 0;
}

static int look_at_task(struct look *look, pid_t pid, unsigned depth, struct error *err)
{
	_cleanup_close_ int proc_fd = -1;
	struct proc_numbers children = { 0 };
	struct look_task *task, **grown;
	struct proc_stat stat;
	size_t i;
	int r;

	if (depth > DEPTH_MAX || proc_open(pid, &proc_fd, NULL) < 0 ||
	    proc_stat_read(proc_fd, &stat, NULL) < 0)
		return 0;
	task = arena_new(&look->arena, struct look_task);
	grown = arena_grow(&look->arena, look->tasks, look->n_tasks, sizeof(task));
	if (!task || !grown)
		return error_nomem(err);
	look->tasks = grown;
	look->tasks[look->n_tasks++] = task;
	task->pid = pid;
	task->start_time = stat.start_time;
	if (proc_maps_read(proc_fd, PROC_MAPS_SMAPS, &look->arena, &task->maps, NULL) < 0)
		task->maps = (struct proc_maps){ 0 };
	r = look_at_fds(look, task, proc_fd, err);
	if (r == 0 && proc_children_read(proc_fd, &look->arena, &children, NULL) < 0)
		return 0;
	for (i = 0; r == 0 && i < children.n_values; i++)
		r = look_at_task(look, children.values[i], depth + 1, err);
	return r;
}

static void see_pipefs(struct look *look)
{
	struct stat st;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return;
	if (fstat(ends[0], &st) == 0)
		look->pipe_dev = st.st_dev;
	close(ends[0]);
	close(ends[1]);
}

int look_new(struct capture *cap, const pid_t *pids, size_t n_pids, struct error *err)
{
	struct look *look = calloc(1, sizeof(*look));
	size_t i, room = ROOM_ALL, most = 0;
	int r = 0;

	if (!look)
		return error_nomem(err);
	cap->look = look;
	see_pipefs(look);
	for (i = 0; r == 0 && i < n_pids; i++)
		r = look_at_task(look, pids[i], 0, err);
	/* Messages about all this fit into what is at hand in the stop. */
	for (i = 0; r == 0 && i < look->n_tasks; i++) {
		room += look->tasks[i]->maps.n_vmas * ROOM_VMA + ROOM_TASK;
		most = MAX(most, look->tasks[i]->n_fds);
	}
	for (i = 0; r == 0 && i < ARRAY_SIZE(look->scratch); i++)
		r = arena_reserve(&look->scratch[i], most * ROOM_FACT + ROOM_TASK);
	if (r == 0 && arena_reserve(&cap->set->arena, room + look->n_fds * ROOM_FD) < 0)
		r = error_nomem(err);
	if (look->n_tasks)
		qsort(look->tasks, look->n_tasks, sizeof(*look->tasks), compare_tasks);
	return r;
}

void look_free(struct look *look)
{
	size_t i, k;

	if (!look)
		return;
	for (i = 0; i < look->n_tasks; i++)
		for (k = 0; k < look->tasks[i]->n_fds; k++)
			close(look->tasks[i]->fds[k].info_fd);
	for (i = 0; i < ARRAY_SIZE(look->scratch); i++)
		arena_deinit(&look->scratch[i]);
	arena_deinit(&look->arena);
	free(look);
}

const struct look_task *look_find(const struct look *look, pid_t pid)
{
	size_t low = 0, high = look ? look->n_tasks : 0, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (look->tasks[middle]->pid == pid)
			return look->tasks[middle];
		if (look->tasks[middle]->pid < pid)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

int look_info_fd(const struct look_task *task, int fd)
{
	size_t low = 0, high = task ? task->n_fds : 0, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (task->fds[middle].fd == fd)
			return task->fds[middle].info_fd;
		if (task->fds[middle].fd < fd)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}
