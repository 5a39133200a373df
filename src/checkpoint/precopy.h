/* SPDX-License-Identifier: Apache-2.0 */
/*
 * precopy: what rounds.c knows of memory, and pages.c asks it in the stop. For checkpoint/ only.
 *
 * Knows address spaces and shared memory objects as they were seen before the stop. What it does
 * not know, or no longer, is copied whole in the stop: nothing depends on its having seen
 * everything.
 */
#pragma once

#include <sys/stat.h>

#include "memory/page-list.h"
#include "memory/page-store.h"
#include "memory/track.h"

struct checkpoint;

/* A shared mapping of an address space that is copied, and the object that it shows. */
struct precopy_window {
	uint64_t start, end, pgoff; /* bytes */
	size_t object;		    /* index in precopy.objects */
};

struct precopy_space {
	pid_t pid;
	int proc_fd, mem_fd; /* owned */
	struct track *track; /* NULL = all of it is copied in the stop */
	struct page_space *pages;
	struct precopy_window *windows; /* ascending, in arena */
	size_t n_windows;
	struct arena arena;    /* of windows */
	uint64_t runs;	       /* that the last round found */
	struct page_list last; /* room for what the stop finds */
	bool looked;	       /* smaps has been read */
	uint64_t reaped;       /* page faults of its children that have ended: changes with each */
	bool gone;	       /* the process has ended */
};

struct precopy_object {
	uint64_t ino;
	int fd;		  /* owned, for reading */
	struct stat seen; /* before the last copy; what is written by write() shows in its times */
	struct page_space *pages;
	struct page_list dirty; /* offsets to be copied in this round */
	bool whole;		/* or all of it */
};

struct precopy {
	enum track_kind kind;
	struct page_store *store;
	struct precopy_space **spaces;
	size_t n_spaces;
	struct precopy_object **objects;
	size_t n_objects;
	struct arena arena;
	unsigned rounds;
	uint64_t copied_pages, last_pages; /* by all rounds; by the last one */
	uint64_t last_runs;
	uint64_t ready_pages; /* that the stop has memory for */
	uint64_t round_ns;    /* of the last one */
};

/* precopy_find - the address space of a task as rounds knew it; NULL = never seen or ended. */
struct precopy_space *precopy_find(const struct precopy *p, pid_t pid);

/* precopy_find_object - by inode of the kernel's shared memory file system. */
struct precopy_object *precopy_find_object(const struct precopy *p, uint64_t ino);

/*
 * precopy_children_ended - a process that nobody tracked may have written to shared memory and be
 * gone: since this was last asked, a process has waited for a child.
 */
bool precopy_children_ended(struct precopy *p);

/* precopy_changed - the object was or may have been written by other ways than mappings. */
bool precopy_changed(const struct precopy_object *object, const struct stat *now);
