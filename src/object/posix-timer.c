// SPDX-License-Identifier: Apache-2.0
/*
 * posix-timer: timers of timer_create(), both directions.
 *
 * /proc/<pid>/timers lists them, the process is asked for their times. Numbers must come back as
 * they were: the program holds them. Linux 6.15 has a prctl for that (PR_TIMER_CREATE_RESTORE_IDS);
 * before, numbers count up, so the unwanted ones between are made and deleted.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "kernel/proc-timers.h"
#include "object/task-kinds.h"

#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS	77
#define PR_TIMER_CREATE_RESTORE_IDS_OFF 0
#define PR_TIMER_CREATE_RESTORE_IDS_ON	1
#define PR_TIMER_CREATE_RESTORE_IDS_GET 2
#endif

#define TIMER_ID_MAX 100000 /* more creations than this to reach a number are not tried */

/* The part of struct sigevent that the kernel reads. */
struct kernel_sigevent {
	uint64_t value;
	int32_t signo, notify;
	int32_t tid;
	char pad[64 - 20];
};

struct posix_timer_state {
	struct proc_timers timers;
	struct itimerspec *values; /* one a timer */
	int first;		   /* index of the first of two calls a timer */
};

static int posix_timer_ask(struct capture *cap, struct task_capture *tc, struct script *s,
			   void **state, struct error *err)
{
	struct posix_timer_state *st = arena_new(&cap->set->arena, struct posix_timer_state);
	uint64_t at;
	size_t i;
	int r, call;

	if (!st)
		return error_nomem(err);
	r = proc_timers_read(tc->task->proc_fd, &cap->set->arena, &st->timers, err);
	if (r < 0)
		return r;
	*state = st;
	if (!st->timers.n_timers)
		return 0;
	at = script_alloc(s, st->timers.n_timers * sizeof(struct itimerspec), (void **)&st->values);
	if (!at)
		return error_nomem(err);
	for (i = 0; i < st->timers.n_timers; i++) {
		call = script_call(s, SYS_timer_gettime, st->timers.timers[i].id,
				   at + i * sizeof(struct itimerspec));
		script_call(s, SYS_timer_getoverrun, st->timers.timers[i].id);
		if (i == 0)
			st->first = call;
	}
	return 0;
}

static pid_t tid_inside(const struct task *task, pid_t tid)
{
	size_t i;

	for (i = 0; i < task->n_threads; i++)
		if (task->threads[i].tid == tid)
			return task->threads[i].ns_tid;
	return 0;
}

static int fill(struct task_capture *tc, const struct posix_timer_state *st, size_t i,
		struct script *s, Img__PosixTimer *timer, struct error *err)
{
	const struct proc_timer *from = &st->timers.timers[i];
	int call = st->first + 2 * (int)i;

	if (script_result(s, call) < 0)
		return script_failed(s, call, tc, "timer_gettime", err);
	timer->it_id = (uint32_t)from->id;
	timer->clock_id = (uint32_t)from->clockid;
	timer->si_signo = (uint32_t)from->signo;
	timer->it_sigev_notify = (uint32_t)from->notify;
	timer->sival_ptr = from->sigval;
	timer->overrun = (uint32_t)MAX(script_result(s, call + 1), (int64_t)0);
	timer->isec = (uint64_t)st->values[i].it_interval.tv_sec;
	timer->insec = (uint64_t)st->values[i].it_interval.tv_nsec;
	timer->vsec = (uint64_t)st->values[i].it_value.tv_sec;
	timer->vnsec = (uint64_t)st->values[i].it_value.tv_nsec;
	if (from->notify & SIGEV_THREAD_ID) {
		timer->has_notify_thread_id = true;
		timer->notify_thread_id = tid_inside(tc->task, from->notify_pid);
	}
	return 0;
}

static int posix_timer_take(struct capture *cap, struct task_capture *tc, struct script *s,
			    void *state, struct error *err)
{
	Img__TaskTimers *out = tc->core->tc->timers; /* made by the itimer kind before us */
	const struct posix_timer_state *st = state;
	size_t i;
	int r;

	out->posix = arena_array(&cap->set->arena, Img__PosixTimer *, st->timers.n_timers);
	if (!out->posix)
		return error_nomem(err);
	for (i = 0; i < st->timers.n_timers; i++) {
		out->posix[i] = img_new(cap->set, Img__PosixTimer, posix_timer);
		if (!out->posix[i])
			return error_nomem(err);
		r = fill(tc, st, i, s, out->posix[i], err);
		if (r < 0)
			return r;
		out->n_posix++;
	}
	return 0;
}

static bool kernel_restores_ids(void)
{
	return prctl(PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_GET, 0, 0, 0) >= 0;
}

