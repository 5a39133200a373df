/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members: which processes belong to a container besides its init's descendants.
 */
#pragma once

#include "base/arena.h"
#include "base/op.h"

/*
 * container_members - the init, then the tops of process trees that were put into the container
 * from outside: in its cgroups (or below) and in its pid namespace, but no descendants of init.
 * @init: pid as seen from here
 * @ret: array of the arena, ret[0] is init
 * Returns 0, -ESRCH when init is gone, or another negative errno.
 */
int container_members(struct op *op, pid_t init, struct arena *arena, pid_t **ret, size_t *ret_n,
		      struct error *err) _must_check_;
