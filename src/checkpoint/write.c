// SPDX-License-Identifier: Apache-2.0
/*
 * write: the image files and the rootfs diff, after the thaw.
 */
#include <stdio.h>

#include "checkpoint/run.h"
#include "rootfs/rootfs.h"

static int write_image(struct checkpoint *c, const struct image *image, struct error *err)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT;
	char file[64], name[80];
	int r;

	image_name(image->kind, image->id, file, sizeof(file));
	snprintf(name, sizeof(name), "checkpoint/%s", file);
	r = image_serialize(image, &bytes, err);
	if (r == 0)
		r = archive_add(&c->archive, name, bytes.data, bytes.len, err);
	return r;
}

int checkpoint_write_images(struct checkpoint *c, struct error *err)
{
	const struct image *image;
	enum image_kind kind;
	int r;

	for (kind = 0; kind < IMAGE_KIND_COUNT; kind++) {
		if (kind == IMAGE_STATS_DUMP)
			continue; /* stands beside checkpoint/, metadata.c writes it */
		for (image = c->set.images[kind]; image; image = image->next) {
			r = op_cancelled(&c->op, err);
			if (r == 0)
				r = write_image(c, image, err);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int diff_write(void *ctx, const void *data, size_t len, struct error *err)
{
	struct checkpoint *c = ctx;

	return archive_write(&c->archive, data, len, err);
}

int checkpoint_write_rootfs(struct checkpoint *c, struct error *err)
{
	_cleanup_(rootfs_removed_deinit) struct rootfs_removed removed = ROOTFS_REMOVED_INIT;
	struct tree_sink sink = { .write = diff_write, .ctx = c };
	_cleanup_buf_ struct buf deleted = BUF_INIT;
	int r;

	if (!c->rootfs || c->rootfs->kind == ROOTFS_HOST)
		return 0;
	r = archive_begin(&c->archive, "rootfs-diff.tar", err);
	if (r == 0)
		r = rootfs_diff_write(&c->op, c->rootfs, &sink, &removed, c->gaps, err);
	if (r == 0)
		r = archive_end(&c->archive, err);
	if (r < 0 || !removed.n_deleted)
		return r;
	r = rootfs_removed_json(&removed, &deleted, err);
	if (r == 0)
		r = archive_add(&c->archive, "deleted.files", deleted.data, deleted.len, err);
	return r;
}
