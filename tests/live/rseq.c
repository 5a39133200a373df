// SPDX-License-Identifier: Apache-2.0
/* Restartable sequences: libc's registration must still be there and be kept up to date by the
 * kernel. */
#include "subject.h"

#include <pthread.h>
#include <sys/rseq.h>

static volatile int go;

static struct rseq *area(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

static void judge(void)
{
	cpu_set_t all, one;

	CHECK((int)area()->cpu_id >= 0);
	CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
		CHECK(*(volatile uint32_t *)&area()->cpu_id == (uint32_t)cpu);
	}
	CHECK(sched_setaffinity(0, sizeof(all), &all) == 0);
	/* Registering the same area again is refused with EBUSY exactly when it is registered. */
	CHECK(syscall(SYS_rseq, area(), 32, 0, RSEQ_SIG) == -1);
	CHECK(errno == EBUSY || errno == EINVAL || errno == EPERM);
}

static void *thread(void *arg)
{
	while (!go)
		subject_sleep_ms(2);
	judge();
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t;

	subject_init(argc, argv);
	CHECK(__rseq_size > 0);
	judge();
	CHECK(pthread_create(&t, NULL, thread, NULL) == 0);

	subject_ready();
	subject_wait();

	judge();
	go = 1;
	CHECK(pthread_join(t, NULL) == 0);
	subject_pass();
}
