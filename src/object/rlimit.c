// SPDX-License-Identifier: Apache-2.0
/*
 * rlimit: the resource limits of a process, both directions.
 *
 * Read from /proc/<pid>/limits: prlimit() from outside is refused for other uids without
 * CAP_SYS_RESOURCE, and a question inside is not needed.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "kernel/proc-limits.h"
#include "object/task-kinds.h"

static int rlimit_take(struct capture *cap, struct task_capture *tc, struct script *s, void *state,
		       struct error *err)
{
	Img__TaskRlimits *out = img_new(cap->set, Img__TaskRlimits, task_rlimits);
	struct proc_limits limits = { 0 };
	size_t i;
	int r;

	(void)s, (void)state;
	r = proc_limits_read(tc->task->proc_fd, &limits, err);
	if (r < 0)
		return r;
	if (!out)
		return error_nomem(err);
	out->rlimits = arena_array(&cap->set->arena, Img__Rlimit *, RLIM_NLIMITS);
	if (!out->rlimits)
		return error_nomem(err);
	for (i = 0; i < RLIM_NLIMITS; i++) {
		out->rlimits[i] = img_new(cap->set, Img__Rlimit, rlimit);
		if (!out->rlimits[i])
			return error_nomem(err);
		out->rlimits[i]->cur = limits.limit[i].soft;
		out->rlimits[i]->max = limits.limit[i].hard;
		out->n_rlimits++;
	}
	tc->core->tc->rlimits = out;
	return 0;
}

/* Hard limits can only be raised with CAP_SYS_RESOURCE: try it on ourselves, which changes nothing.
 */
static bool may_raise(void)
{
	struct rlimit old, wish;

	if (getrlimit(RLIMIT_NICE, &old) < 0 || old.rlim_max == RLIM_INFINITY)
		return true;
	wish = (struct rlimit){ old.rlim_cur, old.rlim_max + 1 };
	if (setrlimit(RLIMIT_NICE, &wish) < 0)
		return false;
	(void)setrlimit(RLIMIT_NICE, &old);
	return true;
}

static int rlimit_revive(struct restore *rst, struct restore_task *task, size_t thread,
			 struct script *s, struct error *err)
{
	const Img__TaskRlimits *limits = task->core->tc->rlimits;
	bool raise = may_raise();
	struct rlimit own, wish;
	char subject[32];
	uint64_t at;
	size_t i;

	if (thread != 0 || !limits)
		return 0;
	for (i = 0; i < limits->n_rlimits && i < RLIM_NLIMITS; i++) {
		if (getrlimit((int)i, &own) < 0)
			continue;
		wish = (struct rlimit){ limits->rlimits[i]->cur, limits->rlimits[i]->max };
		if (wish.rlim_max > own.rlim_max && !raise) {
			snprintf(subject, sizeof(subject), "limit %zu", i);
			restore_gap(rst, GAP_COSMETIC, "rlimit", task->pid, subject,
				    "hard limit %llu stays at %llu: raising it needs "
				    "CAP_SYS_RESOURCE",
				    (unsigned long long)wish.rlim_max,
				    (unsigned long long)own.rlim_max);
			wish.rlim_max = own.rlim_max;
			wish.rlim_cur = MIN(wish.rlim_cur, wish.rlim_max);
		}
		at = script_data(s, &wish, sizeof(wish));
		if (!at)
			return error_nomem(err);
		script_need(s, SYS_prlimit64, 0, i, at, 0);
	}
	return 0;
}

const struct task_kind rlimit_kind = {
	.name = "rlimit",
	.take = rlimit_take,
	.revive_thread = rlimit_revive,
};
