// SPDX-License-Identifier: Apache-2.0
/*
 * image-json: see image-json.h.
 */
#include "image/image-json.h"

#include <limits.h>
#include <openssl/evp.h>
#include <string.h>

#define _cleanup_json_ _cleanup_(cleanup_json)

static void cleanup_json(json_object **obj)
{
	json_object_put(*obj);
}

/* Add a value to an object, which takes it over in any case. False when memory is exhausted. */
static bool add(json_object *obj, const char *key, json_object *value)
{
	if (value && json_object_object_add(obj, key, value) == 0)
		return true;
	json_object_put(value);
	return false;
}

static bool append(json_object *array, json_object *value)
{
	if (value && json_object_array_add(array, value) == 0)
		return true;
	json_object_put(value);
	return false;
}

static json_object *base64_json(const unsigned char *data, size_t len)
{
	_cleanup_free_ unsigned char *text = NULL;
	int n;

	if (len > INT_MAX / 2)
		return NULL;
	text = malloc((len + 2) / 3 * 4 + 1);
	if (!text)
		return NULL;
	n = EVP_EncodeBlock(text, data, (int)len);
	return json_object_new_string_len((const char *)text, n);
}

/* Length of the UTF-8 sequence at s, 0 when there is none (also for overlong forms and surrogates).
 */
static unsigned int utf8_sequence(const unsigned char *s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned int n = *s < 0x80   ? 1
			 : *s < 0xc2 ? 0
			 : *s < 0xe0 ? 2
			 : *s < 0xf0 ? 3
			 : *s < 0xf5 ? 4
				     : 0;
	uint32_t c;

	if (n < 2)
		return n;
	c = *s & (0x7f >> n);
	for (unsigned int i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80) /* a NUL is none either: nothing behind it is read */
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

static bool is_utf8(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	unsigned int n;

	for (; *p; p += n) {
		n = utf8_sequence(p);
		if (!n)
			return false;
	}
	return true;
}

static json_object *string_json(const char *s)
{
	_cleanup_json_ json_object *obj = NULL;

	if (!s)
		s = "";
	if (is_utf8(s))
		return json_object_new_string(s);
	obj = json_object_new_object();
	if (!obj || !add(obj, "base64", base64_json((const unsigned char *)s, strlen(s))))
		return NULL;
	return TAKE_PTR(obj);
}

static json_object *enum_json(const ProtobufCEnumDescriptor *desc, int number)
{
	const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(desc, number);

	return value ? json_object_new_string(value->name) : json_object_new_int(number);
}

/* Bytes that one element of a repeated field takes in memory. */
static size_t element_size(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return 4;
	}
}

/* The value that lies at p. */
static json_object *value_json(const ProtobufCFieldDescriptor *field, const void *p)
{
	const ProtobufCBinaryData *binary = p;

	switch (field->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return json_object_new_int(*(const int32_t *)p);
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return json_object_new_int64(*(const uint32_t *)p);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return json_object_new_int64(*(const int64_t *)p);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return json_object_new_uint64(*(const uint64_t *)p);
	case PROTOBUF_C_TYPE_FLOAT:
		return json_object_new_double(*(const float *)p);
	case PROTOBUF_C_TYPE_DOUBLE:
		return json_object_new_double(*(const double *)p);
	case PROTOBUF_C_TYPE_BOOL:
		return json_object_new_boolean(*(const protobuf_c_boolean *)p);
	case PROTOBUF_C_TYPE_ENUM:
		return enum_json(field->descriptor, *(const int *)p);
	case PROTOBUF_C_TYPE_STRING:
		return string_json(*(char *const *)p);
	case PROTOBUF_C_TYPE_BYTES:
		return base64_json(binary->data, binary->len);
	case PROTOBUF_C_TYPE_MESSAGE:
		return image_message_json(*(ProtobufCMessage *const *)p);
	}
	return NULL;
}

