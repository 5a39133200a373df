/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task-capture: everything that a stopped task and its threads have besides memory and descriptors.
 *
 * Walks task_kinds[]: one script session for the process and its leader, one for each further
 * thread.
 */
#pragma once

#include "object/capture.h"

/*
 * task_capture - make core-<pid> for every thread of a task.
 * @mm: the task's mm message, whose process-wide fields kinds fill; not used for zombies
 * @ret_core: the leader's message, already in the set
 * Must be called outside of other script sessions of the task. Returns 0 or an error; -ESRCH when
 * the task was killed meanwhile.
 */
int task_capture(struct capture *cap, struct task *task, Img__Mm *mm, Img__Core **ret_core,
		 struct error *err) _must_check_;
