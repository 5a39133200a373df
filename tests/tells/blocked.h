/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blocked: threads that each stand in one blocking call, and notice when it ends as it should not.
 */
#pragma once

#include <stdatomic.h>

#include "note.h"

/* What one call did; lies in memory that the reader shares. */
struct blocked_count {
	char name[24];
	int timeout_ms;		    /* of one call; 0: it waits for ever */
	atomic_long ended[WINDOWS]; /* calls for ever: that ended; others: with another result */
	atomic_long early[WINDOWS]; /* ended before their time */
	atomic_long rounds[WINDOWS];
	atomic_long late_us[WINDOWS]; /* the latest */
	atomic_int error;	      /* the last one that was not expected */
};

#define BLOCKED_MAX 32

/*
 * blocked_start - a thread for each call of the table; they run until the process ends.
 * @counts: BLOCKED_MAX of them, zeroed
 * @window: where to count
 * Returns how many there are.
 */
int blocked_start(struct blocked_count *counts, const atomic_int *window);
