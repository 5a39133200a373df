// SPDX-License-Identifier: Apache-2.0
/*
 * json: see json.h.
 */
#include "base/json.h"

#include <errno.h>
#include <string.h>

int json_parse(struct bytes text, const char *what, json_object **ret, struct error *err)
{
	json_object *object = NULL;
	json_tokener *tokener;
	enum json_tokener_error code;
	size_t at = 0;

	if (text.len > JSON_BYTES_MAX)
		return error_set(err, ERROR_INPUT, EFBIG, "%s is longer than %u bytes", what,
				 JSON_BYTES_MAX);
	while (text.len && strchr(" \t\r\n", text.data[text.len - 1]))
		text.len--;
	tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
	if (!tokener)
		return error_nomem(err);
	if (text.len)
		object = json_tokener_parse_ex(tokener, (const char *)text.data, (int)text.len);
	code = json_tokener_get_error(tokener);
	at = json_tokener_get_parse_end(tokener);
	if (code == json_tokener_success && at < text.len)
		code = json_tokener_error_parse_unexpected;
	/* A number at the very end is complete only for who knows that nothing follows. */
	if (text.len && code == json_tokener_continue) {
		object = json_tokener_parse_ex(tokener, "", 1);
		code = json_tokener_get_error(tokener);
	}
	json_tokener_free(tokener);
	if (!text.len || code != json_tokener_success) {
		json_object_put(object);
		return error_set(err, ERROR_INPUT, EINVAL, "%s is no JSON: byte %zu: %s", what, at,
				 text.len ? json_tokener_error_desc(code) : "empty");
	}
	*ret = object;
	return 0;
}

json_object *json_member(json_object *object, const char *key)
{
	json_object *value = NULL;

	if (!json_object_is_type(object, json_type_object))
		return NULL;
	json_object_object_get_ex(object, key, &value);
	return value;
}

json_object *json_get(json_object *object, const char *path)
{
	const char *end;
	char key[128];

	while (object && *path) {
		end = strchrnul(path, '/');
		if ((size_t)(end - path) >= sizeof(key))
			return NULL;
		memcpy(key, path, (size_t)(end - path));
		key[end - path] = '\0';
		object = json_member(object, key);
		path = *end ? end + 1 : end;
	}
	return object;
}

const char *json_text(json_object *object, const char *path)
{
	json_object *value = json_get(object, path);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

int64_t json_number(json_object *object, const char *path)
{
	json_object *value = json_get(object, path);

	return json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : 0;
}

/* Bytes of the UTF-8 sequence at p, 0 when it is none. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
	uint32_t code;
	size_t n, i;

	if (p[0] < 0x80)
		return 1;
	n = p[0] >= 0xf0 && p[0] < 0xf5	  ? 4
	    : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
	    : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
					  : 0;
	if (!n || n > left)
		return 0;
	code = p[0] & (0xffU >> (n + 1));
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	if ((n == 3 && code < 0x800) || (n == 4 && (code < 0x10000 || code > 0x10ffff)) ||
	    (code >= 0xd800 && code < 0xe000))
		return 0;
	return n;
}

json_object *json_bytes_text(struct bytes bytes)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	size_t i, n;
	int r = 0;

	for (i = 0; i < bytes.len && r == 0; i += n ? n : 1) {
		n = utf8_length(bytes.data + i, bytes.len - i);
		r = n ? buf_append(&text, bytes.data + i, n, NULL)
		      : buf_append(&text, "\xef\xbf\xbd", 3, NULL);
	}
	if (r < 0 || text.len > INT32_MAX)
		return NULL;
	return json_object_new_string_len(text.data ? (char *)text.data : "", (int)text.len);
}

void json_put_text(json_object *object, const char *key, const char *text)
{
	if (text)
		json_object_object_add(object, key,
				       json_bytes_text((struct bytes){ (const unsigned char *)text,
								       strlen(text) }));
}

void json_put_number(json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

void json_put_bool(json_object *object, const char *key, bool value)
{
	json_object_object_add(object, key, json_object_new_boolean(value));
}
