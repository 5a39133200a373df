// SPDX-License-Identifier: Apache-2.0
/*
 * waiters: see waiters.h.
 */
#include "waiters.h"

#include <pthread.h>

#define LATE_MS	   150	/* besides what the clock thread saw */
#define END_MS	   8000 /* all have ended by then, or hang */
#define EARLY_NS   500000
#define STACK_SIZE (256 << 10)

static volatile bool over;
static volatile long slowest_ms; /* how late a plain sleep of 2 ms has been */

static long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

struct timespec waiter_deadline(const struct waiter *w, clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	t.tv_sec += w->ms / 1000;
	t.tv_nsec += w->ms % 1000 * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}

void waiter_pipe(struct waiter *w)
{
	CHECK(pipe(w->fd) == 0);
}

void waiter_write(struct waiter *w)
{
	CHECK(write(w->fd[1], "12345678", 8) == 8);
}

static void *clock_thread(void *arg)
{
	for (;;) {
		long long begin = now_ns();
		long late;

		subject_sleep_ms(2);
		late = (long)((now_ns() - begin) / 1000000) - 2;
		if (late > slowest_ms)
			slowest_ms = late;
	}
	return arg;
}

/* One call, and what is wrong with its end. */
static void make(struct waiter *w)
{
	long long begin = now_ns(), took;
	long r, late;
	int e;

	errno = 0;
	r = w->call(w);
	e = errno;
	took = now_ns() - begin;
	w->rounds++;
	if (r < 0 && e == EINTR) {
		w->eintr++;
		return;
	}
	if (r != w->want || (r < 0 && e != w->want_errno)) {
		errno = e;
		subject_fail(__FILE__, (int)r, w->name);
	}
	if (w->wake) {
		w->early += !over;
		return;
	}
	w->early += took < w->ms * 1000000LL - EARLY_NS;
	late = (long)(took / 1000000) - w->ms;
	if (late > w->worst_ms)
		w->worst_ms = late;
	w->late += !w->coarse && late > LATE_MS + slowest_ms;
}

static void *wait_in_it(void *arg)
{
	struct waiter *w = arg;

	w->tid = (pid_t)syscall(SYS_gettid);
	w->state = 1;
	do
		make(w);
	while (!w->wake && !over);
	w->state = 2;
	return NULL;
}

static void tell(const struct waiter *w)
{
	char line[160];
	int n = snprintf(line, sizeof(line),
			 "%s %s: %u rounds, %u early, %u EINTR, %u late, worst %ld ms\n",
			 w->early || w->eintr || w->late || w->state != 2 ? "BAD" : "good", w->name,
			 w->rounds, w->early, w->eintr, w->late, w->worst_ms);

	subject_say(line);
	(void)n;
}

static void begin(struct waiter *w, size_t n)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	for (size_t i = 0; i < n; i++) {
		w[i].ms = WAITER_MS + 17 * (long)i;
		w[i].timeout = (struct timespec){ w[i].ms / 1000, w[i].ms % 1000 * 1000000 };
		if (w[i].set_up)
			w[i].set_up(&w[i]);
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	CHECK(pthread_create(&thread, &attr, clock_thread, NULL) == 0);
	for (size_t i = 0; i < n; i++)
		CHECK(pthread_create(&thread, &attr, wait_in_it, &w[i]) == 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	for (size_t i = 0; i < n; i++)
		while (!w[i].state)
			subject_sleep_ms(1);
	subject_sleep_ms(600); /* so long that a timeout which starts afresh is late */
}

void waiters_run(struct waiter *w, size_t n)
{
	long long deadline;
	unsigned bad = 0;

	begin(w, n);
	subject_ready();
	subject_wait();
	over = true;
	for (size_t i = 0; i < n; i++)
		if (w[i].wake && w[i].state == 1)
			w[i].wake(&w[i]);
	deadline = now_ns() + END_MS * 1000000LL;
	for (size_t i = 0; i < n; i++) {
		while (w[i].state != 2 && now_ns() < deadline)
			subject_sleep_ms(2);
		tell(&w[i]);
		bad += w[i].early || w[i].eintr || w[i].late || w[i].state != 2;
	}
	CHECK(bad == 0);
	subject_pass();
}
