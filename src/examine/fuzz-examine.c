// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz-examine: any bytes as an archive become the document of `amber inspect`, or an error.
 */
#include "examine/inspect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(examine_deinit) struct examine x = EXAMINE_INIT;
	enum image_kind kind = IMAGE_INVENTORY;
	const struct image *image = NULL;
	struct error err = ERROR_INIT;
	json_object *o;

	if (examine_parse(&x, (struct bytes){ data, size }, &err) < 0 || examine_load(&x, &err) < 0)
		return 0;
	o = inspect_json(&x);
	if (o)
		(void)json_object_to_json_string(o);
	json_object_put(o);
	while ((o = inspect_raw_next(&x, &kind, &image)))
		json_object_put(o);
	return 0;
}
