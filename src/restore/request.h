/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request: what a restore is asked to do, and what it answers.
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
	bool tcp_close;
	bool volumes;	/* see struct restore */
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
	int control;	      /* private: a line to the monitor; -1 = none */
};
