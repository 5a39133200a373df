// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz-rootfs-apply: a list of deleted files and a tar made of any bytes, a zero byte between them;
 * nothing may happen outside the directory.
 */
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "rootfs/rootfs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ssize_t source(void *ctx, const void **ret, struct error *err)
{
	struct bytes *left = ctx;
	size_t n = left->len;

	*ret = left->data;
	left->len = 0;
	return (ssize_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rootfs_removed removed = ROOTFS_REMOVED_INIT;
	const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
	size_t len = zero ? (size_t)(zero - data) : size;
	struct bytes tar = zero ? (struct bytes){ zero + 1, size - len - 1 } : (struct bytes){ 0 };
	struct tree_source from = { source, &tar };
	char dir[] = "/tmp/fuzz-rootfs-XXXXXX";
	_cleanup_close_ int top = -1;
	_cleanup_close_ int in = -1;
	int r = 0;

	if (!mkdtemp(dir))
		return 0;
	top = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (mkdirat(top, "in", 0700) == 0 && symlinkat("..", top, "in/out") == 0)
		in = openat(top, "in", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (in >= 0 && rootfs_removed_parse((struct bytes){ data, len }, &removed, NULL) >= 0)
		r = rootfs_apply(NULL, in, &from, &removed, NULL, NULL, NULL);
	(void)r;
	rootfs_removed_deinit(&removed);
	if (tree_remove(top, "in") < 0 || rmdir(dir) < 0)
		__builtin_trap(); /* something else is there */
	return 0;
}
