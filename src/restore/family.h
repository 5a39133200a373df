/* SPDX-License-Identifier: Apache-2.0 */
/*
 * family: the processes below pid 1 of a sandbox, as the controller sees them in /proc.
 */
#pragma once

#include "restore/run.h"

/* family_find - fill run->pids with the pids of all tasks in our own namespace, and tell whether
 * all zombies are dead. Returns 0, 1 when zombies still live, or an error when a task has died (or
 * is missing) that should not have. */
int family_find(struct run *run, struct error *err) _must_check_;
