/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pidfd: a task by descriptor, and its descriptors through it.
 */
#pragma once

#include <sys/types.h>

#include "base/error.h"

/* pidfd_open_process - a pidfd (O_CLOEXEC). The caller owns *ret_fd. -ESRCH: no such process. */
int pidfd_open_process(pid_t pid, int *ret_fd, struct error *err) _must_check_;

/* pidfd_take_fd - a duplicate (O_CLOEXEC) of descriptor fd of the process; the same open file. The
 * caller owns *ret_fd. -EBADF: not open there, -EPERM: may not ptrace it. */
int pidfd_take_fd(int pidfd, int fd, int *ret_fd, struct error *err) _must_check_;

/* pidfd_kill - send a signal. */
int pidfd_kill(int pidfd, int signo, struct error *err) _must_check_;

/* pidfd_dead - the process has ended (zombie or reaped). */
bool pidfd_dead(int pidfd);
