// SPDX-License-Identifier: Apache-2.0
/*
 * pidfd: a task by descriptor. Never keeps one longer than its caller wants it.
 */
#include "kernel/pidfd.h"

#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

int pidfd_open_process(pid_t pid, int *ret_fd, struct error *err)
{
	int fd = syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		return error_errno(err, errno, "cannot open a pidfd of process %d", pid);
	*ret_fd = fd;
	return 0;
}

int pidfd_take_fd(int pidfd, int fd, int *ret_fd, struct error *err)
{
	int taken = syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	if (taken < 0)
		return error_errno(err, errno, "cannot take descriptor %d of a process", fd);
	*ret_fd = taken;
	return 0;
}

int pidfd_kill(int pidfd, int signo, struct error *err)
{
	if (syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0) < 0)
		return error_errno(err, errno, "cannot send signal %d", signo);
	return 0;
}

bool pidfd_dead(int pidfd)
{
	struct pollfd poller = { .fd = pidfd, .events = POLLIN };

	return poll(&poller, 1, 0) > 0;
}
