/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-fd-cases: what a case of test-fd-kinds.c is, and which there are.
 */
#pragma once

#include <sys/prctl.h>

#include "object/capture.h"

#define TEST_DIR "/tmp/amber-test-fd-kinds" /* made and removed by the test */

#define CASE_PARENT_FD	400 /* in the original: parent_fd[0], until it closes it */
#define CASE_CONSOLE_FD 450 /* in the test: the other side of the sandbox's console */

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

#define WANT(what)                                                                                 \
	do {                                                                                       \
		if (!(what))                                                                       \
			return #what;                                                              \
	} while (0)

/* move_to - a descriptor to a fixed number; FD_CLOEXEC goes with it. -1 when fd is. */
int move_to(int fd, int number);

extern struct fd_case *const fd_cases[]; /* NULL-terminated */

extern struct fd_case inotify_case, memfd_case, pidfd_case, tty_case, outer_tty_case, ns_case,
	lock_case, unknown_case;
