// SPDX-License-Identifier: Apache-2.0
/* A signalfd with a signal waiting in it. */
#include "subject.h"

#include <sys/signalfd.h>

int main(int argc, char **argv)
{
	union sigval value = { .sival_int = 4711 };
	struct signalfd_siginfo si;
	sigset_t set;
	int fd;

	subject_init(argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGRTMIN + 3);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	fd = signalfd(-1, &set, SFD_NONBLOCK);
	CHECK(fd >= 0);
	CHECK(sigqueue(getpid(), SIGRTMIN + 3, value) == 0);

	subject_ready();
	subject_wait();

	CHECK(read(fd, &si, sizeof(si)) == sizeof(si));
	CHECK(si.ssi_signo == (uint32_t)SIGRTMIN + 3 && si.ssi_int == 4711 &&
	      si.ssi_pid == (uint32_t)getpid());
	CHECK(read(fd, &si, sizeof(si)) == -1 && errno == EAGAIN);
	CHECK(kill(getpid(), SIGHUP) == 0);
	CHECK(read(fd, &si, sizeof(si)) == sizeof(si) && si.ssi_signo == SIGHUP);
	subject_pass();
}
