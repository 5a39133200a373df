/* SPDX-License-Identifier: Apache-2.0 */
/*
 * script-steps: calls made in many places at once, by several threads of a task and in the sessions
 * of several tasks.
 *
 * A session waits for its task five times; with these the waits of many tasks overlap: all are
 * sent, all are pushed, all are taken. One session for each address space.
 */
#pragma once

#include "task/script.h"

/*
 * script_also - the calls that are appended from here on are made by this other thread of the same
 * task: in the next run, at the same time as those of the others, after the session's own. For what
 * many threads must be asked themselves; it costs each some microseconds. After the run, and by
 * script_reset(), such threads are as they were.
 * -ENOSPC: the next run is full, make it and begin the next one. -EOPNOTSUPP: not with this thread,
 * take script_move().
 */
int script_also(struct script *s, struct thread *thread, struct error *err) _must_check_;

/*
 * script_begin_send, script_begin_take - script_begin() in two steps. The second returns at once
 * where it has been made. After its failure *s is NULL; after another one script_end() is to be
 * called as ever, and brings home from any of these states.
 */
int script_begin_send(struct op *op, struct task_tree *tree, struct thread *thread, bool exact,
		      struct script **ret, struct error *err) _must_check_;
int script_begin_take(struct script **s, struct error *err) _must_check_;

/* script_run_send - the first half of script_run(): the session's own thread is on its way. */
int script_run_send(struct script *s, struct error *err) _must_check_;

/* script_end_send - the first half of script_end(). */
int script_end_send(struct script *s, struct error *err) _must_check_;

/* script_push - between two halves of beginning or ending: take the task a step further. */
int script_push(struct script *s, struct error *err) _must_check_;
