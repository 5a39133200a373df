// SPDX-License-Identifier: Apache-2.0
/* Resource limits, scheduling, affinity, nice, I/O priority, umask, personality and the prctl
 * family. */
#include "subject.h"

#include <linux/ioprio.h>
#include <sys/personality.h>
#include <sys/resource.h>

static int read_int(const char *path)
{
	FILE *f = fopen(path, "r");
	int v = -99999;

	CHECK(f && fscanf(f, "%d", &v) == 1);
	fclose(f);
	return v;
}

static void describe(char *out, size_t size)
{
	struct sched_param param;
	struct rlimit lim;
	cpu_set_t cpus;
	size_t n = 0;
	int sig;

	for (int i = 0; i < RLIM_NLIMITS; i++) {
		CHECK(getrlimit(i, &lim) == 0);
		n += snprintf(out + n, size - n, "%d:%lx/%lx ", i, (long)lim.rlim_cur,
			      (long)lim.rlim_max);
	}
	CHECK(sched_getparam(0, &param) == 0 && sched_getaffinity(0, sizeof(cpus), &cpus) == 0);
	CHECK(prctl(PR_GET_PDEATHSIG, &sig) == 0);
	n += snprintf(out + n, size - n, "policy %d prio %d cpus %d,%d nice %d ioprio %ld ",
		      sched_getscheduler(0), param.sched_priority, CPU_ISSET(0, &cpus),
		      CPU_ISSET(1, &cpus), getpriority(PRIO_PROCESS, 0),
		      syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0));
	n += snprintf(out + n, size - n, "umask %o personality %x slack %d thp %d death %d oom %d",
		      umask(0123), personality(~0U), prctl(PR_GET_TIMERSLACK),
		      prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), sig,
		      read_int("/proc/self/oom_score_adj"));
	umask(0123);
	CHECK(n < size);
}

int main(int argc, char **argv)
{
	static char before[4096], after[4096];
	struct rlimit lim;
	cpu_set_t cpus;
	FILE *oom;

	subject_init(argc, argv);
	CHECK(getrlimit(RLIMIT_NOFILE, &lim) == 0);
	lim.rlim_cur = 200;
	lim.rlim_max = 300;
	CHECK(setrlimit(RLIMIT_NOFILE, &lim) == 0);
	CHECK(setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 4096 }) == 0);
	CHECK(setpriority(PRIO_PROCESS, 0, 5) == 0);
	CHECK(sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){ 0 }) == 0);
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	CHECK(sched_setaffinity(0, sizeof(cpus), &cpus) == 0);
	CHECK(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		      IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 6)) == 0);
	CHECK(personality(ADDR_NO_RANDOMIZE) >= 0);
	CHECK(prctl(PR_SET_TIMERSLACK, 123456) == 0 && prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_PDEATHSIG, SIGURG) == 0);
	oom = fopen("/proc/self/oom_score_adj", "w");
	CHECK(oom && fprintf(oom, "321") > 0 && fclose(oom) == 0);
	umask(0123);
	describe(before, sizeof(before));

	subject_ready();
	subject_wait();

	describe(after, sizeof(after));
	if (strcmp(before, after))
		subject_fail(before, 0, after);
	subject_pass();
}
