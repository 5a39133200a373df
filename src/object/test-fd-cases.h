/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-fd-cases: what the two files of cases share.
 */
#pragma once

#include <sys/prctl.h>

#include "object/test-fd-kinds.h"

#define TEST_DIR	"/tmp/amber-test-fd-kinds" /* made and removed by the test */
#define CASE_CONSOLE_FD 450

/* move_to - a descriptor to a fixed number; FD_CLOEXEC goes with it. -1 when fd is. */
int move_to(int fd, int number);

extern struct fd_case inotify_case, memfd_case, pidfd_case, tty_case, outer_tty_case, ns_case,
	lock_case, unknown_case;
