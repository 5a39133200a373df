// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz-image: the first byte picks the kind, the rest is the file. What was read whole must be
 * written, and what was written must be read.
 */
#include <stdlib.h>

#include "image/image-json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image_set set = IMAGE_SET_INIT, again = IMAGE_SET_INIT;
	_cleanup_buf_ struct buf buf = BUF_INIT;
	enum image_kind kind;
	char name[64];

	if (!size)
		return 0;
	kind = data[0] % IMAGE_KIND_COUNT;
	image_name(kind, 0, name, sizeof(name));
	set.arena.limit = again.arena.limit = 64 << 20;
	if (image_parse(&set, name, (struct bytes){ data + 1, size - 1 }, NULL) == 0) {
		if (image_serialize(set.images[kind], &buf, NULL) ||
		    image_parse(&again, name, (struct bytes){ buf.data, buf.len }, NULL) ||
		    again.images[kind]->n_entries != set.images[kind]->n_entries)
			abort();
	}
	if (set.images[kind])
		json_object_put(image_json(set.images[kind], 1000));
	image_set_deinit(&set);
	image_set_deinit(&again);
	return 0;
}
