/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-fd-kinds: what a case of test-fd-kinds.c is.
 */
#pragma once

#include "object/capture.h"

/* In the child that make() runs in: the first of parent_fd[], until it closes it. */
#define CASE_PARENT_FD 400

struct fd_case {
	const char *name;
	int (*make)(void);	    /* in the original; -1 when it cannot */
	const char *(*check)(void); /* in the copy; NULL or what is wrong */
	size_t gaps;		    /* that the capture records */
	uint32_t notes;		    /* that the restore makes */
	bool console;		    /* parent_fd[1] is the sandbox's console */
	int parent_fd[2];
	void (*setup_parent)(struct fd_case *c); /* fills parent_fd */
	void (*captured)(struct capture *cap);	 /* looks at the images */
	void (*done)(struct fd_case *c);	 /* in the test itself, at the end */
};

extern struct fd_case *const fd_cases[]; /* NULL-terminated */

#define WANT(what)                                                                                 \
	do {                                                                                       \
		if (!(what))                                                                       \
			return #what;                                                              \
	} while (0)
