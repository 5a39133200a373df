// SPDX-License-Identifier: Apache-2.0
/*
 * blocked: a table of calls. Those without a timeout must never return at all; those with one must
 * return when it is over and say so.
 *
 * No signal ever comes to these threads: every EINTR is somebody else's doing.
 */
#include "blocked.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_MS 60

struct waiter {
	const struct call *call;
	struct blocked_count *count;
	const atomic_int *window;
	int fd; /* made by the thread, for the call */
	uint32_t word;
};

/* A call returns 0 when it ended as it has to after its timeout, otherwise an errno. */
struct call {
	const char *name;
	int (*prepare)(void); /* returns waiter.fd */
	int (*run)(struct waiter *w);
	int timeout_ms;
};

static struct timespec span(int ms)
{
	if (ms == 0)
		return (struct timespec){ .tv_sec = 1000000 };
	return (struct timespec){ .tv_nsec = ms * 1000000L };
}

static int is(int result, int expected)
{
	return result < 0 && errno == expected ? 0 : result < 0 ? errno : ENOMSG;
}

static int run_nanosleep(struct waiter *w)
{
	struct timespec t = span(w->call->timeout_ms);

	return nanosleep(&t, NULL) < 0 ? errno : 0;
}

static int run_clock_nanosleep(struct waiter *w)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += w->call->timeout_ms * 1000000L;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static int prepare_eventfd(void)
{
	return eventfd(0, EFD_CLOEXEC);
}

static int run_poll(struct waiter *w)
{
	struct pollfd p = { .fd = w->fd, .events = POLLIN };
	int r = poll(&p, 1, w->call->timeout_ms ? w->call->timeout_ms : -1);

	return r < 0 ? errno : r == 0 ? 0 : ENOMSG;
}

static int run_select(struct waiter *w)
{
	struct timeval t = { .tv_usec = w->call->timeout_ms * 1000 };
	fd_set set;
	int r;

	FD_ZERO(&set);
	FD_SET(w->fd, &set);
	r = select(w->fd + 1, &set, NULL, NULL, w->call->timeout_ms ? &t : NULL);
	return r < 0 ? errno : r == 0 ? 0 : ENOMSG;
}

static int prepare_epoll(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd = epoll_create1(EPOLL_CLOEXEC);

	epoll_ctl(fd, EPOLL_CTL_ADD, prepare_eventfd(), &event);
	return fd;
}

static int run_epoll(struct waiter *w)
{
	struct epoll_event event;
	int r = epoll_wait(w->fd, &event, 1, w->call->timeout_ms ? w->call->timeout_ms : -1);

	return r < 0 ? errno : r == 0 ? 0 : ENOMSG;
}

static int run_futex(struct waiter *w)
{
	struct timespec t = span(w->call->timeout_ms);

	return is(syscall(SYS_futex, &w->word, FUTEX_WAIT, 0, w->call->timeout_ms ? &t : NULL, NULL,
			  0),
		  ETIMEDOUT);
}

static int run_sigwait(struct waiter *w)
{
	struct timespec t = span(w->call->timeout_ms);
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMAX);
	return is(sigtimedwait(&set, NULL, w->call->timeout_ms ? &t : NULL), EAGAIN);
}

static int prepare_sem(void)
{
	return semget(IPC_PRIVATE, 1, 0600);
}

static int run_sem(struct waiter *w)
{
	struct timespec t = span(w->call->timeout_ms);
	struct sembuf op = { .sem_op = -1 };

	return is(semtimedop(w->fd, &op, 1, w->call->timeout_ms ? &t : NULL), EAGAIN);
}

static int prepare_msg(void)
{
	return msgget(IPC_PRIVATE, 0600);
}

static int run_msg(struct waiter *w)
{
	struct {
		long type;
		char text[8];
	} message;

	return is(msgrcv(w->fd, &message, sizeof(message.text), 0, 0), 0);
}

static int prepare_pipe(void)
{
	int ends[2];

	return pipe(ends) == 0 ? ends[0] : -1;
}

static int prepare_inotify(void)
{
	int fd = inotify_init1(IN_CLOEXEC);

	inotify_add_watch(fd, "/tmp", IN_MOVED_FROM); /* never happens */
	return fd;
}

