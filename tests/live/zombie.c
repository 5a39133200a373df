// SPDX-License-Identifier: Apache-2.0
/* Dead children whose end nobody has asked for yet. */
#include "subject.h"

int main(int argc, char **argv)
{
	pid_t exited, killed, live;
	siginfo_t si;
	int status;

	subject_init(argc, argv);
	exited = fork();
	if (exited == 0)
		_exit(42);
	killed = fork();
	if (killed == 0) {
		for (;;)
			subject_sleep_ms(1000);
	}
	live = fork();
	if (live == 0) {
		for (;;)
			subject_sleep_ms(1000);
	}
	CHECK(kill(killed, SIGTERM) == 0);
	CHECK(waitid(P_PID, exited, &si, WEXITED | WNOWAIT) == 0);
	CHECK(waitid(P_PID, killed, &si, WEXITED | WNOWAIT) == 0);

	subject_ready();
	subject_wait();

	CHECK(waitpid(exited, &status, WNOHANG) == exited && WIFEXITED(status) &&
	      WEXITSTATUS(status) == 42);
	CHECK(waitpid(killed, &status, WNOHANG) == killed && WIFSIGNALED(status) &&
	      WTERMSIG(status) == SIGTERM);
	CHECK(waitpid(live, &status, WNOHANG) == 0);
	CHECK(kill(live, SIGKILL) == 0 && waitpid(live, &status, 0) == live);
	CHECK(waitpid(-1, &status, WNOHANG) == -1 && errno == ECHILD);
	subject_pass();
}
