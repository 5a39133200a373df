// SPDX-License-Identifier: Apache-2.0
/* Timerfds: a running interval, a far absolute one, an unarmed one, with ticks nobody has read. */
#include "subject.h"

#include <sys/timerfd.h>

int main(int argc, char **argv)
{
	struct itimerspec tick = { { 0, 20000000 }, { 0, 20000000 } }, far = { 0 }, got;
	int t, a, idle;
	uint64_t n;

	subject_init(argc, argv);
	t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	a = timerfd_create(CLOCK_REALTIME, 0);
	idle = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	CHECK(t >= 0 && a >= 0 && idle >= 0);
	far.it_value.tv_sec = time(NULL) + 3600;
	CHECK(timerfd_settime(a, TFD_TIMER_ABSTIME, &far, NULL) == 0);
	CHECK(timerfd_settime(t, 0, &tick, NULL) == 0);
	subject_sleep_ms(50);

	subject_ready();
	subject_wait();

	CHECK(read(t, &n, 8) == 8 && n >= 2);
	subject_sleep_ms(100);
	CHECK(read(t, &n, 8) == 8 && n >= 2 && n <= 50);
	CHECK(timerfd_gettime(t, &got) == 0 && got.it_interval.tv_nsec == 20000000);
	CHECK(timerfd_gettime(a, &got) == 0 && got.it_value.tv_sec > 3000 &&
	      got.it_value.tv_sec <= 3600);
	CHECK(timerfd_gettime(idle, &got) == 0 && got.it_value.tv_sec == 0 &&
	      got.it_value.tv_nsec == 0);
	CHECK(read(idle, &n, 8) == -1 && errno == EAGAIN);
	subject_pass();
}
