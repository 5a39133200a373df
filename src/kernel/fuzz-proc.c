// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz-proc: all parsers of /proc texts; the first byte says which.
 */
#include "kernel/proc-cgroup.h"
#include "kernel/proc-fdinfo.h"
#include "kernel/proc-limits.h"
#include "kernel/proc-maps.h"
#include "kernel/proc-mountinfo.h"
#include "kernel/proc-stat.h"
#include "kernel/proc-status.h"
#include "kernel/proc-tasks.h"
#include "kernel/proc-timers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

union result {
	struct proc_maps maps;
	struct proc_stat stat;
	struct proc_status status;
	struct proc_limits limits;
	struct proc_locks locks;
	struct proc_fdinfo fdinfo;
	struct proc_timers timers;
	struct proc_cgroups cgroups;
	struct proc_mounts mounts;
	struct proc_numbers numbers;
};

static int parse(uint8_t which, struct bytes text, struct arena *arena, struct error *err)
{
	union result result;

	switch (which) {
	case 'm':
		return proc_maps_parse(text, arena, &result.maps, err);
	case 's':
		return proc_stat_parse(text, &result.stat, err);
	case 'u':
		return proc_status_parse(text, arena, &result.status, err);
	case 'l':
		return proc_limits_parse(text, &result.limits, err);
	case 'k':
		return proc_locks_parse(text, arena, &result.locks, err);
	case 'f':
		return proc_fdinfo_parse(text, arena, &result.fdinfo, err);
	case 't':
		return proc_timers_parse(text, arena, &result.timers, err);
	case 'c':
		return proc_cgroup_parse(text, arena, &result.cgroups, err);
	case 'i':
		return proc_mountinfo_parse(text, arena, &result.mounts, err);
	case 'n':
		result.numbers = (struct proc_numbers){ 0 };
		return proc_children_parse(text, arena, &result.numbers, err);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { .limit = 1 << 24 };
	struct error err = ERROR_INIT;
	int r;

	if (size == 0)
		return 0;
	r = parse(data[0], (struct bytes){ data + 1, size - 1 }, &arena, &err);
	if ((r < 0) != (err.errnum != 0))
		__builtin_trap();
	arena_deinit(&arena);
	return 0;
}
