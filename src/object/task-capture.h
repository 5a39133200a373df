/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task-capture: everything that a stopped task and its threads have besides memory and descriptors.
 *
 * Walks task_kinds[]: one script session for each process, in which its threads answer at the same
 * time, and sessions of several processes at the same time.
 */
#pragma once

#include "object/capture.h"

/*
 * task_capture - make core-<pid> for every thread of some tasks.
 * @tasks: no two of them with the same address space
 * @mms: each task's mm message, whose process-wide fields kinds fill; not used for zombies
 * Must be called outside of other script sessions of the tasks. Returns 0 or an error that names
 * the task; -ESRCH when one was killed meanwhile.
 */
int task_capture(struct capture *cap, struct task *const *tasks, Img__Mm *const *mms, size_t n,
		 struct error *err) _must_check_;
