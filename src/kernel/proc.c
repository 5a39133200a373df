// SPDX-License-Identifier: Apache-2.0
/*
 * proc: a process as a directory of /proc. Never opens anything by a pid twice: what is found
 * through the descriptor belongs to the process that it was opened for.
 */
#include "kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#include "base/fd.h"

#define PROC_DIR_FLAGS (O_PATH | O_DIRECTORY | O_CLOEXEC)

int proc_open(pid_t pid, int *ret_fd, struct error *err)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	fd = open(path, PROC_DIR_FLAGS);
	if (fd < 0)
		return error_errno(err, errno, "cannot open %s", path);
	*ret_fd = fd;
	return 0;
}

int proc_open_thread(int proc_fd, pid_t tid, int *ret_fd, struct error *err)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "task/%d", (int)tid);
	fd = openat(proc_fd, path, PROC_DIR_FLAGS);
	if (fd < 0)
		return error_errno(err, errno, "cannot open %s of a process", path);
	*ret_fd = fd;
	return 0;
}

/* "/proc/123/" for error texts. */
static void proc_prefix(int proc_fd, char prefix[64])
{
	char path[32];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", proc_fd);
	n = readlink(path, prefix, 62);
	if (n < 0)
		n = 0;
	else
		prefix[n++] = '/';
	prefix[n] = '\0';
}

int proc_read(int proc_fd, const char *name, size_t max, struct buf *buf, struct error *err)
{
	char prefix[64];
	int r;

	r = fd_read_file(proc_fd, name, max, buf, err);
	if (r < 0) {
		proc_prefix(proc_fd, prefix);
		return error_while(err, r, "reading %s%s", prefix, name);
	}
	return 0;
}

int proc_readlink(int proc_fd, const char *name, struct arena *arena, const char **ret,
		  struct error *err)
{
	char target[2 * PATH_MAX], prefix[64];
	ssize_t n;

	n = readlinkat(proc_fd, name, target, sizeof(target));
	if (n < 0 || (size_t)n >= sizeof(target)) {
		int e = n < 0 ? errno : ENAMETOOLONG;

		proc_prefix(proc_fd, prefix);
		return error_errno(err, e, "cannot read the link %s%s", prefix, name);
	}
	*ret = arena_memdup(arena, target, n);
	return *ret ? 0 : error_nomem(err);
}

int proc_malformed(struct error *err, const char *what, const char *which)
{
	return error_set(err, ERROR_INTERNAL, EBADMSG, "%s is not as expected: %s", what, which);
}

int proc_too_many(struct error *err, const char *what, size_t max)
{
	return error_set(err, ERROR_SYSTEM, E2BIG, "more than %zu %s", max, what);
}
