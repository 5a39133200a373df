/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kcmp: are two things of two tasks the same object in the kernel?
 *
 * The order kcmp() returns is total for one boot, so objects can be kept sorted.
 */
#pragma once

#include <sys/types.h>

#include "base/error.h"

enum kcmp_what {
	KCMP_OF_VM,
	KCMP_OF_FILES,
	KCMP_OF_FS,
	KCMP_OF_SIGHAND,
	KCMP_OF_IO,
	KCMP_OF_SYSVSEM
};

/* kcmp_task - compare a part of two tasks. *ret: 0 same, 1 and 2 less and greater, 3 unordered. */
int kcmp_task(pid_t a, pid_t b, enum kcmp_what what, int *ret, struct error *err) _must_check_;

/* kcmp_file - compare the open files behind two descriptors, in the same way. */
int kcmp_file(pid_t a, int fd_a, pid_t b, int fd_b, int *ret, struct error *err) _must_check_;

/*
 * kcmp_epoll - compare the open file fd of task a with what the epoll epfd of task b watches under
 * the number tfd. @toff: which, when several files are watched under this number. -ENOENT: no such.
 */
int kcmp_epoll(pid_t a, int fd, pid_t b, int epfd, int tfd, unsigned int toff, int *ret,
	       struct error *err) _must_check_;

/* kcmp_order - -1, 0, 1 for sorting, from the value that the others return. */
int kcmp_order(int value);
