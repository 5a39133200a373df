/* SPDX-License-Identifier: Apache-2.0 */
/*
 * find: runtime_find() in a world of one's choice, for tests.
 */
#pragma once

#include "checkpoint/checkpoint.h"
#include "runtime/state.h"

/* runtime_find_in - as runtime_find(), but looking for state below world->root. */
int runtime_find_in(struct op *op, const struct runtime_world *world, const char *name,
		    struct arena *arena, struct checkpoint_target *ret,
		    struct error *err) _must_check_;
