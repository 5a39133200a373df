// SPDX-License-Identifier: Apache-2.0
/*
 * test-proc: stat, status, limits, timers, cgroup, mountinfo and task lists: known texts, and this
 * very process and its children.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "kernel/proc-cgroup.h"
#include "kernel/proc-limits.h"
#include "kernel/proc-mountinfo.h"
#include "kernel/proc-stat.h"
#include "kernel/proc-status.h"
#include "kernel/proc-tasks.h"
#include "kernel/proc-timers.h"
#include "kernel/proc.h"

#define TEXT(s) ((struct bytes){ (const unsigned char *)(s), strlen(s) })

struct world {
	int proc;
	struct arena arena;
	struct error err;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	*state = w;
	return w ? proc_open(getpid(), &w->proc, &w->err) : -1;
}

static int teardown(void **state)
{
	struct world *w = *state;

	close(w->proc);
	arena_deinit(&w->arena);
	free(w);
	return 0;
}

static void test_stat(void **state)
{
	static const char text[] =
		"42 (a) S (b\n) Z 1 42 41 34816 -1 4194560 1 2 3 4 5 6 -7 8 20 -5 3 0 1000 8192 11 "
		"18446744073709551615 4096 8192 140737000000000 0 0 0 0 4096 0 0 0 0 17 1 99 2 0 0 "
		"0 "
		"12288 12400 20480 140737000000100 140737000000200 140737000000200 140737000000300 "
		"256\n";
	struct world *w = *state;
	struct proc_stat stat;

	assert_int_equal(proc_stat_parse(TEXT(text), &stat, &w->err), 0);
	assert_int_equal(stat.pid, 42);
	assert_string_equal(stat.comm, "a) S (b\n");
	assert_int_equal(stat.state, 'Z');
	assert_int_equal(stat.ppid, 1);
	assert_int_equal(stat.session, 41);
	assert_int_equal(stat.tty_nr, 34816);
	assert_int_equal(stat.tpgid, -1);
	assert_int_equal(stat.cutime, -7);
	assert_int_equal(stat.nice, -5);
	assert_int_equal(stat.start_time, 1000);
	assert_int_equal(stat.exit_signal, 17);
	assert_int_equal(stat.rt_priority, 99);
	assert_int_equal(stat.policy, 2);
	assert_int_equal(stat.start_brk, 20480);
	assert_int_equal(stat.env_end, 140737000000300);
	assert_int_equal(stat.exit_code, 256);
	assert_int_equal(proc_stat_parse(TEXT(""), &stat, &w->err), -EBADMSG);
	assert_int_equal(proc_stat_parse(TEXT("1 (x S 1 2"), &stat, &w->err), -EBADMSG);
	assert_int_equal(proc_stat_parse(TEXT("1 (x) S 1 2"), &stat, &w->err), -EBADMSG);

	assert_int_equal(prctl(PR_SET_NAME, ") \\q\n)"), 0);
	assert_int_equal(proc_stat_read(w->proc, &stat, &w->err), 0);
	assert_int_equal(stat.pid, getpid());
	assert_int_equal(stat.ppid, getppid());
	assert_int_equal(stat.pgrp, getpgrp());
	assert_string_equal(stat.comm, ") \\q\n)");
	assert_true(stat.start_stack > (uintptr_t)&stat);
	assert_true(stat.arg_end > stat.arg_start && stat.env_start >= stat.arg_end);
	assert_true(stat.start_time > 0 && stat.start_code < (uintptr_t)test_stat);
}

static void test_status(void **state)
{
	static const char text[] =
		"Name:\t a\\\\b\\n\nUmask:\t0022\nState:\tt (tracing stop)\n"
		"Tgid:\t7\nPid:\t8\nPPid:\t1\nTracerPid:\t3\n"
		"Uid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t10 20 4294967294 \n"
		"NStgid:\t7\t1\nNSpid:\t8\t2\nNSpgid:\t7\t1\nNSsid:\t7\t0\n"
		"VmSize:\t 12 kB\nSigQ:\t1/96365\nSigBlk:\tfffffffe7ffbfeff\n"
		"CapEff:\t000001fffeffffff\nNoNewPrivs:\t1\nSeccomp:\t2\n"
		"Seccomp_filters:\t3\nNewLine:\twhat\n";
	struct world *w = *state;
	struct proc_status status;
	sigset_t mask;

	assert_int_equal(proc_status_parse(TEXT(text), &w->arena, &status, &w->err), 0);
	assert_string_equal(status.name, " a\\b\n");
	assert_true(status.has_umask && status.umask == 022);
	assert_int_equal(status.state, 't');
	assert_int_equal(status.uid[PROC_ID_FS], 4);
	assert_int_equal(status.gid[PROC_ID_SAVED], 7);
	assert_int_equal(status.n_groups, 3);
	assert_int_equal(status.groups[2], 4294967294);
	assert_int_equal(status.n_ns, 2);
	assert_int_equal(status.ns_pid[1], 2);
	assert_int_equal(status.vm_size, 12 << 10);
	assert_int_equal(status.sig_q, 1);
	assert_int_equal(status.sig_q_limit, 96365);
	assert_true(status.sig_blk == 0xfffffffe7ffbfeff);
	assert_true(status.no_new_privs && status.seccomp == 2 && status.seccomp_filters == 3);
	assert_int_equal(proc_status_parse(TEXT("Name:\tx\n"), &w->arena, &status, &w->err),
			 -EBADMSG);

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	assert_int_equal(sigprocmask(SIG_BLOCK, &mask, NULL), 0);
	assert_int_equal(prctl(PR_SET_NAME, "x\\y\nz"), 0);
	assert_int_equal(proc_status_read(w->proc, &w->arena, &status, &w->err), 0);
	assert_string_equal(status.name, "x\\y\nz");
	assert_true(status.sig_blk & 1ULL << (SIGUSR2 - 1));
	assert_int_equal(status.pid, getpid());
	assert_int_equal(status.uid[PROC_ID_EFFECTIVE], geteuid());
	assert_true(status.has_mm && status.vm_rss > 0 && status.n_ns >= 1 && !status.kthread);
}

static void test_limits(void **state)
{
	struct world *w = *state;
	struct proc_limits limits;

	assert_int_equal(proc_limits_read(w->proc, &limits, &w->err), 0);
	for (int i = 0; i < PROC_LIMITS_COUNT; i++) {
		struct rlimit limit;

		assert_int_equal(getrlimit(i, &limit), 0);
		assert_true(limits.limit[i].known);
		assert_true(limits.limit[i].soft == limit.rlim_cur);
		assert_true(limits.limit[i].hard == limit.rlim_max);
	}
	assert_int_equal(proc_limits_parse(TEXT("Limit\n"), &limits, &w->err), -EBADMSG);
	assert_int_equal(proc_limits_parse(TEXT("Max nice priority x y\n"), &limits, &w->err),
			 -EBADMSG);
}

static void test_timers(void **state)
{
	static const char text[] = "ID: 3\nsignal: 60/00007fff86e452a8\nnotify: signal/tid.2634\n"
				   "ClockID: -6\nID: 0\nsignal: 0/(null)\nnotify: none/pid.1\n"
				   "ClockID: 1\n";
	struct world *w = *state;
	struct proc_timers timers;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	timer_t timer;

	assert_int_equal(proc_timers_parse(TEXT(text), &w->arena, &timers, &w->err), 0);
	assert_int_equal(timers.n_timers, 2);
	assert_int_equal(timers.timers[0].id, 3);
	assert_int_equal(timers.timers[0].signo, 60);
	assert_true(timers.timers[0].sigval == 0x7fff86e452a8);
	assert_int_equal(timers.timers[0].notify, SIGEV_SIGNAL | 4);
	assert_int_equal(timers.timers[0].notify_pid, 2634);
	assert_int_equal(timers.timers[0].clockid, -6);
	assert_int_equal(timers.timers[1].notify, SIGEV_NONE);
	assert_int_equal(proc_timers_parse(TEXT("signal: 1/2\n"), &w->arena, &timers, &w->err),
			 -EBADMSG);

	event.sigev_value.sival_ptr = (void *)0x1234abcd;
	assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	assert_int_equal(proc_timers_read(w->proc, &w->arena, &timers, &w->err), 0);
	assert_int_equal(timers.n_timers, 1);
	assert_int_equal(timers.timers[0].signo, SIGUSR1);
	assert_true(timers.timers[0].sigval == 0x1234abcd);
	assert_int_equal(timers.timers[0].notify_pid, getpid());
	assert_int_equal(timers.timers[0].clockid, CLOCK_MONOTONIC);
	timer_delete(timer);
}

static void test_cgroup(void **state)
{
	static const char text[] = "12:cpu,cpuacct:/a:b\n1:name=systemd:/x (deleted)\n0::/\n";
	struct world *w = *state;
	struct proc_cgroups groups;

	assert_int_equal(proc_cgroup_parse(TEXT(text), &w->arena, &groups, &w->err), 0);
	assert_int_equal(groups.n_cgroups, 3);
	assert_string_equal(groups.cgroups[0].controllers, "cpu,cpuacct");
	assert_string_equal(groups.cgroups[0].path, "/a:b");
	assert_true(groups.cgroups[1].deleted);
	assert_string_equal(groups.cgroups[1].path, "/x");
	assert_string_equal(groups.cgroups[2].controllers, "");
	assert_int_equal(proc_cgroup_parse(TEXT("1:x\n"), &w->arena, &groups, &w->err), -EBADMSG);
	assert_int_equal(proc_cgroup_read(w->proc, &w->arena, &groups, &w->err), 0);
	assert_true(groups.n_cgroups > 0);
}

static void test_mountinfo(void **state)
{
	static const char text[] =
		"36 35 98:0 /mnt1 /mnt\\0402\\134x rw,noatime shared:1 master:2 propagate_from:3 - "
		"ext3 "
		"/dev/root rw,errors=continue\n"
		"37 36 0:5 / /a rw,nosuid,noexec,relatime unbindable future:9 - fuse.x  ro,a b\n"
		"38 36 0:6 /net:[4026531840] /run/ns rw - nsfs nsfs rw";
	struct world *w = *state;
	const struct proc_mount *mount;
	struct proc_mounts mounts;
	size_t roots = 0;

	assert_int_equal(proc_mountinfo_parse(TEXT(text), &w->arena, &mounts, &w->err), 0);
	assert_int_equal(mounts.n_mounts, 3);
	mount = proc_mount_find(&mounts, 36);
	assert_string_equal(mount->mountpoint, "/mnt 2\\x");
	assert_string_equal(mount->root, "/mnt1");
	assert_true(mount->shared == 1 && mount->master == 2 && mount->propagate_from == 3);
	assert_true(mount->major == 98 && mount->minor == 0 && mount->parent_id == 35);
	assert_string_equal(mount->source, "/dev/root");
	assert_string_equal(mount->super_options, "rw,errors=continue");
	mount = proc_mount_find(&mounts, 37);
	assert_true(mount->unbindable && !mount->shared);
	assert_string_equal(mount->source, "");
	assert_string_equal(mount->super_options, "ro,a b");
	assert_int_equal(proc_mount_flags(mount->options), MS_NOSUID | MS_NOEXEC | MS_RELATIME);
	assert_null(proc_mount_find(&mounts, 1));
	assert_int_equal(proc_mountinfo_parse(TEXT("1 2 3:4 / / rw shared:1\n"), &w->arena, &mounts,
					      &w->err),
			 -EBADMSG);

	assert_int_equal(proc_mountinfo_read(w->proc, &w->arena, &mounts, &w->err), 0);
	for (size_t i = 0; i < mounts.n_mounts; i++)
		roots += strcmp(mounts.mounts[i].mountpoint, "/") == 0;
	assert_true(roots >= 1);
}

static void *idle(void *arg)
{
	int *pipe_fd = arg;
	char c;

	while (read(*pipe_fd, &c, 1) < 0)
		;
	return NULL;
}

static bool holds(const struct proc_numbers *numbers, int value)
{
	for (size_t i = 0; i < numbers->n_values; i++)
		if (numbers->values[i] == value)
			return true;
	return false;
}

static void test_tasks(void **state)
{
	struct world *w = *state;
	struct proc_numbers numbers = { 0 };
	pthread_t thread;
	int pipe_fds[2];
	char c;
	pid_t child;

	assert_int_equal(proc_children_parse(TEXT("12 13 \n"), &w->arena, &numbers, &w->err), 0);
	assert_int_equal(numbers.n_values, 2);
	assert_int_equal(proc_children_parse(TEXT("12 x"), &w->arena, &numbers, &w->err), -EBADMSG);

	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(pthread_create(&thread, NULL, idle, &pipe_fds[0]), 0);
	child = fork();
	if (child == 0) {
		close(pipe_fds[1]);
		_exit(read(pipe_fds[0], &c, 1) < 0);
	}
	assert_int_equal(proc_threads_read(w->proc, &w->arena, &numbers, &w->err), 0);
	assert_true(numbers.n_values >= 2 && holds(&numbers, getpid()));
	assert_int_equal(proc_children_read(w->proc, &w->arena, &numbers, &w->err), 0);
	assert_true(holds(&numbers, child));
	assert_int_equal(proc_fds_read(w->proc, &w->arena, &numbers, &w->err), 0);
	assert_true(holds(&numbers, pipe_fds[0]) && holds(&numbers, w->proc));
	close(pipe_fds[1]);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(pipe_fds[0]);
}

static void test_gone(void **state)
{
	struct world *w = *state;
	_cleanup_close_ int proc = -1;
	struct proc_stat stat;
	pid_t child = fork();
	int fd;

	if (child == 0) {
		pause();
		_exit(0);
	}
	assert_int_equal(proc_open(child, &proc, &w->err), 0);
	assert_int_equal(proc_stat_read(proc, &stat, &w->err), 0);
	assert_int_equal(stat.ppid, getpid());
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_true(proc_stat_read(proc, &stat, &w->err) < 0);
	assert_int_equal(w->err.class, ERROR_NOT_FOUND);
	assert_non_null(strstr(w->err.text, "stat"));
	assert_int_equal(proc_open(child, &fd, &w->err), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stat, setup, teardown),
		cmocka_unit_test_setup_teardown(test_status, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cgroup, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mountinfo, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tasks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
