/* SPDX-License-Identifier: Apache-2.0 */
/*
 * victim: processes for the tests of task/: children that do something and judge themselves.
 *
 * Test code only. A victim and its test share one page; a victim that finds itself damaged says why
 * there and exits.
 */
#pragma once

#include <stdatomic.h>

#include "task/script.h"
#include "task/seize.h"

struct victim_page {
	atomic_ulong ready;    /* victims that are set up */
	atomic_ulong progress; /* whatever a victim counts */
	atomic_ulong go;       /* set by the test */
	atomic_ulong signals;
	atomic_ulong broken; /* a victim has found a fault; text says which */
	char text[256];
	long result, errnum; /* of a call under test */
	uint64_t took_ns;
	atomic_ulong counters[256];
};

struct victim {
	pid_t pid;
	struct victim_page *page;
};

typedef void victim_fn(struct victim_page *page, void *arg);

/* victim_start - fork, run fn in the child (which exits when it returns), wait for page->ready
 * >= 1. */
void victim_start(struct victim *v, victim_fn *fn, void *arg);

/* victim_end - SIGKILL, reap, unmap. Fails the test when the victim was broken or had died. */
void victim_end(struct victim *v);

/* victim_say - for victims: something is wrong. Does not return. */
void victim_say(struct victim_page *page, const char *text) __attribute__((noreturn));

/* victim_moves - does progress go on within two seconds? */
bool victim_moves(struct victim *v);

/* victim_stop - stop these; fails the test when that fails. */
void victim_stop(struct op *op, const struct victim *v, size_t n, struct task_tree *tree);
void victim_resume(struct task_tree *tree);

/* victim_script - begin, a few calls, run, end in one task; fails the test when something does. */
void victim_script(struct op *op, struct task_tree *tree, struct task *task);

/* victim_status - one line of /proc/<pid>/status, "" when there is none; ret of 128 bytes. */
void victim_status(pid_t pid, const char *key, char *ret);

/* victim_maps - /proc/<pid>/maps as malloc()ed text. */
char *victim_maps(pid_t pid);

/* victim_may_trace - skips the whole program (exit 77) when ptrace is not permitted here. */
void victim_may_trace(void);

/* victim_must - a call of the library must succeed; prints its error. */
#define victim_must(call, err)                                                                     \
	do {                                                                                       \
		if ((call) < 0)                                                                    \
			victim_fail(__FILE__, __LINE__, (err));                                    \
	} while (0)
void victim_fail(const char *file, int line, const struct error *err);
