// SPDX-License-Identifier: Apache-2.0
/* Files that are open but have no name any more, one still mapped; and plain files with offsets. */
#include "subject.h"

int main(int argc, char **argv)
{
	char *gone, *linked, *other, *plain;
	volatile char *map;
	char buf[64];
	int fd, rd, l, p;
	struct stat st;

	subject_init(argc, argv);
	gone = subject_path("gone");
	linked = subject_path("linked");
	other = subject_path("other");
	plain = subject_path("plain");
	fd = open(gone, O_RDWR | O_CREAT | O_TRUNC, 0640);
	CHECK(fd >= 0 && write(fd, "ghost content", 13) == 13);
	CHECK(ftruncate(fd, 8192) == 0);
	map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	map[4096] = 'm';
	rd = open(gone, O_RDONLY);
	CHECK(lseek(rd, 6, SEEK_SET) == 6 && unlink(gone) == 0);
	l = open(linked, O_RDWR | O_CREAT | O_TRUNC, 0600);
	unlink(other);
	CHECK(l >= 0 && write(l, "kept", 4) == 4 && link(linked, other) == 0 &&
	      unlink(linked) == 0);
	p = open(plain, O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);
	CHECK(p >= 0 && write(p, "0123456789", 10) == 10 && lseek(p, 3, SEEK_SET) == 3);

	subject_ready();
	subject_wait();

	CHECK(read(rd, buf, 7) == 7 && memcmp(buf, "content", 7) == 0);
	CHECK(pread(fd, buf, 13, 0) == 13 && memcmp(buf, "ghost content", 13) == 0);
	CHECK(fstat(fd, &st) == 0 && st.st_nlink == 0 && st.st_size == 8192 &&
	      (st.st_mode & 0777) == 0640);
	CHECK(map[0] == 'g' && map[4096] == 'm');
	map[1] = 'H';
	CHECK(pread(rd, buf, 2, 0) == 2 && buf[1] == 'H');
	CHECK(pread(l, buf, 4, 0) == 4 && memcmp(buf, "kept", 4) == 0);
	CHECK(read(p, buf, 3) == 3 && memcmp(buf, "345", 3) == 0);
	CHECK(write(p, "a", 1) == 1 && fstat(p, &st) == 0 && st.st_size == 11);
	unlink(other);
	unlink(plain);
	subject_pass();
}
