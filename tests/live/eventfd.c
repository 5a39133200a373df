// SPDX-License-Identifier: Apache-2.0
/* An eventfd with a count, and one in semaphore mode. */
#include "subject.h"

#include <sys/eventfd.h>

int main(int argc, char **argv)
{
	int count, sem;
	uint64_t v;

	subject_init(argc, argv);
	count = eventfd(7, EFD_NONBLOCK);
	sem = eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE | EFD_CLOEXEC);
	CHECK(count >= 0 && sem >= 0);

	subject_ready();
	subject_wait();

	CHECK(read(count, &v, 8) == 8 && v == 7);
	CHECK(read(count, &v, 8) == -1 && errno == EAGAIN);
	CHECK(read(sem, &v, 8) == 8 && v == 1);
	CHECK(read(sem, &v, 8) == 8 && v == 1);
	CHECK(read(sem, &v, 8) == -1 && errno == EAGAIN);
	CHECK(fcntl(sem, F_GETFD) == FD_CLOEXEC);
	subject_pass();
}
