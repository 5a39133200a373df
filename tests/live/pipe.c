// SPDX-License-Identifier: Apache-2.0
/* Pipes with data in them, with flags, packet mode, another size, both ends open, or one end
 * closed. */
#include "subject.h"

int main(int argc, char **argv)
{
	int plain[2], packet[2], big[2], closed[2], dupfd;
	char buf[64];

	subject_init(argc, argv);
	CHECK(pipe2(plain, O_NONBLOCK) == 0);
	CHECK(pipe2(packet, O_DIRECT | O_CLOEXEC | O_NONBLOCK) == 0);
	CHECK(pipe(big) == 0);
	CHECK(pipe(closed) == 0);
	CHECK(write(plain[1], "one two", 7) == 7);
	CHECK(read(plain[0], buf, 4) == 4);
	CHECK(write(packet[1], "first", 5) == 5);
	CHECK(write(packet[1], "second", 6) == 6);
	CHECK(fcntl(big[1], F_SETPIPE_SZ, 131072) == 131072);
	CHECK(write(closed[1], "last words", 10) == 10);
	close(closed[1]);
	dupfd = fcntl(plain[1], F_DUPFD, 100);
	CHECK(dupfd == 100);

	subject_ready();
	subject_wait();

	CHECK(read(plain[0], buf, sizeof(buf)) == 3 && memcmp(buf, "two", 3) == 0);
	CHECK(read(plain[0], buf, sizeof(buf)) == -1 && errno == EAGAIN);
	CHECK(write(dupfd, "via dup", 7) == 7);
	CHECK(read(plain[0], buf, sizeof(buf)) == 7);
	CHECK(read(packet[0], buf, sizeof(buf)) == 5);
	CHECK(read(packet[0], buf, sizeof(buf)) == 6);
	CHECK(fcntl(packet[0], F_GETFD) == FD_CLOEXEC && fcntl(plain[0], F_GETFD) == 0);
	CHECK(fcntl(packet[1], F_GETFL) & O_DIRECT);
	CHECK(fcntl(big[0], F_GETPIPE_SZ) == 131072);
	CHECK(read(closed[0], buf, sizeof(buf)) == 10 && memcmp(buf, "last words", 10) == 0);
	CHECK(read(closed[0], buf, sizeof(buf)) == 0);
	subject_pass();
}
