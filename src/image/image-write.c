// SPDX-License-Identifier: Apache-2.0
/*
 * image-write: one image as the bytes of its file. See docs/formats/images.md.
 *
 * The result is byte for byte what CRIU writes for the same messages. Never writes what image-read
 * would not accept again.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>

#include "image/image.h"

static int append_u32(struct buf *buf, uint32_t value, struct error *err)
{
	uint32_t le = htole32(value);

	return buf_append(buf, &le, sizeof(le), err);
}

static int append_message(struct buf *buf, const ProtobufCMessage *msg, struct error *err)
{
	size_t size = protobuf_c_message_get_packed_size(msg);
	int r;

	if (size > IMAGE_ENTRY_MAX)
		return error_set(err, ERROR_SYSTEM, EFBIG,
				 "a message %s takes %zu bytes, an image's entry has at most %u",
				 msg->descriptor->name, size, IMAGE_ENTRY_MAX);
	r = append_u32(buf, size, err);
	if (r < 0)
		return r;
	r = buf_reserve(buf, size, err);
	if (r < 0)
		return r;
	buf->len += protobuf_c_message_pack(msg, buf->data + buf->len);
	buf->data[buf->len] = '\0';
	return 0;
}

/* The bytes behind a message, which must be as many as it says. */
static int append_extra(const struct image_type *type, const struct image_entry *entry,
			struct buf *buf, struct error *err)
{
	static const unsigned char zeros[8];
	unsigned int pad;
	uint64_t size;
	int r;

	size = image_extra_size(entry->msg, &pad);
	if (type->extra == IMAGE_EXTRA_REST && entry->msg->descriptor == type->first)
		size = entry->extra.len;
	if (size != entry->extra.len)
		return error_set(err, ERROR_INTERNAL, EINVAL,
				 "a message %s says that %" PRIu64 " bytes follow, but %zu do",
				 entry->msg->descriptor->name, size, entry->extra.len);
	r = buf_append(buf, entry->extra.data, entry->extra.len, err);
	if (r < 0 || !pad)
		return r;
	return buf_append(buf, zeros, pad, err);
}

int image_serialize(const struct image *image, struct buf *buf, struct error *err)
{
	const struct image_type *type = &image_types[image->kind];
	char name[64];
	int r = 0;

	image_name(image->kind, image->id, name, sizeof(name));
	if (type->extra != IMAGE_EXTRA_RAW && image->kind != IMAGE_INVENTORY)
		r = append_u32(buf, type->service ? IMAGE_MAGIC_SERVICE : IMAGE_MAGIC_COMMON, err);
	if (r == 0 && type->extra != IMAGE_EXTRA_RAW)
		r = append_u32(buf, type->magic, err);
	for (size_t i = 0; r == 0 && i < image->n_entries; i++) {
		const struct image_entry *entry = &image->entries[i];

		if (type->extra == IMAGE_EXTRA_RAW) {
			r = buf_append(buf, entry->extra.data, entry->extra.len, err);
			continue;
		}
		r = append_message(buf, entry->msg, err);
		if (r == 0)
			r = append_extra(type, entry, buf, err);
	}
	return r < 0 ? error_while(err, r, "writing image %s", name) : 0;
}
