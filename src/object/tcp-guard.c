// SPDX-License-Identifier: Apache-2.0
/*
 * tcp-guard: the process that ends repair mode when amber cannot.
 *
 * The guard is a fork that shares our descriptor table (CLONE_FILES), so that it sees every
 * duplicate without being told; one shared page names the descriptor in danger. It must do nothing
 * but wait: what it holds open, our death must close, so it dies at once after us.
 */
#include "object/tcp-guard.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"

struct danger {
	int fd; /* in repair mode, -1 = none; set before the mode, cleared after it */
	int reuseaddr;
};

struct tcp_guard {
	volatile struct danger *danger; /* shared with the guard */
	int self;			/* pidfd of amber, which the guard waits on */
	pid_t pid;
};

static void repair_off(int fd, int reuseaddr)
{
	int value = TCP_REPAIR_OFF_NO_WP;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &value, sizeof(value));
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuseaddr, sizeof(reuseaddr));
}

/* The guard's whole life. self is a pidfd of amber. */
static _Noreturn void guard_main(volatile struct danger *danger, int self)
{
	struct pollfd death = { .fd = self, .events = POLLIN };
	sigset_t all;

	/* Signals for amber's process group are not for the guard. */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	(void)setsid();
	(void)prctl(PR_SET_NAME, "amber-guard");

	while (poll(&death, 1, -1) < 0 && errno == EINTR)
		;
	if (danger->fd >= 0)
		repair_off(danger->fd, danger->reuseaddr);
	_exit(0);
}

int tcp_guard_new(struct tcp_guard **ret, struct error *err)
{
	struct tcp_guard *guard;
	void *page;
	long pid;

	guard = calloc(1, sizeof(*guard));
	if (!guard)
		return error_nomem(err);
	page = mmap(NULL, sizeof(struct danger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		    -1, 0);
	if (page == MAP_FAILED) {
		free(guard);
		return error_nomem(err);
	}
	guard->danger = page;
	guard->danger->fd = -1;

	guard->self = syscall(SYS_pidfd_open, getpid(), 0);
	if (guard->self < 0) {
		int r = error_errno(err, errno, "cannot open a pidfd of ourselves");

		tcp_guard_free(guard);
		return r;
	}
	/* fork() has no way to share descriptors. The child only makes system calls. */
	pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid < 0) {
		int r = error_errno(err, errno, "cannot fork the guard of TCP connections");

		tcp_guard_free(guard);
		return r;
	}
	if (pid == 0)
		guard_main(guard->danger, guard->self);
	guard->pid = pid;
	*ret = guard;
	return 0;
}

void tcp_guard_free(struct tcp_guard *guard)
{
	if (!guard)
		return;
	if (guard->pid > 0) {
		(void)kill(guard->pid, SIGKILL);
		while (waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (guard->self >= 0)
		close(guard->self);
	(void)munmap((void *)guard->danger, sizeof(struct danger));
	free(guard);
}

int tcp_repair_begin(struct tcp_guard *guard, int fd)
{
	int value = 0, r;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, &len) < 0)
		return -errno;
	guard->danger->reuseaddr = value;
	guard->danger->fd = fd;
	value = TCP_REPAIR_ON;
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &value, sizeof(value)) < 0) {
		r = -errno;
		guard->danger->fd = -1;
		return r;
	}
	return 0;
}

void tcp_repair_end(struct tcp_guard *guard)
{
	repair_off(guard->danger->fd, guard->danger->reuseaddr);
	guard->danger->fd = -1;
}
