// SPDX-License-Identifier: Apache-2.0
/* The three interval timers: one ticking, one counting process time, one far away. */
#include "subject.h"

#include <sys/time.h>

static volatile int ticks;

static void on_alarm(int sig)
{
	(void)sig;
	ticks++;
}

int main(int argc, char **argv)
{
	struct itimerval real = { { 0, 20000 }, { 0, 20000 } };
	struct itimerval virt = { { 0, 0 }, { 1000, 0 } };
	struct itimerval prof = { { 7, 0 }, { 2000, 0 } };
	struct itimerval got;
	int before;

	subject_init(argc, argv);
	signal(SIGALRM, on_alarm);
	CHECK(setitimer(ITIMER_REAL, &real, NULL) == 0);
	CHECK(setitimer(ITIMER_VIRTUAL, &virt, NULL) == 0);
	CHECK(setitimer(ITIMER_PROF, &prof, NULL) == 0);
	subject_sleep_ms(50);

	subject_ready();
	subject_wait();

	before = ticks;
	subject_sleep_ms(200);
	CHECK(ticks >= before + 5 && ticks <= before + 20);
	CHECK(getitimer(ITIMER_REAL, &got) == 0 && got.it_interval.tv_usec == 20000);
	CHECK(getitimer(ITIMER_VIRTUAL, &got) == 0 && got.it_value.tv_sec >= 990 &&
	      got.it_value.tv_sec <= 1000);
	CHECK(getitimer(ITIMER_PROF, &got) == 0 && got.it_value.tv_sec >= 1990 &&
	      got.it_interval.tv_sec == 7);
	subject_pass();
}
