// SPDX-License-Identifier: Apache-2.0
/* File locks: flock, POSIX record locks, open-file-description locks; a child tries to take them.
 */
#include "subject.h"

#include <sys/file.h>

/* 0 when a child cannot take any of the three, else which it could. */
static int free_to_take(const char *a, const char *b, const char *c)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct flock fl = {
			.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10
		};
		int fa = open(a, O_RDWR), fb = open(b, O_RDWR), fc = open(c, O_RDWR), got = 0;

		got |= flock(fa, LOCK_EX | LOCK_NB) == 0 ? 1 : 0;
		got |= fcntl(fb, F_SETLK, &fl) == 0 ? 2 : 0;
		got |= fcntl(fc, F_OFD_SETLK, &fl) == 0 ? 4 : 0;
		fl.l_start = 100;
		got |= fcntl(fb, F_SETLK, &fl) == 0 ? 0 : 8; /* this range nobody holds */
		_exit(got);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10 };
	char *a, *b, *c;
	int fa, fb, fc;

	subject_init(argc, argv);
	a = subject_path("flock");
	b = subject_path("posix");
	c = subject_path("ofd");
	fa = open(a, O_RDWR | O_CREAT, 0600);
	fb = open(b, O_RDWR | O_CREAT, 0600);
	fc = open(c, O_RDWR | O_CREAT, 0600);
	CHECK(flock(fa, LOCK_EX) == 0 && fcntl(fb, F_SETLK, &fl) == 0 &&
	      fcntl(fc, F_OFD_SETLK, &fl) == 0);
	CHECK(free_to_take(a, b, c) == 0);

	subject_ready();
	subject_wait();

	CHECK(free_to_take(a, b, c) == 0);
	CHECK(flock(fa, LOCK_UN) == 0);
	fl.l_type = F_UNLCK;
	CHECK(fcntl(fb, F_SETLK, &fl) == 0 && fcntl(fc, F_OFD_SETLK, &fl) == 0);
	CHECK(free_to_take(a, b, c) == 7);
	unlink(a);
	unlink(b);
	unlink(c);
	subject_pass();
}
