// SPDX-License-Identifier: Apache-2.0
/* One open file shared by dup, by fork, and by a whole shared descriptor table: one offset, one
 * table. */
#include "subject.h"

#include <linux/sched.h>

static volatile int *step;
static int fd, dupped;

static int sharer(void *arg)
{
	(void)arg;
	while (*step < 1)
		subject_sleep_ms(2);
	/* Same table: what this process opens, the parent sees under the same number. */
	if (dup2(dupped, 50) != 50)
		_exit(21);
	*step = 2;
	while (*step < 3)
		subject_sleep_ms(2);
	_exit(fcntl(50, F_GETFD) == -1 ? 0 : 22);
}

int main(int argc, char **argv)
{
	static char stack[65536] __attribute__((aligned(16)));
	pid_t forked, table;
	char buf[8];
	char *path;
	int status;

	subject_init(argc, argv);
	step = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	path = subject_path("offset");
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0 && write(fd, "abcdefghij", 10) == 10 && lseek(fd, 2, SEEK_SET) == 2);
	dupped = fcntl(fd, F_DUPFD_CLOEXEC, 40);
	CHECK(dupped == 40);
	table = clone(sharer, stack + sizeof(stack), CLONE_FILES | SIGCHLD, NULL);
	CHECK(table > 0);
	forked = fork();
	if (forked == 0) {
		while (*step < 2)
			subject_sleep_ms(2);
		if (lseek(fd, 0, SEEK_CUR) != 4)
			_exit(11);
		_exit(read(fd, buf, 1) == 1 && buf[0] == 'e' ? 0 : 12);
	}

	subject_ready();
	subject_wait();

	CHECK(read(fd, buf, 2) == 2 && memcmp(buf, "cd", 2) == 0);
	CHECK(lseek(dupped, 0, SEEK_CUR) == 4 && fcntl(dupped, F_GETFD) == FD_CLOEXEC &&
	      fcntl(fd, F_GETFD) == 0);
	*step = 1;
	CHECK(waitpid(forked, &status, 0) == forked && status == 0);
	CHECK(lseek(fd, 0, SEEK_CUR) == 5);
	CHECK(lseek(50, 0, SEEK_CUR) == 5 && close(50) == 0);
	*step = 3;
	CHECK(waitpid(table, &status, 0) == table && status == 0);
	unlink(path);
	subject_pass();
}
