/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json: reading JSON that others wrote, without believing it.
 *
 * Getters give an empty value for what is missing or of another type, so that a reader need not ask
 * for each key whether it is there. Depth and length are bounded.
 */
#pragma once

#include <json-c/json.h>

#include "base/arena.h"
#include "base/buf.h"

#define JSON_DEPTH_MAX 64
#define JSON_BYTES_MAX (256U << 20)

static inline void cleanup_json(json_object **object)
{
	json_object_put(*object);
}

#define _cleanup_json_ _cleanup_(cleanup_json)

/*
 * json_parse - one JSON value; white space may follow it.
 * @what: for the error's text
 * *ret: owned by the caller (json_object_put)
 * Returns 0, -EINVAL (err names the byte), -EFBIG, -ENOMEM.
 */
int json_parse(struct bytes text, const char *what, json_object **ret,
	       struct error *err) _must_check_;

/* json_get - a value at a path of keys divided by '/', borrowed; NULL when there is none.
 * Keys that hold a '/' themselves are reached with json_member(). */
json_object *json_get(json_object *object, const char *path);

/* json_member - the value of one key, borrowed; NULL when object is no object or has it not. */
json_object *json_member(json_object *object, const char *key);

/* json_text - a string at a path, borrowed; "" when there is none. */
const char *json_text(json_object *object, const char *path);

/* json_number - an integer at a path; 0 when there is none. */
int64_t json_number(json_object *object, const char *path);

/* json_put_text - set a key to a string; bytes that are no UTF-8 become U+FFFD. NULL is left out.
 * json_put_number, json_put_bool - set a key. Memory that is exhausted leaves the key out. */
void json_put_text(json_object *object, const char *key, const char *text);
void json_put_number(json_object *object, const char *key, uint64_t value);
void json_put_bool(json_object *object, const char *key, bool value);

/* json_bytes_text - a JSON string of bytes that may hold anything: invalid UTF-8 becomes U+FFFD.
 * Returns a new object, NULL when memory is exhausted. */
json_object *json_bytes_text(struct bytes bytes) _must_check_;
