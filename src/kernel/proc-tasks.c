// SPDX-License-Identifier: Apache-2.0
/*
 * proc-tasks: threads, children and descriptors of a process, by number. Never waits for them to
 * settle.
 */
#include "kernel/proc-tasks.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "kernel/proc.h"
#include "kernel/scan.h"

static int append(struct proc_numbers *numbers, int value, struct arena *arena, struct error *err)
{
	if (numbers->n_values >= PROC_TASKS_MAX)
		return proc_too_many(err, "tasks or descriptors", PROC_TASKS_MAX);
	numbers->values =
		arena_grow(arena, numbers->values, numbers->n_values, sizeof(*numbers->values));
	if (!numbers->values)
		return error_nomem(err);
	numbers->values[numbers->n_values++] = value;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The entries of a directory that are numbers, ascending. */
static int read_dir(int proc_fd, const char *name, struct arena *arena, struct proc_numbers *ret,
		    struct error *err)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct proc_numbers numbers = { 0 };
	struct dirent *entry;
	int fd, r;

	fd = openat(proc_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "cannot list %s of a process", name);
	dir = fdopendir(fd);
	if (!dir) {
		r = error_errno(err, errno, "cannot list %s of a process", name);
		close(fd);
		return r;
	}
	for (;;) {
		struct scan s;
		int value;

		errno = 0;
		entry = readdir(dir);
		if (!entry)
			break;
		s = scan_of((struct bytes){ (const unsigned char *)entry->d_name,
					    strlen(entry->d_name) });
		if (!scan_i32(&s, &value) || !scan_done(&s))
			continue;
		r = append(&numbers, value, arena, err);
		if (r < 0)
			return r;
	}
	if (errno)
		return error_errno(err, errno, "cannot list %s of a process", name);
	if (numbers.n_values)
		qsort(numbers.values, numbers.n_values, sizeof(*numbers.values), compare);
	*ret = numbers;
	return 0;
}

int proc_threads_read(int proc_fd, struct arena *arena, struct proc_numbers *ret, struct error *err)
{
	return read_dir(proc_fd, "task", arena, ret, err);
}

int proc_fds_read(int proc_fd, struct arena *arena, struct proc_numbers *ret, struct error *err)
{
	return read_dir(proc_fd, "fd", arena, ret, err);
}

int proc_children_parse(struct bytes text, struct arena *arena, struct proc_numbers *ret,
			struct error *err)
{
	struct scan s = scan_of(text);
	int pid, r;

	while (scan_i32(&s, &pid)) {
		if (pid <= 0)
			return proc_malformed(err, "children", "pid");
		r = append(ret, pid, arena, err);
		if (r < 0)
			return r;
	}
	while (!scan_done(&s) && (*s.at == ' ' || *s.at == '\n'))
		s.at++;
	return scan_done(&s) ? 0 : proc_malformed(err, "children", "pid");
}

int proc_children_read(int proc_fd, struct arena *arena, struct proc_numbers *ret,
		       struct error *err)
{
	struct proc_numbers threads, children = { 0 };
	int r;

	r = proc_threads_read(proc_fd, arena, &threads, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < threads.n_values; i++) {
		_cleanup_buf_ struct buf text = BUF_INIT;
		char name[48];

		snprintf(name, sizeof(name), "task/%d/children", threads.values[i]);
		r = proc_read(proc_fd, name, PROC_CHILDREN_BYTES, &text, err);
		/* A thread that ended meanwhile has handed its children on to another of the
		 * process. */
		if (r == -ENOENT || r == -ESRCH) {
			error_clear(err);
			continue;
		}
		if (r < 0)
			return r;
		r = proc_children_parse((struct bytes){ text.data, text.len }, arena, &children,
					err);
		if (r < 0)
			return r;
	}
	*ret = children;
	return 0;
}
