/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state: what runc, crun and their callers wrote down about containers.
 *
 * One entry a container, alive or not. Only files are read, and each may be half written, stale or
 * of a container that another made: what cannot be read is passed over. Never judges whether a
 * process still runs; that is runtime.c's.
 */
#pragma once

#include "base/json.h"
#include "base/op.h"

/* Where to look; tests look elsewhere. */
struct runtime_world {
	const char *root;	 /* goes in front of every path, "" for the real one */
	const char *runtime_dir; /* $XDG_RUNTIME_DIR, NULL = none */
};

struct container_state {
	const char *runtime; /* "runc", "crun" */
	const char *engine;  /* "containerd", "docker", "cri-o", "libpod", "" */
	const char *id, *name;
	const char *image_name, *image_ref;
	const char *created; /* RFC 3339 */
	const char *bundle, *rootfs;
	const char *file;    /* the state file, for messages */
	pid_t pid;	     /* of init, 0 = none any more */
	uint64_t start_time; /* of init in ticks since boot, 0 = unknown */
	struct bytes spec;   /* config.json, len 0 = not found */
};

struct container_states {
	struct container_state *states;
	size_t n_states;
	const char *denied; /* a state directory that may not be read, NULL = none */
};

#define STATE_FILE_MAX	((size_t)16 << 20)
#define STATE_COUNT_MAX 65536

/*
 * container_states_read - list every container of every runtime's state directories.
 * @arena: owns everything in *ret
 * Returns 0 (also when there are none) or -ENOMEM.
 */
int container_states_read(struct op *op, const struct runtime_world *world, struct arena *arena,
			  struct container_states *ret, struct error *err) _must_check_;
