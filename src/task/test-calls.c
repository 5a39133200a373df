// SPDX-License-Identifier: Apache-2.0
/*
 * test-calls: system calls in which victims wait while they are stopped, run scripts and go on:
 * none may end early or with EINTR, all must end in time, and a real signal must interrupt those it
 * interrupts.
 */
#include <errno.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "kernel/proc-stat.h"
#include "kernel/proc.h"
#include "task/victim.h"

#include <cmocka.h>

#define WAIT_MS 700
#define LATE_MS 400 /* a busy machine */

static struct op test_op;

struct waiting {
	const char *name;
	long (*wait)(void);
	long result;
	int errnum;
	bool restarts_afresh; /* its timeout counts from the last resume: it may end that much later
			       */
};

static struct timespec timeout(void)
{
	return (struct timespec){ .tv_nsec = WAIT_MS * 1000000L };
}

static long do_nanosleep(void)
{
	struct timespec t = timeout();

	return nanosleep(&t, NULL);
}

static long do_absolute(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += WAIT_MS * 1000000L;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
	return errno ? -1 : 0;
}

static int silent_pipe(void)
{
	int fds[2];

	return pipe(fds) ? -1 : fds[0];
}

static long do_poll(void)
{
	return poll(&(struct pollfd){ .fd = silent_pipe(), .events = POLLIN }, 1, WAIT_MS);
}

static long do_ppoll(void)
{
	struct timespec t = timeout();
	sigset_t set;

	sigfillset(&set);
	return ppoll(&(struct pollfd){ .fd = silent_pipe(), .events = POLLIN }, 1, &t, &set);
}

static long do_select(void)
{
	struct timeval t = { .tv_usec = WAIT_MS * 1000L };

	return select(0, NULL, NULL, NULL, &t);
}

static long do_futex(void)
{
	struct timespec t = timeout();
	static uint32_t word;

	return syscall(SYS_futex, &word, FUTEX_WAIT, 0, &t, NULL, 0);
}

static long do_sigtimedwait(void)
{
	struct timespec t = timeout();
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return sigtimedwait(&set, NULL, &t);
}

static long do_epoll(void)
{
	struct epoll_event event;

	return epoll_wait(epoll_create1(0), &event, 1, WAIT_MS);
}

static long do_epoll_pwait2(void)
{
	struct timespec t = timeout();
	struct epoll_event event;

	return syscall(SYS_epoll_pwait2, epoll_create1(0), &event, 1, &t, NULL, 0);
}

static long do_semtimedop(void)
{
	struct timespec t = timeout();
	struct sembuf sem = { .sem_op = -1 };
	int id = semget(IPC_PRIVATE, 1, 0600), errnum;
	long r = semtimedop(id, &sem, 1, &t);

	errnum = errno;
	semctl(id, 0, IPC_RMID);
	errno = errnum;
	return r;
}

static long do_recv(void)
{
	struct timeval t = { .tv_usec = WAIT_MS * 1000L };
	int fds[2];
	char c;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return -1;
	setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	return recv(fds[0], &c, 1, 0);
}

static long do_accept(void)
{
	struct timeval t = { .tv_usec = WAIT_MS * 1000L };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (listen(fd, 1))
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	return accept(fd, NULL, NULL);
}

/* These have no timeout: a child of the victim ends them. */
static pid_t later(int fd)
{
	pid_t pid = fork();

	if (!pid) {
		struct timespec t = timeout();

		nanosleep(&t, NULL);
		if (fd >= 0 && write(fd, "x", 1) != 1)
			_exit(1);
		_exit(0);
	}
	return pid;
}

static long do_read(void)
{
	int fds[2];
	char c;

	if (pipe(fds) || later(fds[1]) < 0)
		return -1;
	return read(fds[0], &c, 1);
}

