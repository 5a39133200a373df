// SPDX-License-Identifier: Apache-2.0
/* POSIX timers: their numbers (with a hole), clocks, values, and whom they tell. */
#include "subject.h"

static volatile int ticks, value;
static volatile pid_t told_thread;

static void on_tick(int sig, siginfo_t *si, void *ctx)
{
	(void)sig;
	(void)ctx;
	ticks++;
	value = si->si_value.sival_int;
	told_thread = gettid();
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART };
	struct sigevent sev = { .sigev_notify = SIGEV_SIGNAL, .sigev_value.sival_int = 99 };
	struct itimerspec tick = { { 0, 20000000 }, { 0, 20000000 } },
			  far = { { 0, 0 }, { 5000, 0 } }, got;
	int hole, ticking, silent, mine;
	int before;

	subject_init(argc, argv);
	sev.sigev_signo = SIGRTMIN + 2;
	CHECK(sigaction(SIGRTMIN + 2, &sa, NULL) == 0);
	/* The kernel's own numbers: libc's timer_t is one of these for all but SIGEV_THREAD. */
	CHECK(syscall(SYS_timer_create, CLOCK_MONOTONIC, &sev, &hole) == 0);
	CHECK(syscall(SYS_timer_create, CLOCK_MONOTONIC, &sev, &ticking) == 0);
	sev.sigev_notify = SIGEV_NONE;
	CHECK(syscall(SYS_timer_create, CLOCK_REALTIME, &sev, &silent) == 0);
	sev.sigev_notify = SIGEV_THREAD_ID;
	sev._sigev_un._tid = gettid();
	CHECK(syscall(SYS_timer_create, CLOCK_BOOTTIME, &sev, &mine) == 0);
	CHECK(syscall(SYS_timer_delete, hole) == 0);
	CHECK(syscall(SYS_timer_settime, ticking, 0, &tick, NULL) == 0);
	CHECK(syscall(SYS_timer_settime, silent, 0, &far, NULL) == 0);
	subject_sleep_ms(50);

	subject_ready();
	subject_wait();

	CHECK(syscall(SYS_timer_gettime, hole, &got) == -1 && errno == EINVAL);
	before = ticks;
	subject_sleep_ms(200);
	CHECK(ticks >= before + 5 && ticks <= before + 20 && value == 99);
	CHECK(syscall(SYS_timer_gettime, ticking, &got) == 0 &&
	      got.it_interval.tv_nsec == 20000000);
	CHECK(syscall(SYS_timer_gettime, silent, &got) == 0 && got.it_value.tv_sec > 4900 &&
	      got.it_value.tv_sec <= 5000);
	CHECK(syscall(SYS_timer_gettime, mine, &got) == 0 && got.it_value.tv_sec == 0);
	CHECK(syscall(SYS_timer_delete, ticking) == 0);
	before = ticks;
	tick.it_interval.tv_nsec = 0;
	CHECK(syscall(SYS_timer_settime, mine, 0, &tick, NULL) == 0);
	subject_sleep_ms(60);
	CHECK(ticks == before + 1 && told_thread == gettid());
	subject_pass();
}
