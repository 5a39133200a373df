// SPDX-License-Identifier: Apache-2.0
/* The everyday character devices. */
#include "subject.h"

int main(int argc, char **argv)
{
	unsigned long zeros[4] = { 1, 1, 1, 1 }, noise[4] = { 0 };
	int null, zero, full, urandom;

	subject_init(argc, argv);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	zero = open("/dev/zero", O_RDONLY);
	full = open("/dev/full", O_WRONLY);
	urandom = open("/dev/urandom", O_RDONLY | O_NONBLOCK);
	CHECK(null >= 0 && zero >= 0 && full >= 0 && urandom >= 0);

	subject_ready();
	subject_wait();

	CHECK(write(null, "x", 1) == 1 && read(null, zeros, 8) == 0 &&
	      fcntl(null, F_GETFD) == FD_CLOEXEC);
	CHECK(read(zero, zeros, sizeof(zeros)) == sizeof(zeros) && !zeros[0] && !zeros[3]);
	CHECK(write(full, "x", 1) == -1 && errno == ENOSPC);
	CHECK(read(urandom, noise, sizeof(noise)) == sizeof(noise) && noise[0] != noise[1]);
	CHECK(fcntl(urandom, F_GETFL) & O_NONBLOCK);
	subject_pass();
}
