/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fown: who gets the signals of an open file, and the flags that F_SETFL can set.
 *
 * Every kind of description has them, so every kind calls these.
 */
#pragma once

#include "object/capture.h"
#include "object/restore.h"

/* capture_pid, capture_pgid, capture_sid - a process, group or session of our pid namespace as the
 * container numbers it; 0 when it is none of the container's. */
pid_t capture_pid(struct capture *cap, pid_t pid);
pid_t capture_pgid(struct capture *cap, pid_t pgid);
pid_t capture_sid(struct capture *cap, pid_t sid);

/*
 * fown_capture - owner and signal of a description (F_GETOWN_EX, F_GETSIG, F_GETOWNER_UIDS).
 * Pids are written as the container's pid namespace numbers them; an owner outside of it becomes
 * "no owner" and a cosmetic gap. *ret is in the set's arena. Returns 0 or an error.
 */
int fown_capture(struct capture *cap, const struct fd_facts *facts, Img__Fown **ret,
		 struct error *err) _must_check_;

/* fown_none - the owner of what has none: an Fown of zeros in the set's arena. NULL when exhausted.
 */
Img__Fown *fown_none(struct image_set *set) _must_check_;

/* file_params_restore - status flags (O_NONBLOCK, O_APPEND, O_ASYNC, O_NOATIME and, for pipes,
 * O_DIRECT) and the signal number of a new description; its owner comes with fown_attach(). */
int file_params_restore(int fd, uint32_t flags, const Img__Fown *fown,
			struct error *err) _must_check_;

/*
 * fown_attach - make the owner's process get the signals. Called in a task that has the descriptor:
 * an owner that is not born yet is left to that task's own call. Returns 0 or RESTORE_GAP.
 */
int fown_attach(struct restore *rst, struct restore_task *task, const Img__Fown *fown, int fd,
		struct error *err) _must_check_;

/* restore_file_first_task - the task that acts for a description: the lowest pid that has it, with
 * *ret_fd its lowest number there. NULL when no task has it. */
struct restore_task *restore_file_first_task(struct restore *rst, uint32_t id, int *ret_fd);

/*
 * restore_file_replace - put another description in the place of one, at all descriptors of a task.
 * For what open() could only hold the place of. Returns 0 or an error.
 */
int restore_file_replace(const struct restore_task *task, uint32_t id, int fd,
			 struct error *err) _must_check_;
