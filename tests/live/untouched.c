// SPDX-License-Identifier: Apache-2.0
/*
 * What a suspicious program looks at: all of its mappings, descriptors, threads, children, signal
 * sets and its tracer. Nothing may be there afterwards that was not there before. (Device and inode
 * numbers of mapped files are left out: they are another copy's in a restored one.)
 */
#include "subject.h"

#include <dirent.h>
#include <sys/resource.h>

struct view {
	char maps[65536], fds[4096], tasks[4096], signals[4096];
};

static void names(char *out, size_t size, const char *dir)
{
	struct dirent *e;
	DIR *d = opendir(dir);
	size_t n = 0;

	CHECK(d);
	while ((e = readdir(d))) {
		if (atoi(e->d_name) == dirfd(d) && strstr(dir, "/fd"))
			continue;
		n += snprintf(out + n, size - n, "%s ", e->d_name);
		CHECK(n < size);
	}
	closedir(d);
}

static void look(struct view *v)
{
	static const char *const wanted[] = { "TracerPid", "Threads", "SigPnd",	 "ShdPnd", "SigBlk",
					      "SigIgn",	   "SigCgt",  "Seccomp", "State" };
	unsigned long start, end, offset;
	char line[1024], perm[8], path[512];
	size_t n = 0;
	FILE *f;

	f = fopen("/proc/self/maps", "r");
	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		path[0] = 0;
		CHECK(sscanf(line, "%lx-%lx %4s %lx %*s %*s %511[^\n]", &start, &end, perm, &offset,
			     path) >= 4);
		n += snprintf(v->maps + n, sizeof(v->maps) - n, "%lx-%lx %s %lx %s\n", start, end,
			      perm, offset, path);
		CHECK(n < sizeof(v->maps));
	}
	fclose(f);
	f = fopen("/proc/self/status", "r");
	CHECK(f);
	n = 0;
	while (fgets(line, sizeof(line), f))
		for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
			if (strncmp(line, wanted[i], strlen(wanted[i])) == 0)
				n += snprintf(v->signals + n, sizeof(v->signals) - n, "%s", line);
	CHECK(n < sizeof(v->signals));
	fclose(f);
	names(v->fds, sizeof(v->fds), "/proc/self/fd");
	names(v->tasks, sizeof(v->tasks), "/proc/self/task");
}

int main(int argc, char **argv)
{
	static struct view before, warm, after;
	int status;

	subject_init(argc, argv);
	look(&warm); /* what libc allocates for all this is there from now on */
	look(&before);

	subject_ready();
	subject_wait();

	look(&after);
	if (strcmp(before.maps, after.maps))
		subject_fail(before.maps, 0, after.maps);
	if (strcmp(before.fds, after.fds))
		subject_fail(before.fds, 0, after.fds);
	if (strcmp(before.tasks, after.tasks))
		subject_fail(before.tasks, 0, after.tasks);
	if (strcmp(before.signals, after.signals))
		subject_fail(before.signals, 0, after.signals);
	CHECK(waitpid(-1, &status, WNOHANG) == -1 && errno == ECHILD);
	subject_pass();
}
