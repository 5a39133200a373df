/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gap: what could not be captured is data, not a log line.
 *
 * A capture never fails for one odd object; it records a gap that names the object, the reason and
 * the effect. Gaps are written to amber.json, shown by inspect and obeyed by restore.
 */
#pragma once

#include <sys/types.h>

#include "base/arena.h"
#include "base/json.h"

/* What the gap takes from a later restore. */
enum gap_effect {
	GAP_COSMETIC, /* a restore differs in a detail */
	GAP_DEGRADED, /* a restore works, this object is missing or reset in it */
	GAP_FATAL,    /* the checkpoint can be read but not restored */
};

struct gap {
	const char *kind;    /* "socket", "vma", "mount"... the object's kind */
	pid_t pid;	     /* in the container's pid namespace; 0 = no one task */
	const char *subject; /* which object: "fd 7 (anon_inode:[io_uring])" */
	const char *reason;  /* why it could not be captured */
	enum gap_effect effect;
	struct gap *next;
};

struct gap_list {
	struct arena arena;
	struct gap *first, *last;
	size_t n;
};

#define GAP_LIST_INIT ((struct gap_list){ 0 })

void gap_list_deinit(struct gap_list *list);

/*
 * gap_add - record a gap.
 * @kind: a literal; @subject: copied
 * @fmt: the reason
 * Returns 0 or -ENOMEM.
 */
int gap_add(struct gap_list *list, enum gap_effect effect, const char *kind, pid_t pid,
	    const char *subject, const char *fmt, ...) _printf_(6, 7) _must_check_;

/* gap_list_restorable - no gap is GAP_FATAL. */
bool gap_list_restorable(const struct gap_list *list);

/* gap_list_json - a list of {kind, pid, subject, reason, effect}, as amber.json has it. The
 * caller's. */
json_object *gap_list_json(const struct gap_list *list);

/* gap_effect_name - "cosmetic", "degraded", "fatal". */
const char *gap_effect_name(enum gap_effect effect);
