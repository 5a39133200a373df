// SPDX-License-Identifier: Apache-2.0
/* Threads with their own names, TLS, signal masks, robust lists, stacks; they must be joinable. */
#include "subject.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>

#define N 8

static __thread int tls_value = -1;
static __thread char tls_text[64];
static atomic_int started, go, spinning;
static pid_t tids[N];

static void *thread(void *arg)
{
	long n = (long)arg;
	char name[16], got[16];
	void *robust_before, *robust;
	sigset_t set, now;
	size_t len;

	tls_value = n;
	snprintf(tls_text, sizeof(tls_text), "thread %ld", n);
	snprintf(name, sizeof(name), "worker-%ld", n);
	prctl(PR_SET_NAME, name);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + (int)n);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	CHECK(syscall(SYS_get_robust_list, 0, &robust_before, &len) == 0);
	tids[n] = gettid();
	started++;
	while (!go) {
		if (n % 2)
			subject_sleep_ms(3);
		else
			atomic_fetch_add(&spinning, 1); /* these never are in a system call */
		if (n % 2 == 0 && n > 1)
			sched_yield();
	}
	CHECK(tls_value == n && strstr(tls_text, "thread ") && atoi(tls_text + 7) == n);
	prctl(PR_GET_NAME, got);
	CHECK(strcmp(got, name) == 0);
	CHECK(gettid() == tids[n]);
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	for (int i = 0; i < N; i++)
		CHECK(sigismember(&now, SIGRTMIN + i) == (i == n));
	CHECK(syscall(SYS_get_robust_list, 0, &robust, &len) == 0 && robust == robust_before);
	return (void *)(n + 1000);
}

int main(int argc, char **argv)
{
	pthread_mutex_t robust;
	pthread_mutexattr_t attr;
	pthread_t t[N], fresh;
	void *ret;
	pid_t me;

	subject_init(argc, argv);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&robust, &attr);
	pthread_mutex_lock(&robust);
	me = gettid();
	for (long i = 0; i < N; i++)
		CHECK(pthread_create(&t[i], NULL, thread, (void *)i) == 0);
	while (started < N)
		subject_sleep_ms(1);

	subject_ready();
	subject_wait();

	CHECK(gettid() == me && getpid() == me);
	go = 1;
	for (long i = 0; i < N; i++) {
		CHECK(pthread_join(t[i], &ret) == 0);
		CHECK(ret == (void *)(i + 1000));
	}
	CHECK(pthread_mutex_unlock(&robust) == 0);
	CHECK(pthread_create(&fresh, NULL, thread, (void *)1L) == 0 &&
	      pthread_join(fresh, &ret) == 0);
	subject_pass();
}
