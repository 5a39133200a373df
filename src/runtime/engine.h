/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine: what those above the runtime say about a container: its name and image, in annotations
 * and in the engine's own records.
 */
#pragma once

#include "runtime/state.h"

/*
 * container_state_spec - read the bundle's config.json and what annotations and the engine's own
 * records say: name, image, engine. Nothing found leaves the fields as they are.
 * Returns 0 or -ENOMEM.
 */
int container_state_spec(const struct runtime_world *world, struct arena *arena,
			 struct container_state *state, struct error *err) _must_check_;
