// SPDX-License-Identifier: Apache-2.0
/*
 * One thread in each kind of blocking call that waits for a descriptor, a child or a lock. Nothing
 * but the checkpoint happens to them: none may end early, with EINTR, or later than its own time.
 */
#include "waiters.h"

#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#define SIGNAL_READ (SIGRTMIN + 6)

/* Descriptors on which nothing happens until wake. */

static void set_pair(struct waiter *w)
{
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, w->fd) == 0);
}

static void set_timed_pair(struct waiter *w)
{
	struct timeval limit = { w->ms / 1000, w->ms % 1000 * 1000 };

	set_pair(w);
	CHECK(setsockopt(w->fd[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
}

static void set_eventfd(struct waiter *w)
{
	w->fd[0] = w->fd[1] = eventfd(0, 0);
	CHECK(w->fd[0] >= 0);
}

static void set_tty(struct waiter *w)
{
	w->fd[1] = posix_openpt(O_RDWR | O_NOCTTY);
	CHECK(w->fd[1] >= 0 && unlockpt(w->fd[1]) == 0);
	w->fd[0] = open(ptsname(w->fd[1]), O_RDWR | O_NOCTTY);
	CHECK(w->fd[0] >= 0);
}

static void set_fifo(struct waiter *w)
{
	char *path = subject_path("fifo");

	CHECK(mkfifo(path, 0600) == 0);
	w->fd[0] = open(path, O_RDWR);
	w->fd[1] = open(path, O_WRONLY);
	CHECK(w->fd[0] >= 0 && w->fd[1] >= 0);
}

static void set_inotify(struct waiter *w)
{
	char *path = subject_path("watched");

	w->fd[1] = open(path, O_RDWR | O_CREAT, 0600);
	w->fd[0] = inotify_init();
	CHECK(w->fd[1] >= 0 && inotify_add_watch(w->fd[0], path, IN_MODIFY) >= 0);
}

static void set_signalfd(struct waiter *w)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGNAL_READ);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	w->fd[0] = signalfd(-1, &set, 0);
	CHECK(w->fd[0] >= 0);
}

static void set_timerfd(struct waiter *w)
{
	struct itimerspec far = { .it_value.tv_sec = 100000 };

	w->fd[0] = timerfd_create(CLOCK_MONOTONIC, 0);
	CHECK(w->fd[0] >= 0 && timerfd_settime(w->fd[0], 0, &far, NULL) == 0);
}

static void set_listener(struct waiter *w)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "amber-calls-%d-%s", getpid(),
		 w->name);
	w->fd[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(bind(w->fd[0], (void *)&addr, sizeof(addr)) == 0 && listen(w->fd[0], 4) == 0);
}

