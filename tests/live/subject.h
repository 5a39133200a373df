/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subject: what every subject program shares: say READY, wait, judge oneself, say PASS or FAIL.
 *
 * A subject sets up one kind of kernel state, calls subject_ready() and subject_wait(), and then
 * looks at the state again: it cannot tell from anything else whether it was checkpointed,
 * restored, or left alone. The verdict goes to the file named by argv[1], which is opened before
 * READY and stays open.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* subject_init - open the verdict file and install the SIGUSR1 handler. Call first in main(). */
void subject_init(int argc, char **argv);

/* subject_ready - the state is set up: write READY. */
void subject_ready(void);

/* subject_say - a line of its own into the verdict file, before the verdict. */
void subject_say(const char *text);

/* subject_wait - return when SIGUSR1 has come. Sleeps in short steps; other signals do not end it.
 */
void subject_wait(void);

/* subject_told - true once SIGUSR1 has come; for loops that must not make system calls. */
bool subject_told(void);

/* subject_pass - write PASS and exit with 0. */
void subject_pass(void) __attribute__((noreturn));

/* subject_fail - write FAIL with the place, the text and errno, and exit with 1. */
void subject_fail(const char *file, int line, const char *text) __attribute__((noreturn));

/* subject_sleep_ms - sleep that long, whatever signals come. */
void subject_sleep_ms(long ms);

/* subject_path - a path beside the verdict file, in a static buffer of its own for each call site.
 */
char *subject_path(const char *name);

/* Judge: the text of a broken condition is the verdict. */
#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			subject_fail(__FILE__, __LINE__, #cond);                                   \
	} while (0)
