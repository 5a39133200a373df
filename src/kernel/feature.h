/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feature: what this kernel, on this node, lets this process do, found out by doing it.
 *
 * Kernel versions are never compared. Probes work on a child of our own or on objects that vanish
 * with their descriptor: nothing is left behind.
 */
#pragma once

#include <sys/types.h>

#include "base/cleanup.h"
#include "base/macro.h"

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

const char *feature_state_name(enum feature_state state);
const char *feature_weight_name(enum feature_weight weight);

/* For probes. feature_errno - what a refusal means: not there, not allowed, or something else; its
 * text goes to detail. */
enum feature_state feature_errno(int errnum, char *detail);

/* feature_unshare - can a child of ours have new namespaces of these kinds (CLONE_NEW*)? */
enum feature_state feature_unshare(int flag, char *detail);

/* feature_child - a child that does nothing, with copies of our memory and descriptors, and that
 * dies with us; -1 with errno. _cleanup_feature_child_ kills it and waits for it. */
pid_t feature_child(void);
void feature_child_end(const pid_t *pid);
#define _cleanup_feature_child_ _cleanup_(feature_child_end)
