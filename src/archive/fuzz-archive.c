// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz-archive: any bytes as an archive: indexed, verified, its images parsed.
 */
#include "archive/reader.h"
#include "archive/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(archive_verdict_deinit) struct archive_verdict verdict = ARCHIVE_VERDICT_INIT;
	_cleanup_(archive_reader_deinit) struct archive_reader archive = ARCHIVE_READER_INIT;
	_cleanup_(image_set_deinit) struct image_set set = IMAGE_SET_INIT;
	struct error err = ERROR_INIT;
	struct op op = OP_INIT;

	if (archive_reader_parse(&archive, (struct bytes){ data, size }, &err) < 0)
		return 0;
	if (archive_verify(&op, &archive, &verdict, &err) < 0)
		return 0;
	(void)!archive_load_images(&archive, &set, &err);
	return 0;
}
