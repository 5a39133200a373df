// SPDX-License-Identifier: Apache-2.0
/* Threads asleep on a condition, a mutex, a semaphore, a barrier, a rwlock; each must wake up
 * properly. */
#include "subject.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, held = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_mutex_t pi;
static sem_t sem;
static int go;
static atomic_int about, done;

static void *on_cond(void *arg)
{
	pthread_mutex_lock(&lock);
	about++;
	while (!go)
		pthread_cond_wait(&cond, &lock);
	pthread_mutex_unlock(&lock);
	done++;
	return arg;
}

static void *on_mutex(void *arg)
{
	about++;
	CHECK(pthread_mutex_lock(arg) == 0);
	pthread_mutex_unlock(arg);
	done++;
	return arg;
}

static void *on_sem(void *arg)
{
	about++;
	CHECK(sem_wait(&sem) == 0); /* EINTR here would be ours: no handler has run */
	done++;
	return arg;
}

static void *on_barrier(void *arg)
{
	about++;
	pthread_barrier_wait(&barrier);
	done++;
	return arg;
}

static void *on_rwlock(void *arg)
{
	about++;
	CHECK(pthread_rwlock_rdlock(&rw) == 0);
	done++;
	return arg;
}

int main(int argc, char **argv)
{
	pthread_mutexattr_t attr;
	pthread_t t[6];
	sigset_t usr1;

	subject_init(argc, argv);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	CHECK(pthread_mutex_init(&pi, &attr) == 0 && sem_init(&sem, 0, 0) == 0);
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_mutex_lock(&held);
	pthread_mutex_lock(&pi);
	pthread_rwlock_wrlock(&rw);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1); /* only main is to be told */
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	pthread_create(&t[0], NULL, on_cond, NULL);
	pthread_create(&t[1], NULL, on_mutex, &held);
	pthread_create(&t[2], NULL, on_mutex, &pi);
	pthread_create(&t[3], NULL, on_sem, NULL);
	pthread_create(&t[4], NULL, on_barrier, NULL);
	pthread_create(&t[5], NULL, on_rwlock, NULL);
	pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
	while (about < 6)
		subject_sleep_ms(1);
	subject_sleep_ms(20);

	subject_ready();
	subject_wait();

	CHECK(done == 0);
	pthread_mutex_lock(&lock);
	go = 1;
	pthread_cond_signal(&cond);
	pthread_mutex_unlock(&lock);
	pthread_mutex_unlock(&held);
	CHECK(pthread_mutex_unlock(&pi) == 0);
	sem_post(&sem);
	pthread_barrier_wait(&barrier);
	pthread_rwlock_unlock(&rw);
	for (int i = 0; i < 6; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	CHECK(done == 6);
	subject_pass();
}
