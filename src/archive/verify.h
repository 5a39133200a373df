/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify: is an archive still what was written?
 *
 * Every byte is accounted for: members against SHA256SUMS and amber.json, headers against what
 * amber would write, padding against zero, the length against the end marker. Archives of other
 * tools have no digests and are said to be unverifiable, not wrong; so are those that amber was
 * told not to hash, after a look at what frames their members.
 */
#pragma once

#include "archive/reader.h"
#include "base/op.h"

struct archive_fault {
	const char *member; /* which differs; "" for the archive as a whole */
	const char *text;   /* how */
};

struct archive_verdict {
	struct arena arena;
	struct archive_fault *faults;
	size_t n_faults;
	size_t n_members; /* that were checked against a digest */
	uint64_t bytes;
	bool digests;  /* the archive has digests at all */
	bool unhashed; /* amber made it without: amber.json says "digests": false */
};

#define ARCHIVE_VERDICT_INIT ((struct archive_verdict){ 0 })

void archive_verdict_deinit(struct archive_verdict *verdict);

/*
 * archive_verify - check an open archive.
 * Returns 0 when everything could be checked (n_faults says the outcome), or -ECANCELED, -ENOMEM.
 */
int archive_verify(struct op *op, const struct archive_reader *a, struct archive_verdict *ret,
		   struct error *err) _must_check_;