static int run_read(struct waiter *w)
{
	char byte[512];

	return is(read(w->fd, byte, sizeof(byte)), 0);
}

static int prepare_socket(void)
{
	struct timeval t = { .tv_usec = TIMEOUT_MS * 1000 };
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		return -1;
	setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	return ends[0];
}

static int run_recv(struct waiter *w)
{
	char byte;

	return is(recv(w->fd, &byte, 1, 0), EAGAIN);
}

static int prepare_listen(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return listen(fd, 1) == 0 ? fd : -1;
}

static int run_accept(struct waiter *w)
{
	return is(accept(w->fd, NULL, NULL), 0);
}

static int run_pause(struct waiter *w)
{
	(void)w;
	return is(pause(), 0);
}

static const struct call calls[] = {
	{ "nanosleep", NULL, run_nanosleep, 0 },
	{ "poll", prepare_eventfd, run_poll, 0 },
	{ "select", prepare_eventfd, run_select, 0 },
	{ "epoll_wait", prepare_epoll, run_epoll, 0 },
	{ "futex", NULL, run_futex, 0 },
	{ "sigwaitinfo", NULL, run_sigwait, 0 },
	{ "semop", prepare_sem, run_sem, 0 },
	{ "msgrcv", prepare_msg, run_msg, 0 },
	{ "read-pipe", prepare_pipe, run_read, 0 },
	{ "read-inotify", prepare_inotify, run_read, 0 },
	{ "accept", prepare_listen, run_accept, 0 },
	{ "pause", NULL, run_pause, 0 },
	{ "nanosleep-t", NULL, run_nanosleep, TIMEOUT_MS },
	{ "clock_nanosleep-t", NULL, run_clock_nanosleep, TIMEOUT_MS },
	{ "poll-t", prepare_eventfd, run_poll, TIMEOUT_MS },
	{ "select-t", prepare_eventfd, run_select, TIMEOUT_MS },
	{ "epoll_wait-t", prepare_epoll, run_epoll, TIMEOUT_MS },
	{ "futex-t", NULL, run_futex, TIMEOUT_MS },
	{ "sigtimedwait-t", NULL, run_sigwait, TIMEOUT_MS },
	{ "semtimedop-t", prepare_sem, run_sem, TIMEOUT_MS },
	{ "recv-t", prepare_socket, run_recv, TIMEOUT_MS },
};

static long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void *wait_on(void *arg)
{
	struct waiter *w = arg;
	struct blocked_count *count = w->count;
	long start, took, late;
	char name[16];
	int r, window;

	snprintf(name, sizeof(name), "%s", w->call->name);
	prctl(PR_SET_NAME, name);
	w->fd = w->call->prepare ? w->call->prepare() : -1;
	for (;;) {
		start = now_us();
		r = w->call->run(w);
		took = now_us() - start;
		window = atomic_load(w->window);
		atomic_fetch_add(&count->rounds[window], 1);
		if (r != 0 || count->timeout_ms == 0) {
			atomic_fetch_add(&count->ended[window], 1);
			atomic_store(&count->error, r);
		}
		if (count->timeout_ms == 0)
			continue;
		/* poll and friends count in milliseconds of a clock that may be a tick behind */
		late = took - count->timeout_ms * 1000L;
		if (late < -1000)
			atomic_fetch_add(&count->early[window], 1);
		if (late > atomic_load(&count->late_us[window]))
			atomic_store(&count->late_us[window], late);
	}
	return NULL;
}

int blocked_start(struct blocked_count *counts, const atomic_int *window)
{
	const int n = sizeof(calls) / sizeof(calls[0]);
	struct waiter *waiters = calloc(n, sizeof(*waiters));
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int i;

	_Static_assert(sizeof(calls) / sizeof(calls[0]) <= BLOCKED_MAX, "BLOCKED_MAX");
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 << 10);
	for (i = 0; i < n && waiters; i++) {
		waiters[i] = (struct waiter){ &calls[i], &counts[i], window, -1, 0 };
		snprintf(counts[i].name, sizeof(counts[i].name), "%s", calls[i].name);
		counts[i].timeout_ms = calls[i].timeout_ms;
		if (pthread_create(&thread, &attr, wait_on, &waiters[i]) != 0)
			abort();
	}
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return n;
}
