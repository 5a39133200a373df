/* SPDX-License-Identifier: Apache-2.0 */
/*
 * birth: tasks are born: pids, sessions, groups, descriptors.
 *
 * Runs in the newborn tasks themselves, forks of the controller that share nothing with it but the
 * board. None of these functions returns in a task of the image: it ends as a puppet, or as a
 * zombie.
 */
#pragma once

#include "restore/run.h"

/* birth_top - the life of pid 1, after clone. */
_Noreturn void birth_top(struct run *run);

/* birth_fail - report an error and end this process. */
_Noreturn void birth_fail(struct run *run, const struct error *err);

/* birth_live - give birth to the children of a node, take its own place, wait to be a puppet. */
_Noreturn void birth_live(struct run *run, const struct plan_node *node);

/* belongings_take - in a task: descriptors at their numbers, what the kinds of task have to say in
 * plain C, and room for scripts. */
int belongings_take(struct run *run, const struct plan_node *node, struct error *err) _must_check_;

/* init_live - amber's own init: reaps until the root task ends, then ends like it. */
_Noreturn void init_live(struct run *run);
