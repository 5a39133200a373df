// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz-tree-extract: any bytes as a tar; nothing may appear outside the directory.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "object/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Make every block's checksum right, or nearly everything would end at the first header. */
static void fix_checksums(uint8_t *data, size_t size)
{
	unsigned int sum;
	size_t at, i;

	for (at = 0; at + 512 <= size; at += 512) {
		memset(data + at + 148, ' ', 8);
		for (sum = 0, i = 0; i < 512; i++)
			sum += data[at + i];
		snprintf((char *)data + at + 148, 8, "%06o", sum & 0777777);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tree_extract_options opt = { .max_bytes = 1 << 20,
					    .max_entries = 200,
					    .whiteouts = true };
	char dir[] = "/tmp/fuzz-tree-XXXXXX";
	_cleanup_close_ int top = -1;
	_cleanup_close_ int in = -1;
	_cleanup_free_ uint8_t *fixed = malloc(size + 1);
	int r = 0;

	if (!fixed)
		return 0;
	memcpy(fixed, data, size);
	if (size && data[0] & 1)
		fix_checksums(fixed, size);
	if (!mkdtemp(dir))
		return 0;
	top = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (mkdirat(top, "in", 0700) == 0 && symlinkat("..", top, "in/out") == 0)
		in = openat(top, "in", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (in >= 0)
		r = tree_extract_bytes(in, &opt, (struct bytes){ fixed, size }, NULL);
	(void)r;
	if (tree_remove(top, "in") < 0 || rmdir(dir) < 0)
		__builtin_trap(); /* something else is there */
	return 0;
}
