/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task-kinds: the rows of task_kinds[], one file each.
 */
#pragma once

#include "object/capture.h"
#include "object/restore.h"
#include "task/script.h"

extern const struct task_kind registers_kind;	 /* general and FPU registers */
extern const struct task_kind sigaction_kind;	 /* handlers, by process */
extern const struct task_kind signal_queue_kind; /* pending signals and masks */
extern const struct task_kind itimer_kind;
extern const struct task_kind posix_timer_kind;
extern const struct task_kind rlimit_kind;
extern const struct task_kind sched_kind;
extern const struct task_kind
	thread_area_kind; /* alternate stack, robust list, tid address, rseq */
extern const struct task_kind seccomp_kind;
extern const struct task_kind creds_kind;
extern const struct task_kind fs_kind;	      /* working and root directory, umask */
extern const struct task_kind file_lock_kind; /* restoring half; capture is with descriptors */
extern const struct task_kind task_misc_kind; /* names, personality, oom, dumpable and the like */

/* script_failed - a call that a capture made in a task failed. Returns the negative errno. */
int script_failed(const struct script *s, int call, const struct task_capture *tc, const char *what,
		  struct error *err);
