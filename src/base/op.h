/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op: the context of one operation (a checkpoint, a restore, an inspection).
 *
 * It goes first into every function that logs, reports progress or can be cancelled. Several
 * operations may run in one process, so nothing of this may become a global.
 */
#pragma once

#include <signal.h>

#include "base/buf.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct op {
	enum log_level log_level; /* of what goes to log_fd */
	int log_fd;		  /* where records go as lines of text too, -1 = nowhere */
	struct buf *log_buf;	  /* takes records of every level, for dump.log; NULL = not kept */
	const volatile sig_atomic_t *cancel; /* non-zero = stop soon; NULL = never */
	int progress_fd;		     /* a terminal for the progress line, -1 = none */
	uint64_t progress_last_ns;	     /* when the line was last drawn */
};

#define OP_INIT ((struct op){ .log_level = LOG_INFO, .log_fd = -1, .progress_fd = -1 })

/* op_log - one record. Library code uses LOG_DEBUG and LOG_INFO only; errors are returned. */
void op_log(struct op *op, enum log_level level, const char *fmt, ...) _printf_(3, 4);

#define op_debug(op, ...) op_log(op, LOG_DEBUG, __VA_ARGS__)
#define op_info(op, ...)  op_log(op, LOG_INFO, __VA_ARGS__)
#define op_warn(op, ...)  op_log(op, LOG_WARN, __VA_ARGS__)

/* op_cancelled - 0, or -ECANCELED with err set once the user or a deadline wants the end. */
int op_cancelled(struct op *op, struct error *err) _must_check_;

/* op_progress - draw "what: done of total" (bytes) at most ten times a second, on a terminal only.
 * total 0 = not known. op_progress_end() clears the line. */
void op_progress(struct op *op, const char *what, uint64_t done, uint64_t total);
void op_progress_end(struct op *op);

/* clock_ns - CLOCK_MONOTONIC in nanoseconds. */
uint64_t clock_ns(void);
