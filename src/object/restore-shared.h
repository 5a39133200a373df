/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore-shared: what the controller and all tasks of a sandbox under construction share.
 *
 * One anonymous shared mapping, made before the first birth. Tasks report through it: the first
 * error (which ends the restore) and notes about what does not come back. Nothing here blocks, and
 * nothing is ever taken out by a task: only the controller reads.
 */
#pragma once

#include "image/gap.h"

#define RESTORE_NOTES_MAX 1024

struct restore_note {
	uint32_t written; /* the text below is complete */
	enum gap_effect effect;
	pid_t pid;
	char kind[32];
	char subject[256];
	char reason[512];
};

#define RESTORE_HELD_MAX 64

/* A descriptor of the root task that the controller takes over; see restore_hold(). */
struct restore_held {
	int fd;
	bool drain;
};

struct restore_shared {
	uint32_t error_taken; /* somebody is writing, or has written, the first error */
	uint32_t error_ready; /* it is complete */
	struct error error;
	uint32_t n_notes; /* asked for; those beyond the maximum are only counted */
	struct restore_note notes[RESTORE_NOTES_MAX];
	uint32_t n_held; /* written by the root task only, before it says that it is ready */
	struct restore_held held[RESTORE_HELD_MAX];
};

/* restore_shared_fail - report an error. The first one wins. Callable in any task. */
void restore_shared_fail(struct restore_shared *shared, const struct error *err);

/* restore_shared_error - has somebody failed? Copies the error to err. Returns 0 or its -errno. */
int restore_shared_error(const struct restore_shared *shared, struct error *err) _must_check_;

/* restore_shared_collect - move all notes to a list of gaps. Returns 0 or -ENOMEM. */
int restore_shared_collect(const struct restore_shared *shared, struct gap_list *gaps,
			   struct error *err) _must_check_;
