// SPDX-License-Identifier: Apache-2.0
/* The working directory, an open directory half read, and a path-only descriptor. */
#include "subject.h"

#include <dirent.h>

int main(int argc, char **argv)
{
	char before[512], after[512];
	char *dir;
	struct dirent *e;
	int names = 0, path_fd;
	DIR *d;

	subject_init(argc, argv);
	dir = subject_path("dir");
	CHECK(mkdir(dir, 0711) == 0 || errno == EEXIST);
	CHECK(chdir(dir) == 0 && getcwd(before, sizeof(before)));
	for (char name[] = "a"; name[0] < 'k'; name[0]++)
		close(open(name, O_CREAT | O_WRONLY, 0600));
	d = opendir(".");
	CHECK(d && readdir(d));
	rewinddir(d);
	path_fd = open("a", O_PATH | O_CLOEXEC);
	CHECK(path_fd >= 0);

	subject_ready();
	subject_wait();

	CHECK(getcwd(after, sizeof(after)) && strcmp(before, after) == 0);
	while ((e = readdir(d)))
		names++;
	CHECK(names == 12);
	CHECK(fcntl(path_fd, F_GETFL) & O_PATH);
	CHECK(fchdir(dirfd(d)) == 0 && access("j", F_OK) == 0);
	for (char name[] = "a"; name[0] < 'k'; name[0]++)
		CHECK(unlink(name) == 0);
	CHECK(rmdir(before) == 0);
	subject_pass();
}