static long do_wait(void)
{
	pid_t pid = later(-1);

	return waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

static const struct waiting waits[] = {
	{ "nanosleep", do_nanosleep },
	{ "clock_nanosleep", do_absolute },
	{ "poll", do_poll },
	{ "ppoll", do_ppoll },
	{ "select", do_select },
	{ "futex", do_futex, -1, ETIMEDOUT },
	{ "sigtimedwait", do_sigtimedwait, -1, EAGAIN },
	{ "epoll_wait", do_epoll },
	{ "epoll_pwait2", do_epoll_pwait2 },
	{ "semtimedop", do_semtimedop, -1, EAGAIN },
	{ "recv", do_recv, -1, EAGAIN, true },
	{ "accept", do_accept, -1, EAGAIN, true },
	{ "read", do_read, 1 },
	{ "waitpid", do_wait },
};

static void waiter(struct victim_page *page, void *arg)
{
	const struct waiting *w = arg;
	uint64_t begin = clock_ns();

	page->ready = 1;
	errno = 0;
	page->result = w->wait();
	page->errnum = page->result < 0 ? errno : 0;
	page->took_ns = clock_ns() - begin;
	page->progress = 1;
	for (;;)
		pause();
}

static void check(const struct waiting *w, const struct victim_page *page, uint64_t last_resume_ms)
{
	uint64_t took = page->took_ns / 1000000;
	uint64_t latest = WAIT_MS + LATE_MS + (w->restarts_afresh ? last_resume_ms : 0);

	if (page->result != w->result || page->errnum != w->errnum)
		fail_msg("%s: result %ld, errno %ld", w->name, page->result, page->errnum);
	if (took + 2 < WAIT_MS || took > latest)
		fail_msg("%s took %llu ms, not %d", w->name, (unsigned long long)took, WAIT_MS);
}

static void calls_end_in_time(void **state)
{
	struct victim v[ARRAY_SIZE(waits)];
	uint64_t begin = clock_ns(), last = 0;
	struct task_tree tree;
	struct task *task;

	for (size_t i = 0; i < ARRAY_SIZE(waits); i++)
		victim_start(&v[i], waiter, (void *)&waits[i]);
	srand(2);
	for (int i = 0; i < 5; i++) {
		usleep(20000 + (unsigned)rand() % 60000);
		victim_stop(&test_op, v, ARRAY_SIZE(waits), &tree);
		/* The stop alone must be right, too. */
		if (i != 2)
			foreach_task (task, &tree)
				if (task->state != TASK_ZOMBIE) /* its wait is over */
					victim_script(&test_op, &tree, task);
		victim_resume(&tree);
		last = (clock_ns() - begin) / 1000000;
	}
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++)
		assert_true(v[i].page->progress || victim_moves(&v[i]));
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		check(&waits[i], v[i].page, last);
		victim_end(&v[i]);
	}
}

static atomic_ulong *handled;

static void on_signal(int signal)
{
	(*handled)++;
}

static long do_pause(void)
{
	return pause();
}

static long do_long_epoll(void)
{
	struct epoll_event event;

	return epoll_wait(epoll_create1(0), &event, 1, 60000);
}

static long do_long_poll(void)
{
	return poll(NULL, 0, 60000);
}

static long do_sigsuspend(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigemptyset(&set);
	return sigsuspend(&set);
}

static long do_long_epoll_pwait2(void)
{
	struct timespec t = { .tv_sec = 60 };
	struct epoll_event event;

	return syscall(SYS_epoll_pwait2, epoll_create1(0), &event, 1, &t, NULL, 0);
}

static long do_long_nanosleep(void)
{
	struct timespec t = { .tv_sec = 60 };

	return nanosleep(&t, NULL);
}

static const struct waiting interruptible[] = {
	{ "epoll_pwait2", do_long_epoll_pwait2, -1, EINTR },
	{ "nanosleep", do_long_nanosleep, -1, EINTR },
	{ "pause", do_pause, -1, EINTR },
	{ "epoll_wait", do_long_epoll, -1, EINTR },
	{ "poll", do_long_poll, -1, EINTR },
	{ "sigsuspend", do_sigsuspend, -1, EINTR },
};

