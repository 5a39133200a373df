/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load: from an image set to the tasks, threads and files of a restore.
 *
 * Pure: looks at messages only, so it is tested without privileges. The images may come from a
 * hostile machine: whatever later code relies on (distinct pids, parents that exist, mappings that
 * are sorted and do not overlap) is checked here and nowhere else.
 */
#pragma once

#include "object/restore.h"

#define RESTORE_TASKS_MAX   65536
#define RESTORE_THREADS_MAX 1000000
#define RESTORE_FD_MAX	    (1U << 30)
#define RESTORE_PID_MAX	    (1 << 22)

/* States of Img.TaskCore.task_state. */
#define TASK_STATE_ALIVE   1
#define TASK_STATE_DEAD	   2
#define TASK_STATE_STOPPED 3
#define TASK_STATE_ZOMBIE  6

/*
 * restore_load - fill rst->tasks, files, fd_base, ns_mask and mountpoints from rst->set.
 * rst->set must be set; arrays are in its arena. Returns 0, -EINVAL for images that contradict
 * themselves or lack something without which nothing can be restored, -ENOMEM.
 */
int restore_load(struct restore *rst, struct error *err) _must_check_;

/* restore_task_fdinfo - the i-th descriptor of a task, NULL behind the last. */
const Img__Fdinfo *restore_task_fdinfo(const struct restore_task *task, size_t i);

/* restore_address_end - the first address that no user mapping may touch. */
#define RESTORE_ADDRESS_END 0x7ffffffff000ULL
