/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect: all views of an archive in one JSON document (docs/formats/inspect-json.md).
 */
#pragma once

#include "examine/examine.h"

#define INSPECT_VERSION	  1
#define INSPECT_EXTRA_MAX 4096 /* bytes behind a message that are given in the raw form */

/* inspect_summary_json - container and archive only: one entry of `amber show`. */
json_object *inspect_summary_json(struct examine *x) _must_check_;

/* inspect_json - the whole document, after examine_load(). NULL when memory is exhausted. */
json_object *inspect_json(struct examine *x) _must_check_;

/*
 * inspect_raw_next - every image as image_json() gives it, one after the other.
 * *kind, *image: where to go on, IMAGE_INVENTORY and NULL at the start
 * Returns a new object, NULL at the end.
 */
json_object *inspect_raw_next(const struct examine *x, enum image_kind *kind,
			      const struct image **image) _must_check_;