static void interrupted(struct victim_page *page, void *arg)
{
	struct sigaction action = { .sa_handler = on_signal };

	handled = &page->signals;
	sigaction(SIGUSR1, &action, NULL);
	waiter(page, arg);
}

/* Until it is back in its call: a signal that comes on the way there only runs its handler, as
 * docs/TRACES.md says. */
static void wait_asleep(pid_t pid)
{
	_cleanup_close_ int fd = -1;
	struct proc_stat stat = { .state = '?' };

	assert_int_equal(proc_open(pid, &fd, NULL), 0);
	for (int i = 0; i < 2000 && stat.state != 'S'; i++) {
		usleep(1000);
		assert_int_equal(proc_stat_read(fd, &stat, NULL), 0);
	}
}

/* @when: 0 while it is stopped, 1 during a session, 2 shortly before the stop, 3 afterwards */
static void signals_interrupt(int when)
{
	struct victim v[ARRAY_SIZE(interruptible)];
	struct error err = ERROR_INIT;
	struct task_tree tree;

	for (size_t i = 0; i < ARRAY_SIZE(interruptible); i++)
		victim_start(&v[i], interrupted, (void *)&interruptible[i]);
	usleep(30000);
	for (size_t i = 0; when == 2 && i < ARRAY_SIZE(interruptible); i++)
		kill(v[i].pid, SIGUSR1);
	victim_stop(&test_op, v, ARRAY_SIZE(interruptible), &tree);
	for (size_t i = 0; i < ARRAY_SIZE(interruptible); i++) {
		struct script *s = NULL;
		int nr;

		if (when == 0)
			kill(v[i].pid, SIGUSR1);
		victim_must(script_begin(&test_op, &tree, task_leader(task_find(&tree, v[i].pid)),
					 false, &s, &err),
			    &err);
		if (when == 1)
			kill(v[i].pid, SIGUSR1);
		nr = script_call(s, SYS_getpid);
		victim_must(script_run(s, &err), &err);
		assert_int_equal(script_result(s, nr), v[i].pid);
		victim_must(script_end(&s, &err), &err);
	}
	victim_resume(&tree);
	for (size_t i = 0; when == 3 && i < ARRAY_SIZE(interruptible); i++) {
		assert_int_equal(v[i].page->progress, 0);
		wait_asleep(v[i].pid);
		kill(v[i].pid, SIGUSR1);
	}
	for (size_t i = 0; i < ARRAY_SIZE(interruptible); i++) {
		if (!v[i].page->progress && !victim_moves(&v[i]))
			fail_msg("%s was not interrupted (%d)", interruptible[i].name, when);
		if (v[i].page->errnum != EINTR || v[i].page->signals != 1)
			fail_msg("%s: errno %ld, %lu signals", interruptible[i].name,
				 v[i].page->errnum, v[i].page->signals);
		victim_end(&v[i]);
	}
}

static void signals_while_stopped(void **state)
{
	signals_interrupt(0);
}

static void signals_in_session(void **state)
{
	signals_interrupt(1);
}

static void signals_before(void **state)
{
	signals_interrupt(2);
}

static void signals_afterwards(void **state)
{
	signals_interrupt(3);
}

/* An ignored signal that is queued only because of us interrupts nothing. */
static void ignored_signals_do_not(void **state)
{
	struct task_tree tree;
	struct victim v;

	victim_start(&v, interrupted, (void *)&interruptible[0]);
	usleep(20000);
	victim_stop(&test_op, &v, 1, &tree);
	kill(v.pid, SIGCHLD);
	kill(v.pid, SIGWINCH);
	victim_script(&test_op, &tree, tree.tasks[0]);
	victim_resume(&tree);
	usleep(50000);
	assert_int_equal(v.page->progress, 0);
	victim_end(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_end_in_time),  cmocka_unit_test(signals_while_stopped),
		cmocka_unit_test(signals_in_session), cmocka_unit_test(signals_before),
		cmocka_unit_test(signals_afterwards), cmocka_unit_test(ignored_signals_do_not),
	};

	test_op = OP_INIT;
	victim_may_trace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
