// SPDX-License-Identifier: Apache-2.0
/*
 * kcmp: are two things of two tasks the same object? Never guesses when the kernel will not say.
 */
#include "kernel/kcmp.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

static long call(pid_t a, pid_t b, int type, unsigned long x, unsigned long y)
{
	return syscall(SYS_kcmp, a, b, type, x, y);
}

int kcmp_task(pid_t a, pid_t b, enum kcmp_what what, int *ret, struct error *err)
{
	static const int types[] = {
		[KCMP_OF_VM] = KCMP_VM, [KCMP_OF_FILES] = KCMP_FILES,
		[KCMP_OF_FS] = KCMP_FS, [KCMP_OF_SIGHAND] = KCMP_SIGHAND,
		[KCMP_OF_IO] = KCMP_IO, [KCMP_OF_SYSVSEM] = KCMP_SYSVSEM,
	};
	long value = call(a, b, types[what], 0, 0);

	if (value < 0)
		return error_errno(err, errno, "cannot compare tasks %d and %d", a, b);
	*ret = (int)value;
	return 0;
}

int kcmp_file(pid_t a, int fd_a, pid_t b, int fd_b, int *ret, struct error *err)
{
	long value = call(a, b, KCMP_FILE, fd_a, fd_b);

	if (value < 0)
		return error_errno(err, errno, "cannot compare descriptor %d of %d with %d of %d",
				   fd_a, a, fd_b, b);
	*ret = (int)value;
	return 0;
}

int kcmp_epoll(pid_t a, int fd, pid_t b, int epfd, int tfd, unsigned int toff, int *ret,
	       struct error *err)
{
	const struct kcmp_epoll_slot slot = { .efd = epfd, .tfd = tfd, .toff = toff };
	long value = call(a, b, KCMP_EPOLL_TFD, fd, (unsigned long)&slot);

	if (value < 0)
		return error_errno(
			err, errno,
			"cannot compare descriptor %d of %d with target %d of epoll %d of %d", fd,
			a, tfd, epfd, b);
	*ret = (int)value;
	return 0;
}

int kcmp_order(int value)
{
	return value == 0 ? 0 : value == 1 ? -1 : 1;
}
