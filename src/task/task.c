// SPDX-License-Identifier: Apache-2.0
/*
 * task: finding tasks in a tree, and their memory. See task.h.
 */
#include "task/task.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

struct task *task_find(const struct task_tree *tree, pid_t pid)
{
	struct task *task;

	foreach_task (task, tree)
		if (task->pid == pid)
			return task;
	return NULL;
}

struct task *task_find_ns(const struct task_tree *tree, pid_t ns_pid)
{
	struct task *task;

	foreach_task (task, tree)
		if (task->ns_pid == ns_pid)
			return task;
	return NULL;
}

struct thread *task_leader(struct task *task)
{
	return task->n_threads ? &task->threads[0] : NULL;
}

const char *task_name(const struct task *task, char *buf, size_t size)
{
	snprintf(buf, size, "%d (%s)", task->pid, task->comm);
	return buf;
}

static int mem_open(const struct task *task, int flags, int *ret, struct error *err)
{
	int fd = openat(task->proc_fd, "mem", flags | O_CLOEXEC);

	if (fd < 0)
		return error_errno(err, errno, "opening the memory of task %d (%s)", task->pid,
				   task->comm);
	*ret = fd;
	return 0;
}

int task_read(const struct task *task, uint64_t addr, void *data, size_t len, struct error *err)
{
	_cleanup_close_ int fd = -1;
	unsigned char *p = data;
	int r;

	r = mem_open(task, O_RDONLY, &fd, err);
	while (r == 0 && len) {
		ssize_t n = pread(fd, p, len, (off_t)addr);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_errno(err, n < 0 && errno != EIO ? errno : EFAULT,
					   "reading memory of task %d (%s) at 0x%llx", task->pid,
					   task->comm, (unsigned long long)addr);
		p += n;
		addr += (uint64_t)n;
		len -= (size_t)n;
	}
	return r;
}

int task_write(const struct task *task, uint64_t addr, const void *data, size_t len,
	       struct error *err)
{
	const unsigned char *p = data;
	_cleanup_close_ int fd = -1;
	int r;

	r = mem_open(task, O_RDWR, &fd, err);
	while (r == 0 && len) {
		ssize_t n = pwrite(fd, p, len, (off_t)addr);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_errno(err, n < 0 && errno != EIO ? errno : EFAULT,
					   "writing memory of task %d (%s) at 0x%llx", task->pid,
					   task->comm, (unsigned long long)addr);
		p += n;
		addr += (uint64_t)n;
		len -= (size_t)n;
	}
	return r;
}
