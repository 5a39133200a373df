/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hasher: SHA-256 of parts of a file that are in the page cache, by threads of its own.
 *
 * Meanwhile another thread sends the file to the disk, so that the fsync at the end has little left
 * to do. The file must not change below while a hasher is at work.
 */
#pragma once

#include "base/op.h"
#include "evidence/digest.h"

struct hasher_part {
	size_t id; /* the caller's */
	uint64_t offset, size;
	char sha256[DIGEST_HEX]; /* result */
};

struct hasher;

/*
 * hasher_start - begin.
 * @op: for its cancel flag, also while the threads are at work
 * @parts: array of malloc(), which becomes the hasher's
 * @flush: bytes of the file to be sent to the disk meanwhile, 0 = none
 */
int hasher_start(struct op *op, int fd, struct hasher_part *parts, size_t n_parts, uint64_t flush,
		 struct hasher **ret, struct error *err) _must_check_;

/* hasher_wait - until all is done, with progress. *ret_parts: borrowed until hasher_free(). Returns
 * 0, -ECANCELED or what failed first. */
int hasher_wait(struct hasher *hasher, struct op *op, const struct hasher_part **ret_parts,
		size_t *ret_n, struct error *err) _must_check_;

/* hasher_free - also ends what is still at work. */
void hasher_free(struct hasher **hasher);
