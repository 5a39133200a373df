// SPDX-License-Identifier: Apache-2.0
/* A pseudo-terminal pair with its own settings and size; the slave is a child's controlling
 * terminal. */
#include "subject.h"

#include <sys/ioctl.h>
#include <termios.h>

int main(int argc, char **argv)
{
	struct winsize size = { .ws_row = 33, .ws_col = 111 }, got;
	struct termios tio, back;
	char name[64], buf[32];
	int master, slave, status;
	volatile int *go;
	pid_t child;

	subject_init(argc, argv);
	go = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	master = posix_openpt(O_RDWR | O_NOCTTY);
	CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	CHECK(ptsname_r(master, name, sizeof(name)) == 0);
	slave = open(name, O_RDWR | O_NOCTTY);
	CHECK(slave >= 0 && tcgetattr(slave, &tio) == 0);
	tio.c_lflag &= ~(ECHO | ICANON);
	tio.c_oflag &= ~OPOST;
	tio.c_cc[VMIN] = 1;
	CHECK(tcsetattr(slave, TCSANOW, &tio) == 0 && ioctl(master, TIOCSWINSZ, &size) == 0);
	child = fork();
	if (child == 0) {
		setsid();
		_exit(ioctl(slave, TIOCSCTTY, 0) < 0 ? 10 : ({
			*go = 1;
			while (*go != 2)
				subject_sleep_ms(5);
			int tty = open("/dev/tty", O_RDWR);
			tty >= 0 && write(tty, "from child", 10) == 10 &&
					tcgetpgrp(tty) == getpgrp()
				? 0
				: 11;
		}));
	}
	while (*go != 1)
		subject_sleep_ms(1);

	subject_ready();
	subject_wait();

	CHECK(ioctl(slave, TIOCGWINSZ, &got) == 0 && got.ws_row == 33 && got.ws_col == 111);
	CHECK(tcgetattr(slave, &back) == 0 && back.c_lflag == tio.c_lflag &&
	      back.c_oflag == tio.c_oflag);
	*go = 2;
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(status == 0);
	CHECK(read(master, buf, sizeof(buf)) == 10 && memcmp(buf, "from child", 10) == 0);
	CHECK(write(master, "in", 2) == 2 && read(slave, buf, sizeof(buf)) == 2);
	CHECK(ptsname_r(master, buf, sizeof(buf)) == 0 && strcmp(buf, name) == 0);
	subject_pass();
}
