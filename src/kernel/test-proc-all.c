// SPDX-License-Identifier: Apache-2.0
/*
 * test-proc-all: every parser on every process of this machine, whatever runs here. A process may
 * end or be out of our reach meanwhile; anything else that fails is a text we do not understand.
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/ns.h"
#include "kernel/proc-cgroup.h"
#include "kernel/proc-fdinfo.h"
#include "kernel/proc-limits.h"
#include "kernel/proc-maps.h"
#include "kernel/proc-mountinfo.h"
#include "kernel/proc-stat.h"
#include "kernel/proc-status.h"
#include "kernel/proc-tasks.h"
#include "kernel/proc-timers.h"
#include "kernel/proc.h"

static bool fine(int r, const struct error *err)
{
	if (r >= 0 || r == -ENOENT || r == -ESRCH || r == -EACCES || r == -EPERM || r == -EINVAL)
		return true;
	print_error("%s\n", err->text);
	return false;
}

/* A task directory: the files that threads have too. */
static void check_task(int fd, struct arena *arena)
{
	struct error err = ERROR_INIT;
	struct proc_status status;
	struct proc_stat stat;
	struct proc_limits limits;
	struct proc_cgroups groups;

	assert_true(fine(proc_stat_read(fd, &stat, &err), &err));
	assert_true(fine(proc_status_read(fd, arena, &status, &err), &err));
	assert_true(fine(proc_limits_read(fd, &limits, &err), &err));
	assert_true(fine(proc_cgroup_read(fd, arena, &groups, &err), &err));
}

static size_t check_process(int fd, struct arena *arena)
{
	struct error err = ERROR_INIT;
	struct proc_numbers threads = { 0 }, fds = { 0 }, children = { 0 };
	struct proc_maps maps = { 0 }, smaps = { 0 };
	struct proc_mounts mounts;
	struct proc_timers timers;
	struct proc_fdinfo info;
	struct ns_set set;

	check_task(fd, arena);
	assert_true(fine(proc_threads_read(fd, arena, &threads, &err), &err));
	for (size_t i = 0; i < threads.n_values; i++) {
		_cleanup_close_ int thread = -1;

		if (proc_open_thread(fd, threads.values[i], &thread, &err) == 0)
			check_task(thread, arena);
	}
	assert_true(fine(proc_children_read(fd, arena, &children, &err), &err));
	assert_true(fine(proc_maps_read(fd, PROC_MAPS_ONLY, arena, &maps, &err), &err));
	assert_true(fine(proc_maps_read(fd, PROC_MAPS_SMAPS, arena, &smaps, &err), &err));
	for (size_t i = 0; i < smaps.n_vmas; i++) {
		if (smaps.vmas[i].vmflags_unknown)
			print_message("unknown VmFlags: %s\n", smaps.vmas[i].vmflags_unknown);
		if (smaps.vmas[i].kind != PROC_VMA_VSYSCALL)
			assert_true(smaps.vmas[i].has_smaps);
	}
	assert_true(fine(proc_mountinfo_read(fd, arena, &mounts, &err), &err));
	assert_true(fine(proc_timers_read(fd, arena, &timers, &err), &err));
	assert_true(fine(ns_read(fd, &set, &err), &err));
	assert_true(fine(proc_fds_read(fd, arena, &fds, &err), &err));
	for (size_t i = 0; i < fds.n_values; i++) {
		info = (struct proc_fdinfo){ 0 };
		assert_true(fine(proc_fdinfo_read(fd, fds.values[i], arena, &info, &err), &err));
		if (info.rest && info.kind == PROC_FDINFO_PLAIN)
			print_message("unknown fdinfo: %s", info.rest);
	}
	return maps.n_vmas;
}

static void test_everyone(void **state)
{
	_cleanup_closedir_ DIR *dir = opendir("/proc");
	struct error err = ERROR_INIT;
	size_t processes = 0, mappings = 0;
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		_cleanup_close_ int fd = -1;
		struct arena arena = ARENA_INIT;
		pid_t pid = atoi(entry->d_name);

		if (pid <= 0 || proc_open(pid, &fd, &err) < 0)
			continue;
		mappings += check_process(fd, &arena);
		processes++;
		arena_deinit(&arena);
	}
	print_message("%zu processes, %zu mappings\n", processes, mappings);
	assert_true(processes > 0 && mappings > 0);
}

static void test_locks(void **state)
{
	struct arena arena = ARENA_INIT;
	struct error err = ERROR_INIT;
	struct proc_locks locks;

	assert_int_equal(proc_locks_read(&arena, &locks, &err), 0);
	arena_deinit(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everyone),
		cmocka_unit_test(test_locks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
