// SPDX-License-Identifier: Apache-2.0
/*
 * image-wire: see image-wire.h.
 */
#include "image/image-wire.h"

#include <errno.h>

#define VARINT_MAX 10

enum wire_type {
	WIRE_VARINT = 0,
	WIRE_64BIT = 1,
	WIRE_LENGTH = 2,
	WIRE_32BIT = 5,
};

struct level {
	const ProtobufCMessageDescriptor *desc;
	const unsigned char *end;
};

/* Read a varint; returns false when it does not end before end or after VARINT_MAX bytes. */
static bool varint(const unsigned char **p, const unsigned char *end, uint64_t *ret)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < VARINT_MAX && *p < end; i++) {
		unsigned char byte = *(*p)++;

		value |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (!(byte & 0x80)) {
			*ret = value;
			return true;
		}
	}
	return false;
}

static bool skip(const unsigned char **p, const unsigned char *end, uint64_t n)
{
	if (n > (uint64_t)(end - *p))
		return false;
	*p += n;
	return true;
}

/* The message type of a field, NULL when its contents are not a message. */
static const ProtobufCMessageDescriptor *field_message(const ProtobufCMessageDescriptor *desc,
						       unsigned int number)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field(desc, number);

	return field && field->type == PROTOBUF_C_TYPE_MESSAGE ? field->descriptor : NULL;
}

int image_wire_check(const ProtobufCMessageDescriptor *desc, struct bytes data, struct error *err)
{
	struct level levels[IMAGE_DEPTH_MAX];
	const unsigned char *p = data.data;
	unsigned int depth = 0;
	uint64_t tag, value;
	bool good = true;

	levels[0] = (struct level){ .desc = desc, .end = data.data + data.len };
	while (good) {
		const struct level *level = &levels[depth];
		const ProtobufCMessageDescriptor *inner;

		if (p == level->end) {
			if (!depth)
				return 0;
			depth--;
			continue;
		}
		if (!varint(&p, level->end, &tag) || tag > UINT32_MAX || !(tag >> 3))
			break;
		switch (tag & 7) {
		case WIRE_VARINT:
			good = varint(&p, level->end, &value);
			break;
		case WIRE_64BIT:
			good = skip(&p, level->end, 8);
			break;
		case WIRE_32BIT:
			good = skip(&p, level->end, 4);
			break;
		case WIRE_LENGTH:
			good = varint(&p, level->end, &value) &&
			       value <= (uint64_t)(level->end - p);
			inner = good ? field_message(level->desc, tag >> 3) : NULL;
			if (!inner) {
				good = good && skip(&p, level->end, value);
				break;
			}
			if (++depth == IMAGE_DEPTH_MAX)
				return error_set(err, ERROR_INPUT, EINVAL,
						 "messages nest deeper than %d levels",
						 IMAGE_DEPTH_MAX);
			levels[depth] = (struct level){ .desc = inner, .end = p + value };
			break;
		default:
			good = false;
		}
	}
	return error_set(err, ERROR_INPUT, EINVAL, "no valid message %s near its byte %td",
			 levels[depth].desc->name, p - data.data);
}