static json_object *array_json(const ProtobufCFieldDescriptor *field, const char *elements,
			       size_t n)
{
	_cleanup_json_ json_object *array = json_object_new_array();

	for (size_t i = 0; array && i < n; i++)
		if (!append(array, value_json(field, elements + i * element_size(field->type))))
			return NULL;
	return TAKE_PTR(array);
}

/* Whether a field that is not repeated has a value. */
static bool is_set(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *field)
{
	const char *base = (const char *)msg;

	if (field->type == PROTOBUF_C_TYPE_MESSAGE || field->type == PROTOBUF_C_TYPE_STRING)
		return *(void *const *)(base + field->offset) ||
		       (field->label == PROTOBUF_C_LABEL_REQUIRED &&
			field->type == PROTOBUF_C_TYPE_STRING);
	return field->label == PROTOBUF_C_LABEL_REQUIRED ||
	       *(const protobuf_c_boolean *)(base + field->quantifier_offset);
}

static bool add_field(json_object *obj, const ProtobufCMessage *msg,
		      const ProtobufCFieldDescriptor *field)
{
	const char *p = (const char *)msg + field->offset;
	size_t n;

	if (field->label != PROTOBUF_C_LABEL_REPEATED)
		return !is_set(msg, field) || add(obj, field->name, value_json(field, p));
	n = *(const size_t *)((const char *)msg + field->quantifier_offset);
	return !n || add(obj, field->name, array_json(field, *(char *const *)p, n));
}

static json_object *unknown_json(const ProtobufCMessage *msg)
{
	_cleanup_json_ json_object *array = json_object_new_array();

	for (unsigned int i = 0; array && i < msg->n_unknown_fields; i++) {
		const ProtobufCMessageUnknownField *field = &msg->unknown_fields[i];
		_cleanup_json_ json_object *obj = json_object_new_object();

		if (!obj || !add(obj, "number", json_object_new_int64(field->tag)) ||
		    !add(obj, "wire_type", json_object_new_int(field->wire_type)) ||
		    !add(obj, "data", base64_json(field->data, field->len)) ||
		    !append(array, TAKE_PTR(obj)))
			return NULL;
	}
	return TAKE_PTR(array);
}

json_object *image_message_json(const ProtobufCMessage *msg)
{
	_cleanup_json_ json_object *obj = json_object_new_object();

	if (!obj)
		return NULL;
	for (unsigned int i = 0; i < msg->descriptor->n_fields; i++)
		if (!add_field(obj, msg, &msg->descriptor->fields[i]))
			return NULL;
	if (msg->n_unknown_fields && !add(obj, "unknown_fields", unknown_json(msg)))
		return NULL;
	return TAKE_PTR(obj);
}

static json_object *entry_json(const struct image_entry *entry, size_t extra_max)
{
	_cleanup_json_ json_object *obj = NULL;
	size_t len = entry->extra.len;
	bool added = true;

	obj = entry->msg ? image_message_json(entry->msg) : json_object_new_object();
	if (!obj)
		return NULL;
	if (len > extra_max)
		added = add(obj, "extra_bytes", json_object_new_uint64(len));
	else if (len)
		added = add(obj, "extra", base64_json(entry->extra.data, len));
	return added ? TAKE_PTR(obj) : NULL;
}

json_object *image_json(const struct image *image, size_t extra_max)
{
	_cleanup_json_ json_object *obj = json_object_new_object();
	_cleanup_json_ json_object *entries = json_object_new_array();
	char name[64];

	image_name(image->kind, image->id, name, sizeof(name));
	if (!obj || !entries || !add(obj, "image", json_object_new_string(name)))
		return NULL;
	for (size_t i = 0; i < image->n_entries; i++)
		if (!append(entries, entry_json(&image->entries[i], extra_max)))
			return NULL;
	return add(obj, "entries", TAKE_PTR(entries)) ? TAKE_PTR(obj) : NULL;
}
