// SPDX-License-Identifier: Apache-2.0
/*
 * write: the image files, after the thaw.
 */
#include <stdio.h>

#include "checkpoint/run.h"

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
