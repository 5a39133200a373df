/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint: a running container becomes an archive.
 *
 * The orchestra of a capture: a table of steps with undo. What can be done before or after the stop
 * is not done in it. The container runs on whatever happens; a capture never fails for one odd
 * object.
 */
#pragma once

#include "base/op.h"
#include "image/gap.h"

/* What is to be captured: filled by runtime/, which knows containers by name. */
struct checkpoint_target {
	const pid_t *pids; /* [0] is the container's init or the process asked for; further ones are
			    * processes put into the container from outside (exec) */
	size_t n_pids;
	const char *runtime;	/* "runc", "crun", ...; "" for pid:N */
	const char *engine;	/* "containerd", "cri-o", "libpod"; "" when there is none above */
	const char *id, *name;	/* of the container; the pid as text for pid:N */
	const char *image_name; /* "docker.io/library/redis:7"; "" when unknown */
	const char *image_ref;	/* with digest; "" when unknown */
	const char *created;	/* RFC 3339; "" when unknown */
	const char *bundle;	/* directory of config.json; "" when unknown */
	const char *rootfs;	/* the root directory as the runtime knows it; "" when unknown */
	struct bytes spec;	/* config.json of the runtime; len 0 when there is none */
};

struct checkpoint_request {
	struct checkpoint_target target;
	const char *output; /* path of the archive */
	bool stop;	    /* kill the container after the capture instead of letting it run on */
	bool no_digest;	    /* hash nothing: quicker, and no evidence */
	bool no_sync;	    /* do not wait until the archive is on the disk */
	bool no_precopy;    /* copy all memory in the stop: no write tracking in the container */
	uint64_t max_freeze_ns; /* wanted at most; more rounds are made for it. 0 = no budget */
	const char *command;	/* the command line, for the record */
};

struct checkpoint_result {
	const char *path;   /* as in the request */
	uint64_t freeze_ns; /* from the first interrupt until the first task runs again */
	uint64_t wall_ns;   /* of the whole checkpoint */
	uint64_t archive_bytes, memory_bytes;
	uint64_t last_bytes;  /* of memory, copied in the stop */
	unsigned rounds;      /* of pre-copy; 0 = none */
	const char *tracker;  /* "uffd-wp", "soft-dirty", "none" */
	bool max_freeze_kept; /* true where there is no budget */
	size_t n_tasks, n_threads;
	struct gap_list gaps;
	bool restorable;
};

/*
 * checkpoint_run - take a checkpoint.
 * @ret: release with checkpoint_result_deinit(), also after a failure
 * Returns 0 or a negative errno. After a failure no archive exists and the container runs.
 */
int checkpoint_run(struct op *op, const struct checkpoint_request *request,
		   struct checkpoint_result *ret, struct error *err) _must_check_;

void checkpoint_result_deinit(struct checkpoint_result *result);
