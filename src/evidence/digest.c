// SPDX-License-Identifier: Apache-2.0
/*
 * digest: see digest.h.
 */
#include "evidence/digest.h"

#include <errno.h>
#include <openssl/evp.h>

void digest_deinit(struct digest *digest)
{
	EVP_MD_CTX_free(digest->ctx);
	*digest = DIGEST_INIT;
}

int digest_begin(struct digest *digest, struct error *err)
{
	if (!digest->ctx)
		digest->ctx = EVP_MD_CTX_new();
	if (!digest->ctx || EVP_DigestInit_ex(digest->ctx, EVP_sha256(), NULL) != 1)
		return error_nomem(err);
	return 0;
}

int digest_update(struct digest *digest, const void *data, size_t len, struct error *err)
{
	if (EVP_DigestUpdate(digest->ctx, data, len) != 1)
		return error_set(err, ERROR_INTERNAL, EIO, "SHA-256 failed in the crypto library");
	return 0;
}

int digest_end(struct digest *digest, char ret[static DIGEST_HEX], struct error *err)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int len = 0, i;

	if (EVP_DigestFinal_ex(digest->ctx, md, &len) != 1 || len != DIGEST_SIZE)
		return error_set(err, ERROR_INTERNAL, EIO, "SHA-256 failed in the crypto library");
	for (i = 0; i < len; i++) {
		ret[2 * i] = hex[md[i] >> 4];
		ret[2 * i + 1] = hex[md[i] & 15];
	}
	ret[2 * len] = '\0';
	return 0;
}

int digest_bytes(const void *data, size_t len, char ret[static DIGEST_HEX], struct error *err)
{
	_cleanup_(digest_deinit) struct digest digest = DIGEST_INIT;
	int r;

	r = digest_begin(&digest, err);
	if (r == 0)
		r = digest_update(&digest, data, len, err);
	if (r == 0)
		r = digest_end(&digest, ret, err);
	return r;
}
