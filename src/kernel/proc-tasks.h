/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc-tasks: the numbers below a process: its threads, its children, its descriptors.
 *
 * A running process changes them under the reader: a list is what was there at some instant of the
 * reading. Whoever needs all of them stops what is listed and reads again until nothing new
 * appears.
 */
#pragma once

#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"

/* PID_MAX_LIMIT; descriptors have the same bound here */
#define PROC_TASKS_MAX	    ((size_t)1 << 22)
#define PROC_CHILDREN_BYTES ((size_t)64 << 20)

struct proc_numbers {
	int *values;
	size_t n_values;
};

/* proc_threads_read - ids of task/, ascending. */
int proc_threads_read(int proc_fd, struct arena *arena, struct proc_numbers *ret,
		      struct error *err) _must_check_;

/* proc_children_read - children of every thread of the process, zombies too (task/TID/children). */
int proc_children_read(int proc_fd, struct arena *arena, struct proc_numbers *ret,
		       struct error *err) _must_check_;

/* proc_children_parse - one children file: pids separated by blanks. Appends to *ret. */
int proc_children_parse(struct bytes text, struct arena *arena, struct proc_numbers *ret,
			struct error *err) _must_check_;

/* proc_fds_read - numbers of fd/, ascending. Works for a thread's directory too. */
int proc_fds_read(int proc_fd, struct arena *arena, struct proc_numbers *ret,
		  struct error *err) _must_check_;
