/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc-stat: the one line of /proc/PID/stat (and of /proc/PID/task/TID/stat).
 *
 * Addresses are zero when the reader may not ptrace the process. A comm may hold any byte, ')' too.
 */
#pragma once

#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"

#define PROC_STAT_MAX_BYTES ((size_t)16 << 10)

struct proc_stat {
	pid_t pid;     /* pid and all below as the pid namespace of the /proc mount numbers them */
	char comm[64]; /* 15 bytes at most for user tasks; kernel threads may have longer ones */
	char state;    /* R S D Z T t X I */
	pid_t ppid, pgrp, session;
	int32_t tty_nr, tpgid; /* tty_nr: new_encode_dev(), 0 = none; tpgid: -1 = none */
	uint32_t flags;	       /* PF_* */
	uint64_t min_flt, cmin_flt, maj_flt; /* cmin_flt: of children that were waited for */
	uint64_t utime, stime;		     /* ticks */
	int64_t cutime, cstime, priority, nice, num_threads;
	uint64_t start_time; /* ticks since boot */
	uint64_t vsize;	     /* bytes */
	int64_t rss;	     /* pages */
	uint64_t start_code, end_code, start_stack;
	uint64_t start_data, end_data, start_brk;
	uint64_t arg_start, arg_end, env_start, env_end;
	int32_t exit_signal, processor;
	uint32_t rt_priority, policy;
	int32_t exit_code; /* as wait() gives it */
};

/* proc_stat_parse - returns 0 or -EBADMSG. */
int proc_stat_parse(struct bytes text, struct proc_stat *ret, struct error *err) _must_check_;

/* proc_stat_reread - from the stat file itself, which was opened before. -ESRCH when it has ended.
 */
int proc_stat_reread(int stat_fd, struct proc_stat *ret, struct error *err) _must_check_;

/* proc_stat_read - the stat file of a process or thread directory. */
int proc_stat_read(int proc_fd, struct proc_stat *ret, struct error *err) _must_check_;
