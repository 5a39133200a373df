// SPDX-License-Identifier: Apache-2.0
/* inotify watches on a folder and on a file; they must name the same things afterwards. */
#include "subject.h"

#include <sys/inotify.h>

int main(int argc, char **argv)
{
	char buf[1024] __attribute__((aligned(8)));
	const struct inotify_event *ev = (void *)buf;
	char *dir, *file, *born;
	int fd, on_dir, on_file, f;

	subject_init(argc, argv);
	dir = subject_path("dir");
	file = subject_path("file");
	born = subject_path("dir/born");
	CHECK(mkdir(dir, 0700) == 0 || errno == EEXIST);
	f = open(file, O_CREAT | O_RDWR, 0600);
	fd = inotify_init1(IN_NONBLOCK);
	on_dir = inotify_add_watch(fd, dir, IN_CREATE | IN_DELETE);
	on_file = inotify_add_watch(fd, file, IN_MODIFY);
	CHECK(fd >= 0 && on_dir > 0 && on_file > 0 && f >= 0);

	subject_ready();
	subject_wait();

	CHECK(read(fd, buf, sizeof(buf)) == -1 && errno == EAGAIN);
	CHECK(write(f, "x", 1) == 1);
	CHECK(read(fd, buf, sizeof(buf)) > 0 && ev->wd == on_file && ev->mask == IN_MODIFY);
	CHECK(mkdir(born, 0700) == 0);
	CHECK(read(fd, buf, sizeof(buf)) > 0 && ev->wd == on_dir && (ev->mask & IN_CREATE) &&
	      !strcmp(ev->name, "born"));
	CHECK(inotify_rm_watch(fd, on_file) == 0);
	CHECK(rmdir(born) == 0 && rmdir(dir) == 0 && unlink(file) == 0);
	subject_pass();
}
