/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree-rounds-state: what tree-rounds.c fills and tree-rounds-write.c reads. Nobody else's
 * business.
 */
#pragma once

#include <time.h>

#include "base/buf.h"
#include "object/tree-rounds.h"
#include "object/tree-table.h"

#define ROUNDS_MAX 8U /* while the container runs */

struct round {
	int fd; /* its tar; -1: the last one's, which is in memory */
	struct timespec began;
	uint64_t bytes;
};

struct name_of_linked {
	ino_t ino;
	struct tree_entry *entry;
};

struct round_note {
	const struct tree_entry *entry;
	unsigned int round;
	const char *text;
};

struct tree_rounds {
	struct tree_rounds_options opt;
	struct tree_watch *watch; /* NULL: every round walks */
	struct tree_table table;
	struct arena arena; /* of the lists below */
	struct round rounds[ROUNDS_MAX + 1];
	unsigned int n; /* rounds that are over, and the number of the one under way */
	bool walking;	/* the round under way looks at every file */
	bool standing;	/* it is the last one */
	bool lost;	/* the kernel lost count */
	struct tree_entry **changed;
	size_t n_changed;
	struct name_of_linked *linked;
	size_t n_linked;
	struct round_note *notes;
	size_t n_notes;
	int spill; /* ends of files that grew, copied while the container ran */
	uint64_t spilled;
	struct buf stop, tails; /* the last round's tar; ends of files copied in it */
	uint64_t budget;
	int failed; /* in a callback that cannot say so */
};
