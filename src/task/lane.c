// SPDX-License-Identifier: Apache-2.0
/*
 * lane: calls that several threads of a task make at the same time, each its own.
 *
 * The session's own thread stands in the loop meanwhile, and maps and unmaps for all. A thread of a
 * lane has no frames on its stack: the loop takes it home by registers. So if we die while lanes
 * run, each of them finds home, but nobody may unmap the scratch area, where others could still be:
 * it stays.
 */
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "task/regs.h"
#include "task/session.h"
#include "task/settle.h"
#include "task/trace.h"

#define LANES_MAX 192		    /* as many tails fit behind the loop */
#define LANE_ROOM ((size_t)8 << 10) /* that must be left for the calls of one more */

int script_also(struct script *s, struct thread *thread, struct error *err)
{
	struct borrowed lane = { .thread = thread, .home_mask = thread->sigmask };

	if (s->adopted || thread->task != s->own.thread->task || thread == s->own.thread)
		return error_set(err, ERROR_INTERNAL, EINVAL, "thread %d cannot join a session",
				 thread->tid);
	if (s->n_lanes == LANES_MAX || s->shadow_size - s->used < LANE_ROOM)
		return error_set(err, ERROR_SYSTEM, ENOSPC,
				 "no room for the calls of one more thread");
	lane.trap_signal = borrow_choose_trap(thread);
	if (!lane.trap_signal || regs_shadow_stack(thread))
		return error_set(err, ERROR_SYSTEM, EOPNOTSUPP,
				 "thread %d cannot make calls beside others", thread->tid);
	if (!s->lanes) {
		s->lanes = calloc(LANES_MAX, sizeof(*s->lanes));
		if (!s->lanes)
			return error_nomem(err);
	}
	lane.mask = ~(1ULL << (lane.trap_signal - 1));
	lane.header = session_reserve(s, sizeof(struct loop_header));
	settle_home(thread, &lane.home);
	s->lanes[s->n_lanes++] = lane;
	return 0;
}

/* What the loop must know of each lane. The threads that are going to run write into it. */
static int put_lanes(struct script *s, struct error *err)
{
	unsigned char tails[LANES_MAX][ARCH_TAIL_BYTES];
	uint64_t first = session_tail(s, &s->lanes[0]);
	int r;

	for (size_t i = 0; i < s->n_lanes; i++) {
		struct borrowed *lane = &s->lanes[i];

		borrow_fill_header(s, lane);
		arch_loop_tail(tails[i], session_tail(s, lane), session_remote(s, lane->header));
	}
	/* From here on the session's own thread would go home without unmapping. */
	session_header(s)->home_frame = 0;
	r = trace_write(s->own.thread->tid, s->mem_fd, first, tails, s->n_lanes * ARCH_TAIL_BYTES);
	if (r < 0)
		return error_errno(err, -r, "writing a script into task %d (%s) at 0x%llx",
				   s->own.thread->task->pid, s->own.thread->task->comm,
				   (unsigned long long)first);
	return run_put_scratch(s, err);
}

static int start(struct script *s, struct borrowed *lane, struct error *err)
{
	struct user_regs_struct regs = lane->home;
	int r;

	r = borrow_seccomp(s, lane, err);
	if (r < 0)
		return r;
	arch_loop_enter(&regs, s->code, session_remote(s, lane->header), 0, 0);
	lane->thread->script = true;
	lane->lane = LANE_STANDS;
	r = regs_set(lane->thread, &regs, err);
	if (r == 0)
		r = regs_set_sigmask(lane->thread, lane->mask, err);
	if (r == 0)
		r = run_start(s, lane, err);
	if (r == 0)
		lane->lane = LANE_RUNS;
	return r;
}

/* The first failure is told; the others are brought home all the same. */
static int finish(struct script *s, int result, struct error *err)
{
	struct borrowed *lane;
	int r;

	for (lane = s->lanes; lane < s->lanes + s->n_lanes; lane++) {
		if (lane->lane != LANE_RUNS)
			continue;
		r = run_finish(s, lane, result < 0 ? NULL : err);
		lane->lane = LANE_STANDS;
		if (r < 0 && result == 0)
			result = r;
	}
	for (lane = s->lanes; lane < s->lanes + s->n_lanes; lane++) {
		if (lane->lane != LANE_STANDS)
			continue;
		r = borrow_go_home(s, lane, result < 0 ? NULL : err);
		lane->lane = LANE_HOME;
		if (r < 0 && result == 0)
			result = r;
	}
	return result;
}

int lanes_run(struct script *s, struct error *err)
{
	size_t frame = offsetof(struct loop_header, home_frame);
	uint64_t home_frame = session_header(s)->home_frame;
	int r;

	r = put_lanes(s, err);
	for (size_t i = 0; r == 0 && i < s->n_lanes; i++)
		r = start(s, &s->lanes[i], err);
	r = finish(s, r, err);
	if (r == 0)
		r = run_read(s, err);
	/* All are home: it unmaps again. */
	session_header(s)->home_frame = home_frame;
	s->n_lanes = 0;
	if (r == 0 &&
	    trace_write(s->own.thread->tid, s->mem_fd, session_remote(s, s->own.header + frame),
			&home_frame, sizeof(home_frame)) < 0)
		r = error_set(err, ERROR_SYSTEM, EFAULT, "writing into task %d (%s)",
			      s->own.thread->task->pid, s->own.thread->task->comm);
	return r;
}
