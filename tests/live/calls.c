// SPDX-License-Identifier: Apache-2.0
/*
 * One thread in each kind of blocking call that waits for time, events, futexes, signals or System
 * V objects. Nothing but the checkpoint happens to them: none may end early, with EINTR, or later
 * than its own time.
 */
#include "waiters.h"

#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#define FUTEX_LOCK_PI2_NR 13 /* its timeouts are of CLOCK_MONOTONIC */
#define SIGNAL_WAITED	  (SIGRTMIN + 5)
#define SIGNAL_HANDLED	  (SIGRTMIN + 7)

struct futex_vector {
	uint64_t val, uaddr;
	uint32_t flags, reserved;
};

struct message {
	long type;
	char text[8];
};

static void set_epoll(struct waiter *w)
{
	struct epoll_event ev = { .events = EPOLLIN };

	waiter_pipe(w);
	w->id = epoll_create1(0);
	CHECK(epoll_ctl(w->id, EPOLL_CTL_ADD, w->fd[0], &ev) == 0);
}

/* Sleeps */

static long call_nanosleep(struct waiter *w)
{
	return syscall(SYS_nanosleep, &w->timeout, NULL);
}

static long call_nanosleep_rem(struct waiter *w)
{
	struct timespec rem;

	return nanosleep(&w->timeout, &rem);
}

static long call_clock_nanosleep(struct waiter *w)
{
	return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &w->timeout, NULL);
}

static long call_clock_nanosleep_abs(struct waiter *w)
{
	struct timespec end = waiter_deadline(w, CLOCK_MONOTONIC);

	return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
}

/* Polls */

static long call_poll(struct waiter *w)
{
	return poll(&(struct pollfd){ w->fd[0], POLLIN, 0 }, 1, w->wake ? -1 : (int)w->ms);
}

static long call_ppoll(struct waiter *w)
{
	struct timespec t = w->timeout;
	sigset_t set;

	sigfillset(&set);
	return ppoll(&(struct pollfd){ w->fd[0], POLLIN, 0 }, 1, w->wake ? NULL : &t, &set);
}

static long call_select(struct waiter *w)
{
	struct timeval t = { w->ms / 1000, w->ms % 1000 * 1000 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(w->fd[0], &set);
	return select(w->fd[0] + 1, &set, NULL, NULL, w->wake ? NULL : &t);
}

static long call_pselect(struct waiter *w)
{
	struct timespec t = w->timeout;
	sigset_t full;
	fd_set set;

	sigfillset(&full);
	FD_ZERO(&set);
	FD_SET(w->fd[0], &set);
	return pselect(w->fd[0] + 1, &set, NULL, NULL, w->wake ? NULL : &t, &full);
}

static long call_epoll_wait(struct waiter *w)
{
	struct epoll_event ev;

	return epoll_wait(w->id, &ev, 1, w->wake ? -1 : (int)w->ms);
}

static long call_epoll_pwait(struct waiter *w)
{
	struct epoll_event ev;
	sigset_t set;

	sigfillset(&set);
	return epoll_pwait(w->id, &ev, 1, w->wake ? -1 : (int)w->ms, &set);
}

static long call_epoll_pwait2(struct waiter *w)
{
	struct epoll_event ev;

	return syscall(SYS_epoll_pwait2, w->id, &ev, 1, w->wake ? NULL : &w->timeout, NULL, 0);
}

/* Futexes */

static long call_futex(struct waiter *w)
{
	return syscall(SYS_futex, &w->futex, FUTEX_WAIT, 0, w->wake ? NULL : &w->timeout, NULL, 0);
}

static long call_futex_abs(struct waiter *w)
{
	struct timespec end = waiter_deadline(w, CLOCK_MONOTONIC);

	return syscall(SYS_futex, &w->futex, FUTEX_WAIT_BITSET, 0, &end, NULL, -1);
}

static long call_futex_waitv(struct waiter *w)
{
	struct timespec end = waiter_deadline(w, CLOCK_MONOTONIC);
	struct futex_vector v = { 0, (uintptr_t)&w->futex, 2 /* 32 bits */, 0 };

	return syscall(SYS_futex_waitv, &v, 1, 0, w->wake ? NULL : &end, CLOCK_MONOTONIC);
}

static void wake_futex(struct waiter *w)
{
	w->futex = 1;
	CHECK(syscall(SYS_futex, &w->futex, FUTEX_WAKE, 1, NULL, NULL, 0) == 1);
}

static void set_pi(struct waiter *w)
{
	w->futex = (unsigned)syscall(SYS_gettid);
}

static long call_pi(struct waiter *w)
{
	struct timespec end = waiter_deadline(w, CLOCK_MONOTONIC);

	return syscall(SYS_futex, &w->futex, FUTEX_LOCK_PI2_NR, 0, w->wake ? NULL : &end, NULL, 0);
}

static void wake_pi(struct waiter *w)
{
	CHECK(syscall(SYS_futex, &w->futex, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0) == 0);
}

/* Signals */

static void on_signal(int sig)
{
	(void)sig;
}

static void set_signal(struct waiter *w)
{
	struct sigaction sa = { .sa_handler = on_signal };

	(void)w;
	CHECK(sigaction(SIGNAL_HANDLED, &sa, NULL) == 0);
}

static void wake_signal(struct waiter *w)
{
	CHECK(syscall(SYS_tgkill, getpid(), w->tid, SIGNAL_HANDLED) == 0);
}

static void wake_waited(struct waiter *w)
{
	CHECK(syscall(SYS_tgkill, getpid(), w->tid, SIGNAL_WAITED) == 0);
}

/* Both end by EINTR when they should; before the verdict is asked for they should not. */
static long ended(long r, struct waiter *w)
{
	return r < 0 && errno == EINTR && subject_told() ? w->want : r;
}

static long call_pause(struct waiter *w)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGNAL_HANDLED);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	return ended(pause(), w);
}

