/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree-rounds: a tree of files copied while it is in use, so that what is copied is of one instant.
 *
 * The first round copies everything while the container runs; further ones copy what changed
 * meanwhile; the last, in the stop, takes only what changed since. What changed is told by the
 * kernel (tree-watch), or, where it cannot, found by looking at the times of every file. After the
 * thaw the tar is put together from all rounds. A file that was not of that instant is noted.
 */
#pragma once

#include <time.h>

#include "base/buf.h"
#include "object/tree-table.h"
#include "object/tree.h"

/* Bytes of files that are copied while the container stands still. */
#define TREE_STOP_BUDGET ((uint64_t)64 << 20)

struct tree_rounds_options {
	struct op *op;
	int dirfd;	    /* the top, O_PATH is enough; borrowed */
	const char *prefix; /* as in struct tree_write_options, like the next two */
	const char *xattr_skip;
	uint64_t max_bytes;
	bool watch;		/* the kernel tells of changes in this tree */
	int spill_dir;		/* where unnamed files for copies can be made; -1 = memory */
	uint64_t stop_budget;	/* bytes, see TREE_STOP_BUDGET */
	tree_choose_fn *choose; /* may be NULL; asked again for what changed */
	void *ctx;
};

#define TREE_ROUNDS_MAX 8U /* while the container runs */

struct tree_round {
	int fd; /* its tar; -1: the last one's, which is in memory */
	struct timespec began;
	uint64_t bytes;
};

struct tree_linked {
	ino_t ino;
	struct tree_entry *entry;
};

struct tree_round_note {
	const struct tree_entry *entry;
	unsigned int round;
	const char *text;
};

/* One such copy under way; only tree-rounds.c and tree-rounds-write.c look into it. */
struct tree_rounds {
	struct tree_rounds_options opt;
	struct tree_watch *watch; /* NULL: every round walks */
	struct tree_table table;
	struct arena arena; /* of the lists below */
	struct tree_round rounds[TREE_ROUNDS_MAX + 1];
	unsigned int n; /* rounds that are over, and the number of the one under way */
	bool walking;	/* the round under way looks at every file */
	bool standing;	/* it is the last one */
	bool lost;	/* the kernel lost count */
	struct tree_entry **changed;
	size_t n_changed;
	struct tree_linked *linked;
	size_t n_linked;
	struct tree_round_note *notes;
	size_t n_notes;
	int spill; /* ends of files that grew, copied while the container ran */
	uint64_t spilled;
	struct buf stop, tails; /* the last round's tar; ends of files copied in it */
	uint64_t budget;
	int failed; /* in a callback that cannot say so */
};

/* tree_rounds_new - nothing is copied yet. *ret is the caller's, for tree_rounds_free(). */
int tree_rounds_new(const struct tree_rounds_options *opt, struct tree_rounds **ret,
		    struct error *err) _must_check_;
void tree_rounds_free(struct tree_rounds *rounds); /* accepts NULL */

/* tree_rounds_copy - one round while the container runs; the first copies everything. Returns 0 or
 * a negative errno. Beyond a fixed number of rounds nothing is done. */
int tree_rounds_copy(struct tree_rounds *rounds, struct error *err) _must_check_;

/* tree_rounds_settle - rounds until another one would hardly shorten the stop. */
int tree_rounds_settle(struct tree_rounds *rounds, struct error *err) _must_check_;

/* A file that somebody has open for writing, or mapped so: its times may not tell. */
struct tree_written {
	const char *path;
	bool mapped;
};

/* tree_rounds_last - what changed since, in the stop. Once, after at least one round. */
int tree_rounds_last(struct tree_rounds *rounds, const struct tree_written *written,
		     size_t n_written, struct error *err) _must_check_;

/* tree_rounds_touched - did the latest round find a change at or below a path? */
bool tree_rounds_touched(const struct tree_rounds *rounds, const char *path);

/* tree_rounds_has - is path part of the tree as it was in the latest round? */
bool tree_rounds_has(const struct tree_rounds *rounds, const char *path);

/* tree_rounds_note - say something about a path in the round under way, from choose(): a
 * tree_note_fn with the struct tree_rounds as ctx. It is forgotten when a later round copies the
 * path. */
void tree_rounds_note(void *ctx, const char *path, const char *text);

/* tree_rounds_write - the tar. After the thaw. */
int tree_rounds_write(struct tree_rounds *rounds, const struct tree_sink *sink,
		      struct error *err) _must_check_;

/* tree_rounds_notes - what is to be said about paths, after tree_rounds_write(). */
void tree_rounds_notes(const struct tree_rounds *rounds, tree_note_fn *fn, void *ctx);

/* tree_rounds_gone - all paths for which choose() said TREE_GONE, sorted. @fn returns 0 or -errno,
 * which ends it. */
int tree_rounds_gone(const struct tree_rounds *rounds,
		     int (*fn)(void *ctx, const char *path, struct error *err), void *ctx,
		     struct error *err) _must_check_;
