/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtime: a name becomes a running container.
 *
 * Reads the state files that runtimes keep and /proc; runs no runtime's program and changes
 * nothing.
 */
#pragma once

#include "base/arena.h"
#include "checkpoint/checkpoint.h"

/*
 * runtime_find - look a target up.
 * @name: "pid:N", "runc:ID", "crun:ID", or a container's id (a unique beginning of at least 4
 *	characters suffices) or name, looked for in every runtime's state
 * @arena: owns everything in *ret
 * *ret: complete; pids[0] is the init, followed by processes of the container's cgroup that are not
 *its descendants (exec sessions) Returns 0; -ENOENT (no such container; the hint lists those that
 *run); -EEXIST (ambiguous); -ESRCH (it is known but does not run); -EINVAL (not a target's name).
 */
int runtime_find(struct op *op, const char *name, struct arena *arena,
		 struct checkpoint_target *ret, struct error *err) _must_check_;
