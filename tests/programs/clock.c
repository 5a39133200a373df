// SPDX-License-Identifier: Apache-2.0
/*
 * clock: looks at the clock over and over inside a container and writes down every gap.
 *
 * A process cannot see that it was stopped, but it can see that time went by between two looks.
 * Each gap of 2 ms or more becomes a line "END GAP" (both in microseconds of CLOCK_MONOTONIC, which
 * a container shares with its host) in the file named by argv[1]. It naps for 100 us between looks,
 * so that it measures the container and not itself; what the scheduler adds is visible in the lines
 * outside the checkpoint's time.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define WORTH_TELLING_US 2000

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
	const struct timespec nap = { .tv_nsec = 100000 };
	int64_t last, now;
	char line[64];
	int fd;

	fd = argc == 2 ? open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0644) : -1;
	if (fd < 0) {
		fprintf(stderr, "usage: %s FILE\n", argv[0]);
		return 2;
	}
	prctl(PR_SET_TIMERSLACK, 1000);
	for (last = now_us();; last = now) {
		nanosleep(&nap, NULL);
		now = now_us();
		if (now - last >= WORTH_TELLING_US) {
			int n = snprintf(line, sizeof(line), "%lld %lld\n", (long long)now,
					 (long long)(now - last));

			if (write(fd, line, n) != n)
				return 1;
			now = now_us();
		}
	}
}
