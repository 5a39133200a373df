/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fd-kinds: the rows of fd_kinds[] that are not sockets, one file each.
 */
#pragma once

#include "object/capture.h"
#include "object/restore.h"

extern const struct fd_kind pipe_kind;
extern const struct fd_kind fifo_kind;
extern const struct fd_kind eventfd_kind;
extern const struct fd_kind eventpoll_kind;
extern const struct fd_kind timerfd_kind;
extern const struct fd_kind signalfd_kind;
extern const struct fd_kind inotify_kind;
extern const struct fd_kind memfd_kind;
extern const struct fd_kind pidfd_kind;
extern const struct fd_kind tty_kind;
extern const struct fd_kind ns_file_kind;
extern const struct fd_kind other_file_kind; /* what amber knows but cannot capture: gaps */

/* Second looks of kinds, when all descriptors of all tasks are known: from fd_capture_finish(). */
int pipe_capture_finish(struct capture *cap, struct error *err) _must_check_;
int tty_capture_finish(struct capture *cap, struct error *err) _must_check_;

/*
 * file_lock_capture - the locks that a descriptor holds, from fdinfo.
 * @new_description: nobody's descriptor led to it before; @new_in_task: none of this task did
 */
int file_lock_capture(struct capture *cap, const struct fd_facts *facts, bool new_description,
		      bool new_in_task, struct error *err) _must_check_;
