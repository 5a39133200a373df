// SPDX-License-Identifier: Apache-2.0
/* What a process says of itself: pid, name, command line, environment, exe, auxv, heap bounds,
 * boot. */
#include "subject.h"

#include <sys/auxv.h>

static void slurp(char *out, size_t size, const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t n;

	CHECK(fd >= 0);
	n = read(fd, out, size);
	CHECK(n >= 0 && (size_t)n < size);
	memset(out + n, 0, size - n);
	close(fd);
}

/* The fields of stat that tell of the memory layout (startcode .. startstack, start_data ..
 * env_end). */
static void layout(char *out, size_t size)
{
	static char text[2048];
	char *p;
	int field = 2;

	slurp(text, sizeof(text), "/proc/self/stat");
	p = strrchr(text, ')');
	CHECK(p);
	out[0] = 0;
	for (p = strtok(p + 1, " "); p; p = strtok(NULL, " "))
		if (++field, (field >= 26 && field <= 28) || (field >= 45 && field <= 51))
			strncat(strncat(out, p, size - strlen(out) - 2), " ", 2);
}

int main(int argc, char **argv)
{
	static char cmd[2][4096], env[2][8192], auxv[2][4096], lay[2][1024], comm[2][32],
		exe[2][512];
	pid_t pid;
	struct timespec t0, t1;

	subject_init(argc, argv);
	prctl(PR_SET_NAME, "own-name");
	pid = getpid();
	clock_gettime(CLOCK_MONOTONIC, &t0);
	for (int i = 0; i < 2; i++) {
		slurp(cmd[i], sizeof(cmd[i]), "/proc/self/cmdline");
		slurp(env[i], sizeof(env[i]), "/proc/self/environ");
		slurp(auxv[i], sizeof(auxv[i]), "/proc/self/auxv");
		slurp(comm[i], sizeof(comm[i]), "/proc/self/comm");
		layout(lay[i], sizeof(lay[i]));
		CHECK(readlink("/proc/self/exe", exe[i], sizeof(exe[i]) - 1) > 0);
		if (i == 0) {
			subject_ready();
			subject_wait();
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &t1);
	CHECK(getpid() == pid && (pid_t)syscall(SYS_getpid) == pid);
	CHECK(memcmp(cmd[0], cmd[1], sizeof(cmd[0])) == 0);
	CHECK(memcmp(env[0], env[1], sizeof(env[0])) == 0);
	CHECK(memcmp(auxv[0], auxv[1], sizeof(auxv[0])) == 0);
	CHECK(strcmp(comm[0], "own-name\n") == 0 && strcmp(comm[1], comm[0]) == 0);
	CHECK(strcmp(exe[0], exe[1]) == 0);
	CHECK(getauxval(AT_SYSINFO_EHDR) != 0);
	CHECK(t1.tv_sec > t0.tv_sec || (t1.tv_sec == t0.tv_sec && t1.tv_nsec >= t0.tv_nsec));
	if (strcmp(lay[0], lay[1]))
		subject_fail(lay[0], 0, lay[1]);
	subject_pass();
}
