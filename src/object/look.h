/* SPDX-License-Identifier: Apache-2.0 */
/*
 * look: what is seen of the tasks while they still run, so that the stop only has to check it.
 *
 * A look never decides anything: what it says of a mapping or a descriptor counts only where the
 * stop finds the same again, and a task that it has not seen is captured as well, just slower.
 * Nothing that it holds is felt in the container: files of /proc are pinned, never a pipe's end, a
 * socket or a lock of the program's.
 */
#pragma once

#include "kernel/proc-maps.h"
#include "object/capture.h"

/* A descriptor whose fdinfo is open: asked for before the stop, it costs one read in it. */
struct look_fd {
	int fd;
	int info_fd; /* owned */
};

struct look_task {
	pid_t pid;
	uint64_t start_time;   /* of proc_stat: tells it from a later process of the same number */
	struct proc_maps maps; /* with VmFlags, from before anybody tracked its memory */
	struct look_fd *fds;   /* ascending */
	size_t n_fds;
};

struct look {
	struct arena arena;
	struct look_task **tasks;
	size_t n_tasks, n_fds;
	size_t files_max;	 /* descriptors that amber may have */
	struct arena scratch[2]; /* for facts of one task's descriptors; faulted in */
	dev_t pipe_dev;		 /* of pipefs: every pipe without a name is there */
};

/*
 * look_new - look at these processes and their descendants, into cap->look. Before the stop, and
 * before memory is tracked: tracking shows in VmFlags.
 * Processes that end meanwhile are left out. Returns 0 or -ENOMEM.
 */
int look_new(struct capture *cap, const pid_t *pids, size_t n_pids, struct error *err) _must_check_;

/* look_free - NULL is accepted. */
void look_free(struct look *look);

/* look_find - what was seen of a process, NULL when it was not. look may be NULL. Whether it is
 * still the same one tells start_time, and for descriptors the read of info_fd, which fails. */
const struct look_task *look_find(const struct look *look, pid_t pid);

/* look_info_fd - the open fdinfo of a descriptor, -1 when there is none. task may be NULL. */
int look_info_fd(const struct look_task *task, int fd);
