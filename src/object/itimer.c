// SPDX-License-Identifier: Apache-2.0
/*
 * itimer: the three interval timers of a process, both directions.
 */
#include <sys/syscall.h>
#include <sys/time.h>

#include "object/task-kinds.h"

#define TIMERS 3 /* ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF: 0, 1, 2 */

struct itimer_state {
	int calls[TIMERS];
	struct itimerval *values;
};

static int itimer_ask(struct capture *cap, struct task_capture *tc, struct script *s, void **state,
		      struct error *err)
{
	struct itimer_state *st = arena_new(&cap->set->arena, struct itimer_state);
	uint64_t at;
	int i;

	(void)tc;
	if (!st)
		return error_nomem(err);
	at = script_alloc(s, TIMERS * sizeof(struct itimerval), (void **)&st->values);
	if (!at)
		return error_nomem(err);
	for (i = 0; i < TIMERS; i++)
		st->calls[i] = script_call(s, SYS_getitimer, i, at + i * sizeof(struct itimerval));
	*state = st;
	return 0;
}

static int itimer_take(struct capture *cap, struct task_capture *tc, struct script *s, void *state,
		       struct error *err)
{
	Img__TaskTimers *timers = img_new(cap->set, Img__TaskTimers, task_timers);
	const struct itimer_state *st = state;
	Img__Itimer *entries[TIMERS];
	int i;

	if (!timers)
		return error_nomem(err);
	for (i = 0; i < TIMERS; i++) {
		if (script_result(s, st->calls[i]) < 0)
			return script_failed(s, st->calls[i], tc, "getitimer", err);
		entries[i] = img_new(cap->set, Img__Itimer, itimer);
		if (!entries[i])
			return error_nomem(err);
		entries[i]->isec = (uint64_t)st->values[i].it_interval.tv_sec;
		entries[i]->iusec = (uint64_t)st->values[i].it_interval.tv_usec;
		entries[i]->vsec = (uint64_t)st->values[i].it_value.tv_sec;
		entries[i]->vusec = (uint64_t)st->values[i].it_value.tv_usec;
	}
	timers->real = entries[ITIMER_REAL];
	timers->virt = entries[ITIMER_VIRTUAL];
	timers->prof = entries[ITIMER_PROF];
	tc->core->tc->timers = timers;
	return 0;
}

static int itimer_revive(struct restore *rst, struct restore_task *task, size_t thread,
			 struct script *s, struct error *err)
{
	const Img__TaskTimers *timers = task->core->tc->timers;
	const Img__Itimer *entry;
	struct itimerval value;
	uint64_t at;
	int i;

	(void)rst;
	if (thread != 0 || !timers)
		return 0;
	for (i = 0; i < TIMERS; i++) {
		entry = i == ITIMER_REAL      ? timers->real
			: i == ITIMER_VIRTUAL ? timers->virt
					      : timers->prof;
		if (!entry->vsec && !entry->vusec && !entry->isec && !entry->iusec)
			continue;
		value = (struct itimerval){
			.it_interval = { (time_t)entry->isec, (suseconds_t)entry->iusec },
			.it_value = { (time_t)entry->vsec, (suseconds_t)entry->vusec },
		};
		/* An interval without a value: it has fired, and the kernel winds it up again only
		 * when its signal is taken, which is among the pending ones of this copy. */
		if (!entry->vsec && !entry->vusec)
			value.it_value = value.it_interval;
		at = script_data(s, &value, sizeof(value));
		if (!at)
			return error_nomem(err);
		script_need(s, SYS_setitimer, i, at, 0);
	}
	return 0;
}

const struct task_kind itimer_kind = {
	.name = "itimer",
	.ask = itimer_ask,
	.take = itimer_take,
	.revive_thread = itimer_revive,
};
