/* SPDX-License-Identifier: Apache-2.0 */
/*
 * family: the processes that are watched, each of them good at noticing one kind of thing.
 */
#pragma once

#include <stdatomic.h>
#include <sys/types.h>

#include "blocked.h"
#include "note.h"

#define DATA "/tells/data" /* the files whose times and events are watched */

/* What all of the family count in; shared memory. */
struct shared {
	atomic_int window; /* which one it is now, 0 to WINDOWS - 1 */
	atomic_int over;
	atomic_long signals[WINDOWS][65];
	atomic_long trapped[WINDOWS];	  /* system calls of `guarded` that it did not make */
	atomic_int trapped_nr;		  /* the last one */
	atomic_long writes[WINDOWS];	  /* of `writer`, in pages */
	atomic_long slow_writes[WINDOWS]; /* longer than SLOW_NS */
	atomic_long write_max_ns[WINDOWS];
	atomic_long wrong[WINDOWS]; /* `writer` read back something else; vector registers */
	struct blocked_count blocked[BLOCKED_MAX];
};

#define SLOW_NS 3000

enum member { IDLE, WRITER, GUARDED, MEMBERS };

/*
 * family_idle - holds one of each kind of object and sleeps: nothing of it may ever change, not
 * even its counters.
 * family_writer - writes to one page after the other, with pauses, and times each write.
 * family_guarded - sleeps under a seccomp filter that traps every call but those it makes.
 */
extern const char *const member_names[MEMBERS];

/* family_files - make the files below DATA; before the watches and the children. */
void family_files(void);

/* family_start - fork the members; returns when each of them is settled. */
void family_start(struct shared *s, pid_t pids[MEMBERS]);

/* family_count_signals - from now on every signal that this process gets is counted. */
void family_count_signals(struct shared *s);
