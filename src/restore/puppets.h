/* SPDX-License-Identifier: Apache-2.0 */
/*
 * puppets: the controller's half of a restore: every newborn task gets its memory, threads,
 * attributes and registers, by scripts.
 */
#pragma once

#include "restore/run.h"

/* puppets_seize - stop every living task. */
int puppets_seize(struct run *run, struct error *err) _must_check_;

/* puppets_memory - their address spaces. */
int puppets_memory(struct run *run, struct error *err) _must_check_;

/* puppets_threads - their other threads, with their tids. */
int puppets_threads(struct run *run, struct error *err) _must_check_;

/* puppets_attributes - what the kinds of task restore from outside; privileges go last. */
int puppets_attributes(struct run *run, struct error *err) _must_check_;

/* puppets_release - registers, and go. After the first task has gone nothing can fail any more but
 * the machine itself. */
int puppets_release(struct run *run, struct error *err) _must_check_;

/* puppets_kill - end what was not released; safe at any time. */
void puppets_kill(struct run *run);
