/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree-table: what a tree that is copied in rounds consists of, by path: which round's copy is
 * good, and where that lies.
 */
#pragma once

#include <sys/types.h>

#include "base/arena.h"

struct tree_later;

struct tree_entry {
	const char *path;
	unsigned int round;   /* whose copy is good */
	unsigned int seen;    /* the last round that found it in the tree */
	unsigned int changed; /* the last round that had to look at it, and */
	bool below;	      /* at what is below it */
	bool there;	      /* belongs to the tree */
	bool lost;	      /* was there once */
	bool gone;	      /* there as the mark of a name that was removed */
	bool dir, linked;     /* linked: a file with several names */
	bool rewritten;	      /* a large file that does not only grow */
	ino_t ino;
	off_t size;		   /* bytes of the file that are copied */
	uint64_t start, data, end; /* in the round's tar; start == end: nothing is there */
	struct tree_later *later;  /* content that is put together after the thaw, or NULL */
};

/* Zeroed at first. Entries stay where they are. */
struct tree_table {
	struct arena arena;
	struct tree_entry **slots; /* open addressing, n_slots a power of two */
	size_t n_entries, n_slots;
};

void tree_table_deinit(struct tree_table *table); /* what .later points at is not freed */

/* tree_table_find - the entry of a path, NULL when there is none. */
struct tree_entry *tree_table_find(const struct tree_table *table, const char *path);

/* tree_table_get - the entry of a path, a zeroed one when there was none; NULL: out of memory. */
struct tree_entry *tree_table_get(struct tree_table *table, const char *path) _must_check_;

/* tree_table_next - all entries, in no order: *at counts from 0. NULL at the end. */
struct tree_entry *tree_table_next(const struct tree_table *table, size_t *at);

/* tree_path_compare - as strcmp(), but what is below a directory follows it directly. */
int tree_path_compare(const char *a, const char *b);

/* tree_path_below - is path below dir ("": everything but "" is)? */
bool tree_path_below(const char *path, const char *dir);
