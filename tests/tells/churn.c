// SPDX-License-Identifier: Apache-2.0
/*
 * churn: processes that write to their memory all the time, and check that it holds what they
 * wrote; beside them threads in blocking calls (blocked.h). For tests that do something to it
 * meanwhile.
 *
 * usage: churn STATUS MIB PROCESSES. Counters go to the mapped file STATUS (struct status, 64-bit
 * little-endian words; lib/untouched.py reads it). MIB is for all processes together.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "blocked.h"

#define PROCESSES_MAX 8
#define PAGE	      4096UL

/* Every member is a word of its own; `ready` is written last. */
struct status {
	atomic_long ready, processes;
	atomic_long wrong;   /* pages that held something else */
	atomic_long ended;   /* blocking calls that ended as they should not */
	atomic_long early;   /* calls that ended before their time */
	atomic_long signals; /* that came */
	atomic_long calls;   /* a sign of life of the blocking calls with a timeout */
	atomic_long turns[PROCESSES_MAX];
	struct blocked_count blocked[BLOCKED_MAX];
};

static struct status *status; /* for the signal handler */

static void count(int sig)
{
	(void)sig;
	atomic_fetch_add(&status->signals, 1);
}

/* Every page holds the turn it was last written in, at a place that changes with the turn. */
static void churn(size_t bytes, atomic_long *turns)
{
	struct timespec pause = { .tv_nsec = 500000 };
	size_t i, pages = bytes / PAGE;
	unsigned long turn;
	char *base;

	base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		exit(1);
	madvise(base, bytes / 2, MADV_HUGEPAGE);
	for (turn = 1;; turn++) {
		for (i = 0; i < pages; i++) {
			unsigned long *page = (unsigned long *)(base + i * PAGE);

			if (turn > 1 && page[(turn - 1) % 512] != turn - 1 + i)
				atomic_fetch_add(&status->wrong, 1);
			page[turn % 512] = turn + i;
			if (i % 256 == 255) {
				atomic_fetch_add(turns, 1);
				nanosleep(&pause, NULL);
			}
		}
	}
}

static void sum_up(int n)
{
	long ended = 0, early = 0, calls = 0;
	int i;

	for (i = 0; i < n; i++) {
		ended += status->blocked[i].ended[0];
		early += status->blocked[i].early[0];
		calls += status->blocked[i].rounds[0];
	}
	atomic_store(&status->ended, ended);
	atomic_store(&status->early, early);
	atomic_store(&status->calls, calls);
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = count, .sa_flags = SA_RESTART };
	static const atomic_int window;
	int fd, i, sig, n_blocked, processes;
	size_t mib;

	if (argc != 4)
		return 2;
	mib = strtoul(argv[2], NULL, 10);
	processes = atoi(argv[3]);
	if (mib == 0 || processes < 1 || processes > PROCESSES_MAX)
		return 2;
	fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || ftruncate(fd, sizeof(*status)) < 0)
		return 1;
	status = mmap(NULL, sizeof(*status), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (status == MAP_FAILED)
		return 1;
	for (sig = 1; sig < 65; sig++)
		sigaction(sig, &sa, NULL); /* fails for those that cannot be caught */
	for (i = 0; i < processes; i++)
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			churn((mib << 20) / processes, &status->turns[i]);
		}
	n_blocked = blocked_start(status->blocked, &window);
	status->processes = processes;
	for (;;) {
		sum_up(n_blocked);
		atomic_store(&status->ready, 1);
		usleep(20000);
	}
}
