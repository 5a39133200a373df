/* SPDX-License-Identifier: Apache-2.0 */
/*
 * digest: SHA-256 while writing and while reading.
 *
 * A thin skin over OpenSSL's EVP, so that nothing else in amber includes it for hashing.
 */
#pragma once

#include "base/buf.h"

#define DIGEST_SIZE 32
#define DIGEST_HEX  65 /* with the NUL */

struct digest {
	void *ctx; /* EVP_MD_CTX, NULL once finished */
};

#define DIGEST_INIT ((struct digest){ 0 })

void digest_deinit(struct digest *digest);

/* digest_begin - start (over). Returns 0, -ENOMEM. */
int digest_begin(struct digest *digest, struct error *err) _must_check_;

/* digest_update - add bytes. Returns 0 or -EIO. */
int digest_update(struct digest *digest, const void *data, size_t len,
		  struct error *err) _must_check_;

/* digest_end - the digest as 64 lower-case hex digits. The digest can begin again afterwards. */
int digest_end(struct digest *digest, char ret[static DIGEST_HEX], struct error *err) _must_check_;

/* digest_bytes - the digest of one row of bytes. */
int digest_bytes(const void *data, size_t len, char ret[static DIGEST_HEX],
		 struct error *err) _must_check_;