static long call_sigsuspend(struct waiter *w)
{
	sigset_t set;

	sigfillset(&set);
	sigdelset(&set, SIGNAL_HANDLED);
	return ended(sigsuspend(&set), w);
}

static long call_sigtimedwait(struct waiter *w)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGNAL_WAITED);
	return sigtimedwait(&set, NULL, w->wake ? NULL : &w->timeout) > 0 ? 1 : -1;
}

/* System V */

static void set_sem(struct waiter *w)
{
	w->id = semget(IPC_PRIVATE, 1, 0600);
	CHECK(w->id >= 0);
}

static long call_semop(struct waiter *w)
{
	return semop(w->id, &(struct sembuf){ 0, -1, 0 }, 1);
}

static long call_semtimedop(struct waiter *w)
{
	return semtimedop(w->id, &(struct sembuf){ 0, -1, 0 }, 1, &w->timeout);
}

static void wake_sem(struct waiter *w)
{
	CHECK(semop(w->id, &(struct sembuf){ 0, 1, 0 }, 1) == 0);
}

static void set_msg(struct waiter *w)
{
	w->id = msgget(IPC_PRIVATE, 0600);
	CHECK(w->id >= 0);
}

static void set_full_msg(struct waiter *w)
{
	struct message m = { 1, "full" };

	set_msg(w);
	while (msgsnd(w->id, &m, sizeof(m.text), IPC_NOWAIT) == 0)
		;
}

static long call_msgrcv(struct waiter *w)
{
	struct message m;

	return msgrcv(w->id, &m, sizeof(m.text), 0, 0);
}

static long call_msgsnd(struct waiter *w)
{
	struct message m = { 1, "more" };

	return msgsnd(w->id, &m, sizeof(m.text), 0);
}

static void wake_msgrcv(struct waiter *w)
{
	struct message m = { 1, "woken" };

	CHECK(msgsnd(w->id, &m, sizeof(m.text), 0) == 0);
}

static void wake_msgsnd(struct waiter *w)
{
	struct message m;

	CHECK(msgrcv(w->id, &m, sizeof(m.text), 0, 0) == sizeof(m.text));
}

/* A child holds the lock until it is told. */
static struct waiter waiters[] = {
	TIMED("nanosleep", NULL, call_nanosleep, 0, 0, false),
	TIMED("nanosleep rem", NULL, call_nanosleep_rem, 0, 0, false),
	TIMED("clock_nanosleep", NULL, call_clock_nanosleep, 0, 0, false),
	TIMED("clock_nanosleep abs", NULL, call_clock_nanosleep_abs, 0, 0, false),
	WOKEN("poll", waiter_pipe, call_poll, waiter_write, 1),
	TIMED("poll timeout", waiter_pipe, call_poll, 0, 0, false),
	WOKEN("ppoll", waiter_pipe, call_ppoll, waiter_write, 1),
	TIMED("ppoll timeout", waiter_pipe, call_ppoll, 0, 0, false),
	WOKEN("select", waiter_pipe, call_select, waiter_write, 1),
	TIMED("select timeout", waiter_pipe, call_select, 0, 0, false),
	WOKEN("pselect", waiter_pipe, call_pselect, waiter_write, 1),
	TIMED("pselect timeout", waiter_pipe, call_pselect, 0, 0, false),
	WOKEN("epoll_wait", set_epoll, call_epoll_wait, waiter_write, 1),
	TIMED("epoll_wait timeout", set_epoll, call_epoll_wait, 0, 0, false),
	WOKEN("epoll_pwait", set_epoll, call_epoll_pwait, waiter_write, 1),
	TIMED("epoll_pwait timeout", set_epoll, call_epoll_pwait, 0, 0, false),
	WOKEN("epoll_pwait2", set_epoll, call_epoll_pwait2, waiter_write, 1),
	TIMED("epoll_pwait2 timeout", set_epoll, call_epoll_pwait2, 0, 0, false),
	WOKEN("futex", NULL, call_futex, wake_futex, 0),
	TIMED("futex timeout", NULL, call_futex, -1, ETIMEDOUT, false),
	TIMED("futex abs", NULL, call_futex_abs, -1, ETIMEDOUT, false),
	WOKEN("futex_waitv", NULL, call_futex_waitv, wake_futex, 0),
	TIMED("futex_waitv timeout", NULL, call_futex_waitv, -1, ETIMEDOUT, false),
	WOKEN("futex pi", set_pi, call_pi, wake_pi, 0),
	TIMED("futex pi timeout", set_pi, call_pi, -1, ETIMEDOUT, false),
	WOKEN("pause", set_signal, call_pause, wake_signal, 1),
	WOKEN("sigsuspend", set_signal, call_sigsuspend, wake_signal, 1),
	WOKEN("sigwait", NULL, call_sigtimedwait, wake_waited, 1),
	TIMED("sigtimedwait", NULL, call_sigtimedwait, -1, EAGAIN, false),
	WOKEN("semop", set_sem, call_semop, wake_sem, 0),
	TIMED("semtimedop", set_sem, call_semtimedop, -1, EAGAIN, false),
	WOKEN("msgrcv", set_msg, call_msgrcv, wake_msgrcv, 8),
	WOKEN("msgsnd", set_full_msg, call_msgsnd, wake_msgsnd, 0),
};

int main(int argc, char **argv)
{
	subject_init(argc, argv);
	waiters_run(waiters, sizeof(waiters) / sizeof(waiters[0]));
}