static bool has_thread(const struct restore_task *task, uint32_t tid)
{
	size_t i;

	for (i = 0; i < task->n_threads; i++)
		if ((uint32_t)task->threads[i].tid == tid)
			return true;
	return false;
}

/*
 * CRIU 4.x writes a chance number for the thread of a timer in a pid namespace, and the kernel
 * refuses a thread that is not there. A single thread is the one that was meant; with more, the
 * timer keeps its number and its time, and tells nobody.
 */
static void check_thread(struct restore *rst, struct restore_task *task,
			 const Img__PosixTimer *timer, struct kernel_sigevent *event)
{
	if (!(event->notify & SIGEV_THREAD_ID) || has_thread(task, (uint32_t)event->tid))
		return;
	if (task->n_threads == 1) {
		event->tid = task->threads[0].tid;
		return;
	}
	restore_gap(rst, GAP_DEGRADED, "posix-timer", task->pid, "thread",
		    "timer %u has no thread %u to signal", timer->it_id, (uint32_t)event->tid);
	event->notify = SIGEV_NONE;
}

static int create(struct restore *rst, struct restore_task *task, struct script *s,
		  const Img__PosixTimer *timer, struct error *err)
{
	struct kernel_sigevent event = {
		.value = timer->sival_ptr,
		.signo = (int32_t)timer->si_signo,
		.notify = (int32_t)timer->it_sigev_notify,
		.tid = timer->has_notify_thread_id ? timer->notify_thread_id : 0,
	};
	struct itimerspec value = {
		.it_interval = { (time_t)timer->isec, (long)timer->insec },
		.it_value = { (time_t)timer->vsec, (long)timer->vnsec },
	};
	int32_t id = (int32_t)timer->it_id;
	uint64_t event_at, id_at, value_at;

	check_thread(rst, task, timer, &event);
	event_at = script_data(s, &event, sizeof(event));
	id_at = script_data(s, &id, sizeof(id));
	value_at = script_data(s, &value, sizeof(value));
	if (!event_at || !id_at || !value_at)
		return error_nomem(err);
	script_need(s, SYS_timer_create, timer->clock_id, event_at, id_at);
	script_need(s, SYS_timer_settime, timer->it_id, 0, value_at, 0);
	return 0;
}

/* Kernels that count: use up the numbers from *next to id. */
static int skip_to(struct script *s, uint32_t *next, uint32_t id, struct error *err)
{
	struct kernel_sigevent event = { .notify = SIGEV_NONE };
	uint64_t event_at = script_data(s, &event, sizeof(event));
	uint64_t id_at = script_data(s, &(uint64_t){ 0 }, sizeof(uint64_t));

	if (!event_at || !id_at)
		return error_nomem(err);
	if (id > TIMER_ID_MAX)
		return error_set(err, ERROR_SYSTEM, ERANGE,
				 "timer number %u cannot be reached on this kernel", id);
	for (; *next < id; ++*next) {
		script_need(s, SYS_timer_create, CLOCK_MONOTONIC, event_at, id_at);
		script_need(s, SYS_timer_delete, *next);
	}
	++*next;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const Img__PosixTimer *x = *(Img__PosixTimer *const *)a, *y = *(Img__PosixTimer *const *)b;

	return x->it_id < y->it_id ? -1 : x->it_id > y->it_id;
}

static int posix_timer_revive(struct restore *rst, struct restore_task *task, size_t thread,
			      struct script *s, struct error *err)
{
	Img__TaskTimers *timers = task->core->tc->timers;
	bool direct = kernel_restores_ids();
	uint32_t next = 0;
	size_t i;
	int r = 0;

	if (thread != 0 || !timers || !timers->n_posix)
		return 0;
	qsort(timers->posix, timers->n_posix, sizeof(*timers->posix), by_id);
	if (direct)
		script_need(s, SYS_prctl, PR_TIMER_CREATE_RESTORE_IDS,
			    PR_TIMER_CREATE_RESTORE_IDS_ON);
	for (i = 0; r == 0 && i < timers->n_posix; i++) {
		if (!direct)
			r = skip_to(s, &next, timers->posix[i]->it_id, err);
		if (r == 0)
			r = create(rst, task, s, timers->posix[i], err);
	}
	if (direct)
		script_need(s, SYS_prctl, PR_TIMER_CREATE_RESTORE_IDS,
			    PR_TIMER_CREATE_RESTORE_IDS_OFF);
	return r;
}

const struct task_kind posix_timer_kind = {
	.name = "posix-timer",
	.ask = posix_timer_ask,
	.take = posix_timer_take,
	.revive_thread = posix_timer_revive,
};
