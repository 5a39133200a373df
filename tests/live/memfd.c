// SPDX-License-Identifier: Apache-2.0
/* memfds: content, offset, seals, a shared and a private mapping, one shared with a child. */
#include "subject.h"

int main(int argc, char **argv)
{
	volatile char *map, *mine;
	char buf[32], link[64];
	int fd, sealed, status;
	pid_t child;

	subject_init(argc, argv);
	fd = memfd_create("amber-subject", MFD_CLOEXEC);
	sealed = memfd_create("sealed", MFD_ALLOW_SEALING);
	CHECK(fd >= 0 && ftruncate(fd, 3 * 4096) == 0);
	CHECK(pwrite(fd, "at two pages", 12, 8192) == 12 && lseek(fd, 8192, SEEK_SET) == 8192);
	map = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	mine = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(map != MAP_FAILED && mine != MAP_FAILED);
	map[1] = 's';
	mine[2] = 'p';
	CHECK(write(sealed, "frozen", 6) == 6);
	CHECK(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK) == 0);
	child = fork();
	if (child == 0) {
		while (map[100] != 1)
			subject_sleep_ms(5);
		map[101] = 2;
		_exit(0);
	}

	subject_ready();
	subject_wait();

	CHECK(read(fd, buf, 12) == 12 && memcmp(buf, "at two pages", 12) == 0);
	CHECK(map[1] == 's' && map[2] == 0 && mine[2] == 'p');
	CHECK(pwrite(fd, "x", 1, 5) == 1 && map[5] == 'x');
	CHECK(pread(sealed, buf, 6, 0) == 6 && memcmp(buf, "frozen", 6) == 0);
	CHECK(fcntl(sealed, F_GET_SEALS) == (F_SEAL_WRITE | F_SEAL_SHRINK));
	CHECK(pwrite(sealed, "x", 1, 0) == -1 && errno == EPERM);
	snprintf(buf, sizeof(buf), "/proc/self/fd/%d", fd);
	CHECK(readlink(buf, link, sizeof(link)) > 13 &&
	      memcmp(link, "/memfd:amber-subject", 20) == 0);
	map[100] = 1;
	CHECK(waitpid(child, &status, 0) == child && status == 0 && map[101] == 2);
	subject_pass();
}
