// SPDX-License-Identifier: Apache-2.0
/* A named pipe, opened for both directions, with data in it. */
#include "subject.h"

int main(int argc, char **argv)
{
	char buf[16];
	char *path;
	int rw, wr;

	subject_init(argc, argv);
	path = subject_path("fifo");
	unlink(path);
	CHECK(mkfifo(path, 0600) == 0);
	rw = open(path, O_RDWR | O_NONBLOCK);
	wr = open(path, O_WRONLY | O_NONBLOCK);
	CHECK(rw >= 0 && wr >= 0);
	CHECK(write(wr, "queued", 6) == 6);

	subject_ready();
	subject_wait();

	CHECK(read(rw, buf, sizeof(buf)) == 6 && memcmp(buf, "queued", 6) == 0);
	CHECK(write(wr, "x", 1) == 1 && read(rw, buf, 1) == 1);
	CHECK(unlink(path) == 0);
	subject_pass();
}
