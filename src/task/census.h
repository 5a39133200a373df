/* SPDX-License-Identifier: Apache-2.0 */
/*
 * census: who belongs to a tree of tasks, found while they run and attached to as they are found.
 *
 * For seize.c. Tasks are never taken out of the tree here before census_compact(): pointers stay
 * good while a stop is under way (arrays of threads may move, tasks do not).
 */
#pragma once

#include "task/task.h"

struct census {
	struct op *op;
	struct task_tree *tree;
	uint64_t deadline_ns;
	bool interrupt; /* newcomers are interrupted at once */
	bool found;	/* somebody new since this was last cleared */
	/*
	 * Somebody was gone when we came, or has ended: lists that were being read may have skipped
	 * others. A scan with neither has seen everybody: whoever it listed is attached to us, what
	 * they bear is too, and nobody leaves their lists before we have heard of it.
	 */
	bool unsure;
};

/*
 * census_root - add a root, and when it is the init of a pid namespace all of that namespace.
 * Returns 1 added, 0 dead already, or a negative errno.
 */
int census_root(struct census *c, pid_t pid, struct error *err) _must_check_;

/* census_scan - look once for new threads and children of all that are known. */
int census_scan(struct census *c, struct error *err) _must_check_;

/* census_look - open files for the stop, while everybody runs and nobody waits for it. */
void census_look(struct census *c);

/* census_born - a child reported by TRACE_BIRTH: attached to us already. */
int census_born(struct census *c, pid_t tid, struct error *err) _must_check_;

/* census_compact - the end: dead threads and tasks leave, zombies stay, parents get before
 * children. */
int census_compact(struct census *c, struct error *err) _must_check_;

/* census_task_close - the descriptors of one task. */
void census_task_close(struct task *task);
