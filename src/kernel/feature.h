/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feature: what this kernel, on this node, lets this process do, found out by doing it.
 *
 * Kernel versions are never compared. Probes work on a child of our own or on objects that vanish
 * with their descriptor: nothing is left behind.
 */
#pragma once

#include "base/buf.h"

enum feature_state {
	FEATURE_YES,
	FEATURE_NO,	 /* the kernel has it not, or was built without */
	FEATURE_DENIED,	 /* it may be there, but this process may not use it */
	FEATURE_UNKNOWN, /* the probe itself failed */
};

enum feature_weight {
	FEATURE_REQUIRED, /* without it nothing can be captured or restored */
	FEATURE_NEEDED,	  /* without it some objects become gaps, or restores fail */
	FEATURE_OPTIONAL, /* without it the same result costs more */
};

#define FEATURE_DETAIL_MAX 200

struct feature {
	const char *name; /* "ptrace-seize": stable, for JSON */
	enum feature_weight weight;
	const char *used_for;
	const char *without; /* effect when it is missing: one sentence */
	/* detail: FEATURE_DETAIL_MAX bytes, an addition for the reader ("v1", "errno text") or ""
	 */
	enum feature_state (*probe)(char *detail);
};

/* feature_table - all rows; *ret_n says how many. */
const struct feature *feature_table(size_t *ret_n);

/* feature_probe - probe by name. FEATURE_UNKNOWN for a name that is not in the table. */
enum feature_state feature_probe(const char *name, char detail[FEATURE_DETAIL_MAX]);

const char *feature_state_name(enum feature_state state);
const char *feature_weight_name(enum feature_weight weight);
