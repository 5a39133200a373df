/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore: an image set becomes running tasks in a sandbox of their own.
 *
 * The sandbox has new namespaces of every kind and a root directory that nobody else sees. All or
 * nothing: a restore that fails leaves no process, mount, cgroup or file behind, and the error
 * names the object. What can be left out without lying becomes a note in the result.
 */
#pragma once

#include "base/op.h"
#include "image/gap.h"
#include "image/image.h"
#include "memory/fill.h"

#define SANDBOX_NAME_MAX 64

struct board; /* restore/run.h */

struct restore_request {
	struct image_set *set;		/* whole; its arena is added to */
	const struct pages_file *pages; /* where the contents of each pages image lie */
	size_t n_pages;
	const char *name;    /* of the sandbox, [A-Za-z0-9_.-]; NULL = made up */
	const char *archive; /* for the sandbox's record only; may be NULL */
	const char *const
		*lowers; /* base directories, the topmost first; none = / of this machine */
	size_t n_lowers;
	struct bytes diff;    /* tar of the rootfs difference, len 0 = none */
	struct bytes deleted; /* CRI-O's and podman's deleted.files (JSON), len 0 = none */
	bool detach;	      /* the sandbox outlives this process */
	bool tcp_close;
	size_t fault;	/* for tests: fail instead of taking this step, 1 = the first; 0 = never */
	int console_fd; /* takes what the container wrote to a reader outside; -1 = lost */
};

struct restore_result {
	char name[SANDBOX_NAME_MAX];
	pid_t monitor;	      /* its parent and keeper, a child of ours */
	pid_t init;	      /* pid 1 of the sandbox, as seen from here */
	pid_t root;	      /* the image's root task; often the same */
	struct gap_list gaps; /* what did not come back */
	struct board *board;  /* private */
};

#define RESTORE_RESULT_INIT ((struct restore_result){ 0 })
void restore_result_deinit(struct restore_result *result);

/*
 * restore_run - bring an image set up in a sandbox.
 * Returns 0 once its tasks run, or a negative errno with nothing left behind. The caller must be
 * single-threaded: it is forked without exec. Children of the caller: the monitor only.
 */
int restore_run(struct op *op, const struct restore_request *req, struct restore_result *ret,
		struct error *err) _must_check_;

/*
 * restore_wait - wait until a sandbox that was not detached has ended and is cleaned away.
 * Signals that end us by default (INT, TERM, HUP) should be blocked by the caller: they are taken
 * here and passed on to the sandbox's root task. *ret_status: as wait() gives it for the root task.
 */
int restore_wait(struct op *op, const struct restore_result *result, int *ret_status,
		 struct error *err) _must_check_;
