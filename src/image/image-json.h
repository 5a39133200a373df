/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image-json: any message and any image as JSON, by its descriptor alone.
 *
 * Field names are those of the schema, enums are their names (a number that has none stays a
 * number), bytes are base64, optional fields that are not set are left out. Nothing is lost: a
 * string that is not UTF-8 becomes {"base64": ...}, and fields that the schema does not know stand
 * under "unknown_fields". Never interprets: what a number means is for examine to say.
 */
#pragma once

#include <json-c/json.h>

#include "image/image.h"

/*
 * image_message_json - a message as a JSON object.
 * Returns a new object, which the caller releases with json_object_put(); NULL when memory is
 * exhausted.
 */
json_object *image_message_json(const ProtobufCMessage *msg) _must_check_;

/*
 * image_json - an image as a JSON object: {"image": name, "entries": [message, ...]}.
 * @extra_max: bytes behind a message are given as "extra" in base64 when they are at most so many,
 *else only their count, as "extra_bytes" Returns as image_message_json().
 */
json_object *image_json(const struct image *image, size_t extra_max) _must_check_;
