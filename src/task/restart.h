/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restart: system calls that a stop would end early.
 *
 * The kernel resumes most interrupted calls by itself. Some return EINTR after any wake-up, a
 * debugger's too (signal(7), "Interruption of system calls and library functions by stop signals"):
 * those are made again, unless a signal really is there to interrupt them.
 */
#pragma once

#include "task/task.h"

/* restart_spurious - is this thread, as stopped, about to return an EINTR that only a deliverable
 * signal could justify? */
bool restart_spurious(const struct user_regs_struct *regs);

/* restart_why - the table's reason for a call number, NULL when it is not in the table. */
const char *restart_why(long nr);