static void set_timed_listener(struct waiter *w)
{
	struct timeval limit = { w->ms / 1000, w->ms % 1000 * 1000 };

	set_listener(w);
	CHECK(setsockopt(w->fd[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
}

static void set_full_pipe(struct waiter *w)
{
	static char page[4096];

	CHECK(pipe2(w->fd, O_NONBLOCK) == 0);
	while (write(w->fd[1], page, sizeof(page)) > 0)
		;
	CHECK(fcntl(w->fd[1], F_SETFL, 0) == 0);
}

static void wake_line(struct waiter *w)
{
	CHECK(write(w->fd[1], "x\n", 2) == 2);
}

static void wake_drain(struct waiter *w)
{
	static char page[4096];

	while (read(w->fd[0], page, sizeof(page)) > 0)
		;
}

static void wake_timerfd(struct waiter *w)
{
	struct itimerspec soon = { .it_value.tv_nsec = 1 };

	CHECK(timerfd_settime(w->fd[0], 0, &soon, NULL) == 0);
}

static void wake_signalfd(struct waiter *w)
{
	(void)w;
	CHECK(kill(getpid(), SIGNAL_READ) == 0);
}

static void wake_connect(struct waiter *w)
{
	struct sockaddr_un addr;
	socklen_t len = sizeof(addr);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK(getsockname(w->fd[0], (void *)&addr, &len) == 0);
	CHECK(connect(fd, (void *)&addr, len) == 0);
}

static long call_read(struct waiter *w)
{
	char buf[512];

	ssize_t r = read(w->fd[0], buf, sizeof(buf));

	return r > 0 ? 1 : r;
}

static long call_write(struct waiter *w)
{
	return write(w->fd[1], "x", 1);
}

static long call_recv(struct waiter *w)
{
	char buf[8];

	return recv(w->fd[0], buf, sizeof(buf), 0);
}

static long call_recvmsg(struct waiter *w)
{
	char buf[8];
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return recvmsg(w->fd[0], &msg, 0);
}

static long call_accept(struct waiter *w)
{
	int fd = accept(w->fd[0], NULL, NULL);

	return fd < 0 ? -1 : 0;
}

/* Children and locks */

static void set_child(struct waiter *w)
{
	CHECK(pipe(w->fd) == 0);
	w->child = fork();
	CHECK(w->child >= 0);
	if (!w->child) {
		char c;

		close(w->fd[1]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(read(w->fd[0], &c, 1) == 1 ? 0 : 1);
	}
}

static long call_wait4(struct waiter *w)
{
	return waitpid(w->child, NULL, 0) == w->child;
}

static long call_waitid(struct waiter *w)
{
	siginfo_t info;

	return waitid(P_PID, (id_t)w->child, &info, WEXITED);
}

static void set_flock(struct waiter *w)
{
	char *path = subject_path("flock");

	w->fd[0] = open(path, O_RDWR | O_CREAT, 0600);
	w->fd[1] = open(path, O_RDWR);
	CHECK(w->fd[0] >= 0 && w->fd[1] >= 0 && flock(w->fd[1], LOCK_EX) == 0);
}

static long call_flock(struct waiter *w)
{
	return flock(w->fd[0], LOCK_EX);
}

static void wake_flock(struct waiter *w)
{
	CHECK(flock(w->fd[1], LOCK_UN) == 0);
}

static void set_ofd_lock(struct waiter *w)
{
	struct flock lock = { .l_type = F_WRLCK };
	char *path = subject_path("ofd");

	w->fd[0] = open(path, O_RDWR | O_CREAT, 0600);
	w->fd[1] = open(path, O_RDWR);
	CHECK(w->fd[0] >= 0 && w->fd[1] >= 0 && fcntl(w->fd[1], F_OFD_SETLK, &lock) == 0);
}

static long call_ofd_lock(struct waiter *w)
{
	struct flock lock = { .l_type = F_WRLCK };

	return fcntl(w->fd[0], F_OFD_SETLKW, &lock);
}

static void wake_ofd_lock(struct waiter *w)
{
	struct flock lock = { .l_type = F_UNLCK };

	CHECK(fcntl(w->fd[1], F_OFD_SETLK, &lock) == 0);
}

static void set_posix_lock(struct waiter *w)
{
	struct flock lock = { .l_type = F_WRLCK };
	char *path = subject_path("posix");
	int held[2];
	char c = 'x';

	w->id = open(path, O_RDWR | O_CREAT, 0600);
	CHECK(w->id >= 0 && pipe(held) == 0 && pipe(w->fd) == 0);
	w->child = fork();
	CHECK(w->child >= 0);
	if (!w->child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (fcntl(w->id, F_SETLK, &lock) || write(held[1], &c, 1) != 1)
			_exit(1);
		_exit(read(w->fd[0], &c, 1) == 1 ? 0 : 1);
	}
	CHECK(read(held[0], &c, 1) == 1);
	close(held[0]);
	close(held[1]);
}

static long call_posix_lock(struct waiter *w)
{
	struct flock lock = { .l_type = F_WRLCK };

	return fcntl(w->id, F_SETLKW, &lock);
}

static struct waiter waiters[] = {
	WOKEN("read pipe", waiter_pipe, call_read, waiter_write, 1),
	WOKEN("write pipe", set_full_pipe, call_write, wake_drain, 1),
	WOKEN("read fifo", set_fifo, call_read, waiter_write, 1),
	WOKEN("read tty", set_tty, call_read, wake_line, 1),
	WOKEN("read eventfd", set_eventfd, call_read, waiter_write, 1),
	WOKEN("read signalfd", set_signalfd, call_read, wake_signalfd, 1),
	WOKEN("read timerfd", set_timerfd, call_read, wake_timerfd, 1),
	WOKEN("read inotify", set_inotify, call_read, waiter_write, 1),
	WOKEN("recv", set_pair, call_recv, waiter_write, 8),
	TIMED("recv timeout", set_timed_pair, call_recv, -1, EAGAIN, true),
	TIMED("recvmsg timeout", set_timed_pair, call_recvmsg, -1, EAGAIN, true),
	TIMED("read socket timeout", set_timed_pair, call_read, -1, EAGAIN, true),
	WOKEN("accept", set_listener, call_accept, wake_connect, 0),
	TIMED("accept timeout", set_timed_listener, call_accept, -1, EAGAIN, true),
	WOKEN("wait4", set_child, call_wait4, waiter_write, 1),
	WOKEN("waitid", set_child, call_waitid, waiter_write, 0),
	WOKEN("flock", set_flock, call_flock, wake_flock, 0),
	WOKEN("ofd lock", set_ofd_lock, call_ofd_lock, wake_ofd_lock, 0),
	WOKEN("posix lock", set_posix_lock, call_posix_lock, waiter_write, 0),
};

int main(int argc, char **argv)
{
	subject_init(argc, argv);
	waiters_run(waiters, sizeof(waiters) / sizeof(waiters[0]));
}
