// SPDX-License-Identifier: Apache-2.0
/*
 * restart: see restart.h.
 *
 * What is not in the table keeps its EINTR. Making a call again is right only where EINTR means
 * that nothing has happened: close(), for one, has closed. What is left of a timeout is timeout.h's
 * matter; where that is unknown it starts afresh: the call may end later, never earlier.
 */
#include "task/restart.h"

#include <errno.h>
#include <sys/syscall.h>

#include "task/arch.h"

struct row {
	long nr;
	const char *why;
};

static const char why_epoll[] = "epoll returns EINTR after any wake-up without an event";
static const char why_semop[] = "semop returns EINTR after any wake-up; nothing was changed";
static const char why_aio[] = "waiting for completions returns EINTR; none was taken";
static const char why_sock[] = "a socket with SO_RCVTIMEO or SO_SNDTIMEO returns EINTR instead of "
			       "restarting; nothing was transferred";

static const struct row rows[] = {
#ifdef SYS_epoll_wait
	{ SYS_epoll_wait, why_epoll },
#endif
	{ SYS_epoll_pwait, why_epoll },
#ifdef SYS_epoll_pwait2
	{ SYS_epoll_pwait2, why_epoll },
#endif
	{ SYS_rt_sigtimedwait, "sigtimedwait returns EINTR when woken without one of its signals" },
	{ SYS_semop, why_semop },
	{ SYS_semtimedop, why_semop },
	{ SYS_io_getevents, why_aio },
#ifdef SYS_io_pgetevents
	{ SYS_io_pgetevents, why_aio },
#endif
#ifdef SYS_io_uring_enter
	{ SYS_io_uring_enter, why_aio }, /* with entries submitted it returns their number */
#endif
	{ SYS_read, why_sock },
	{ SYS_readv, why_sock },
	{ SYS_preadv2, why_sock },
	{ SYS_splice, why_sock },
	{ SYS_recvfrom, why_sock },
	{ SYS_recvmsg, why_sock },
	{ SYS_recvmmsg, why_sock },
	{ SYS_write, why_sock },
	{ SYS_writev, why_sock },
	{ SYS_pwritev2, why_sock },
	{ SYS_sendto, why_sock },
	{ SYS_sendmsg, why_sock },
	{ SYS_sendmmsg, why_sock },
	{ SYS_sendfile, why_sock },
	{ SYS_accept, why_sock },
	{ SYS_accept4, why_sock },
	{ SYS_connect,
	  "as the other socket calls; a second connect() waits for the first one's end" },
};

const char *restart_why(long nr)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].nr == nr)
			return rows[i].why;
	return NULL;
}

bool restart_spurious(const struct user_regs_struct *regs)
{
	long nr = -1;

	return arch_interrupted(regs, &nr) == -EINTR && restart_why(nr);
}
