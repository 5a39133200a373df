/* SPDX-License-Identifier: Apache-2.0 */
/*
 * track-subject: a process for the tests of tracking, which does one thing at a time, told to by
 * its test, and a picture of what the tracker says of its memory. Test code only.
 */
#pragma once

#include "kernel/proc-maps.h"
#include "memory/track.h"
#include "task/victim.h"

#define PAGE AMBER_PAGE_SIZE
#define HUGE (2UL << 20)

/* What a subject can be told to do: with (address, size, one more number). */
enum order {
	NOTHING,
	WRITE,	   /* fill with the number */
	DROP,	   /* MADV_DONTNEED */
	REMAP,	   /* unmap, map anew, write the first page */
	MOVE,	   /* mremap to the number; counters[4] tells where it is */
	GROW,	   /* the heap, and fill it; counters[4] tells where */
	FORK,	   /* a child that writes it all and ends */
	PROTECT,   /* read-only and back */
	SPLIT,	   /* read-only */
	EXECUTE,   /* sleep */
	READ_INTO, /* read(2) from the pipe */
	ADVISE,	   /* madvise by the number */
	GUARD_OWN, /* register with a userfaultfd of its own */
};

struct subject {
	struct victim v;
	char *at;	     /* the memory, at the same address there */
	size_t size;	     /* bytes */
	uint64_t categories; /* of its range: TRACK_SHARED, TRACK_OWN_PAGES */
	int fd;		     /* a pipe into the subject */
	int proc_fd;
	struct track *track;
};

/* subject_reserve - address space with room around it, aligned to huge pages. */
char *subject_reserve(size_t size);

/*
 * subject_begin - map memory, fork a subject that has it, open its tracker.
 * @flags: of mmap(); @fd: what is mapped, -1 = nothing
 * subject_begin_in - in memory that is mapped already; reads: it is touched by reading only.
 */
void subject_begin(struct op *op, struct subject *s, size_t size, int flags, int fd);
void subject_begin_in(struct op *op, struct subject *s, char *at, size_t size, bool reads);

/* subject_end - close the tracker, see that nothing is left of it, end the subject. */
void subject_end(struct subject *s);

void subject_order(struct subject *s, enum order what, const void *at, size_t size,
		   unsigned long more);
void subject_cover(struct subject *s, enum proc_maps_detail detail);

/* subject_round, subject_last - one letter for each page of its memory: '.' not reported, 'o' data
 * as it was, 'w' written. Valid until the next. */
const char *subject_round(struct subject *s);
const char *subject_last(struct subject *s);

/* subject_all - are these letters, from the first to before the last, all the same? */
bool subject_all(const char *letters, size_t from, size_t to, char letter);

/* subject_smaps - how often a text is in its smaps. */
size_t subject_smaps(pid_t pid, const char *text);
