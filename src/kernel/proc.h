/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc: a process as a directory of /proc.
 *
 * The descriptor of /proc/PID pins the process: after its death every read through it is -ESRCH or
 * -ENOENT, never another process that got the same pid. Files of a thread are read through the
 * descriptor of /proc/PID/task/TID in the same way. What the texts mean is told by the proc-*.h
 * beside.
 */
#pragma once

#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"

/* proc_open - open /proc/PID (O_PATH|O_DIRECTORY|O_CLOEXEC). The caller owns *ret_fd.
 * Returns 0, -ENOENT (no such process) or another negative errno. */
int proc_open(pid_t pid, int *ret_fd, struct error *err) _must_check_;

/* proc_open_thread - open /proc/PID/task/TID. */
int proc_open_thread(int proc_fd, pid_t tid, int *ret_fd, struct error *err) _must_check_;

/*
 * proc_read - read one file of it whole.
 * @proc_fd: descriptor of /proc/PID or /proc/PID/task/TID (O_PATH is enough)
 * @name: "status", "fdinfo/7", ...
 * @max: most bytes accepted, more is -EFBIG
 * @buf: appended to
 */
int proc_read(int proc_fd, const char *name, size_t max, struct buf *buf,
	      struct error *err) _must_check_;

/* proc_readlink - the target of one of its links ("exe", "cwd", "fd/3") as a string of the arena.
 * The kernel's " (deleted)" suffix is left where it is. */
int proc_readlink(int proc_fd, const char *name, struct arena *arena, const char **ret,
		  struct error *err) _must_check_;

/* proc_malformed - the error of a /proc text that is not what we know; what = the file's name,
 * which = what was looked for. Returns -EBADMSG. */
int proc_malformed(struct error *err, const char *what, const char *which);

/* proc_too_many - the error of a list longer than its hard maximum. Returns -E2BIG. */
int proc_too_many(struct error *err, const char *what, size_t max);
