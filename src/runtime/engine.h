/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine: what those above the runtime say about a container: its name and image, in annotations
 * and in the engine's own records.
 */
#pragma once

#include "runtime/state.h"

/* engine_annotations - name, image and engine from a spec's annotations. -ENOMEM or 0. */
int engine_annotations(json_object *annotations, struct arena *arena, struct container_state *state,
		       struct error *err) _must_check_;

/* engine_records - the same from containers/storage (podman, CRI-O) and Docker, where annotations
 * said nothing. -ENOMEM or 0. */
int engine_records(const struct runtime_world *world, struct arena *arena,
		   struct container_state *state, struct error *err) _must_check_;
