/* SPDX-License-Identifier: Apache-2.0 */
/*
 * track-impl: the inside of a tracker, shared by track-kind.c (the choice), track-uffd.c
 * (descriptor, registration, rounds), track-last.c (the scan in the stop) and track-soft-dirty.c.
 * For these files only.
 */
#pragma once

#include <pthread.h>

#include "memory/page-list.h"
#include "memory/track.h"

enum area_kind {
	AREA_PRIVATE, /* anonymous memory */
	AREA_OWN,     /* a private mapping of a file: only pages of its own count */
	AREA_SHARED,  /* shared memory: pages that nobody has mapped are protected too */
};

/* A mapping that this tracker has registered. */
struct track_area {
	uint64_t start, end;
	enum area_kind kind;
	bool hugetlb;
	bool fresh; /* no round has walked it yet */
};

/* The walk of the last scan that one thread makes; two threads make one half each. */
struct last_half {
	struct pagemap_room room;
	struct page_list found;
	const struct last_scan *scans;
	size_t n_scans;
	const struct last_walk *walk;
	struct error err;
	int result;
};

/* A thread that waits for its half, made before the stop. */
struct last_helper {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct last_half *work; /* NULL = none */
	bool runs, ends;
};

struct track {
	struct op *op;
	enum track_kind kind;
	pid_t pid;
	int proc_fd;	/* the caller's */
	int pagemap_fd; /* of the address space that was there when tracking began */
	struct pagemap_room room;

	int uffd;
	struct track_area *areas; /* ascending */
	size_t n_areas;
	uint64_t stood_ns;
	struct page_list written; /* of one step through shared memory */
	struct page_list steps;	  /* of the last round: of about the same work each */
	uint64_t left_room_ns;	  /* when the mmap lock was last left to others */

	struct last_half halves[2];
	struct last_helper helper;

	bool cleared; /* soft-dirty: the bits have been cleared once */
	uint64_t zero_pfn;
};

/* What stands for pages with data in queries: present or swapped, no zero page, no guard. */
#define TRACK_NO_DATA (PAGEMAP_PFNZERO | PAGEMAP_GUARD)
#define TRACK_DATA    (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)

/* track-uffd.c */
bool track_uffd_probe(void);
int track_uffd_open(struct track *t, struct error *err) _must_check_;
int track_uffd_cover(struct track *t, const struct proc_maps *maps, struct error *err) _must_check_;
int track_uffd_round(struct track *t, pagemap_fn *fn, void *arg, struct error *err) _must_check_;
void track_uffd_close(struct track *t);
/* track_uffd_alive - the address space that tracking began with is still somebody's. */
bool track_uffd_alive(const struct track *t);

/* track-last.c */
int track_last_ready(struct track *t, struct error *err) _must_check_;
int track_last_scan(struct track *t, const struct page_run *ranges, size_t n_ranges, pagemap_fn *fn,
		    void *arg, struct error *err) _must_check_;
void track_last_deinit(struct track *t);

/* track-soft-dirty.c */
bool track_soft_dirty_probe(void);
int track_soft_dirty_round(struct track *t, pagemap_fn *fn, void *arg,
			   struct error *err) _must_check_;
int track_soft_dirty_last(struct track *t, const struct page_run *ranges, size_t n_ranges,
			  pagemap_fn *fn, void *arg, struct error *err) _must_check_;
