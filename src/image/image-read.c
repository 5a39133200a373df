// SPDX-License-Identifier: Apache-2.0
/*
 * image-read: the bytes of one image file as entries of a set. See docs/formats/images.md.
 *
 * Input is hostile: every length is checked before it is used, messages nest at most
 * IMAGE_DEPTH_MAX deep, and what they take in memory is limited by the arena. Entries before a
 * damage are kept. Never copies the bytes behind a message; the set borrows them.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "image/image-wire.h"
#include "image/image.h"
#include "image/schema.h"

struct reader {
	struct image_set *set;
	enum image_kind kind;
	uint64_t id;
	struct bytes data;
	size_t pos;
	size_t n_entries;
	bool chunks;	  /* of a ghost file: pieces follow, not the whole contents */
	uint32_t pending; /* messages of a System V queue that must still follow */
};

struct unpack_memory {
	struct arena *arena;
	bool exhausted;
};

static void *unpack_alloc(void *data, size_t size)
{
	struct unpack_memory *memory = data;
	void *p = arena_alloc(memory->arena, size);

	if (!p)
		memory->exhausted = true;
	return p;
}

/* The arena frees everything at its end. */
static void unpack_free(void *data, void *p)
{
}

static int unpack(struct image_set *set, const ProtobufCMessageDescriptor *desc, struct bytes data,
		  ProtobufCMessage **ret_msg, struct error *err)
{
	struct unpack_memory memory = { .arena = &set->arena };
	ProtobufCAllocator allocator = {
		.alloc = unpack_alloc,
		.free = unpack_free,
		.allocator_data = &memory,
	};
	ProtobufCMessage *msg;
	int r;

	r = image_wire_check(desc, data, err);
	if (r < 0)
		return r;
	msg = protobuf_c_message_unpack(desc, &allocator, data.len, data.data);
	if (!msg && memory.exhausted)
		return error_nomem(err);
	if (!msg)
		return error_set(
			err, ERROR_INPUT, EINVAL,
			"no valid message %s: a required field is missing or of another type",
			desc->name);
	*ret_msg = msg;
	return 0;
}

static size_t left(const struct reader *reader)
{
	return reader->data.len - reader->pos;
}

static int read_u32(struct reader *reader, uint32_t *ret, struct error *err)
{
	uint32_t le;

	if (left(reader) < sizeof(le))
		return error_set(err, ERROR_INPUT, EINVAL,
				 "the file ends in the middle, %zu bytes after the last whole part",
				 left(reader));
	memcpy(&le, reader->data.data + reader->pos, sizeof(le));
	reader->pos += sizeof(le);
	*ret = le32toh(le);
	return 0;
}

static int read_bytes(struct reader *reader, uint64_t size, struct bytes *ret, struct error *err)
{
	if (size > left(reader))
		return error_set(err, ERROR_INPUT, EINVAL,
				 "%" PRIu64 " bytes should follow, but the file ends after %zu",
				 size, left(reader));
	*ret = (struct bytes){ .data = reader->data.data + reader->pos, .len = size };
	reader->pos += size;
	return 0;
}

/* Images of version 1 (Inventory.img_version) have no common magic; both forms are read. */
static int read_header(struct reader *reader, struct error *err)
{
	const struct image_type *type = &image_types[reader->kind];
	uint32_t head = type->service ? IMAGE_MAGIC_SERVICE : IMAGE_MAGIC_COMMON;
	uint32_t word = 0;
	int r;

	r = read_u32(reader, &word, err);
	if (r == 0 && word == head && reader->kind != IMAGE_INVENTORY)
		r = read_u32(reader, &word, err);
	if (r < 0)
		return r;
	if (word != type->magic)
		return error_set(err, ERROR_INPUT, EINVAL,
				 "it begins with 0x%08" PRIx32 ", where 0x%08" PRIx32 " belongs",
				 word, type->magic);
	return 0;
}

/* Which message comes next. */
static const ProtobufCMessageDescriptor *next_message(const struct reader *reader)
{
	const struct image_type *type = &image_types[reader->kind];

	if (reader->pending)
		return &img__ipc_msg_body__descriptor;
	return type->first && !reader->n_entries ? type->first : type->entry;
}

/* The bytes behind a message, and what the message says about those that come next. */
static int read_extra(struct reader *reader, const ProtobufCMessage *msg, struct bytes *ret,
		      struct error *err)
{
	struct bytes unused;
	unsigned int pad;
	uint64_t size;
	int r;

	size = image_extra_size(msg, &pad);
	if (msg->descriptor == &img__ghost_file__descriptor) {
		const Img__GhostFile *ghost = (const Img__GhostFile *)msg;

		reader->chunks = ghost->has_chunks && ghost->chunks;
		if (!reader->chunks)
			size = left(reader);
	} else if (msg->descriptor == &img__ipc_msg__descriptor) {
		reader->pending = ((const Img__IpcMsg *)msg)->qnum;
	} else if (msg->descriptor == &img__ipc_msg_body__descriptor) {
		reader->pending--;
	}
	r = read_bytes(reader, size, ret, err);
	return r < 0 ? r : read_bytes(reader, pad, &unused, err);
}

static int read_entry(struct reader *reader, struct error *err)
{
	const ProtobufCMessageDescriptor *desc = next_message(reader);
	struct bytes packed = { 0 }, extra = { 0 };
	ProtobufCMessage *msg = NULL;
	uint32_t size = 0;
	int r;

	if (reader->n_entries == IMAGE_ENTRIES_MAX)
		return error_set(err, ERROR_INPUT, EINVAL, "an image has at most %u entries",
				 IMAGE_ENTRIES_MAX);
	r = read_u32(reader, &size, err);
	if (r < 0)
		return r;
	if (size > IMAGE_ENTRY_MAX)
		return error_set(err, ERROR_INPUT, EINVAL,
				 "its message would take %" PRIu32
				 " bytes, at most %u are accepted",
				 size, IMAGE_ENTRY_MAX);
	r = read_bytes(reader, size, &packed, err);
	if (r == 0)
		r = unpack(reader->set, desc, packed, &msg, err);
	if (r == 0)
		r = read_extra(reader, msg, &extra, err);
	if (r < 0)
		return r;
	reader->n_entries++;
	return image_add(reader->set, reader->kind, reader->id, msg, extra, err);
}

static int read_image(struct reader *reader, struct error *err)
{
	int r;

	r = read_header(reader, err);
	if (r < 0)
		return r;
	while (left(reader)) {
		size_t at = reader->pos;

		r = read_entry(reader, err);
		if (r < 0)
			return error_while(err, r, "entry %zu at byte %zu", reader->n_entries, at);
	}
	if (reader->pending)
		return error_set(err, ERROR_INPUT, EINVAL,
				 "%" PRIu32 " messages of the last queue are missing",
				 reader->pending);
	return 0;
}

int image_parse(struct image_set *set, const char *name, struct bytes data, struct error *err)
{
	struct reader reader = { .set = set, .data = data };
	int r;

	if (!image_parse_name(name, &reader.kind, &reader.id))
		return 1;
	if (image_find(set, reader.kind, reader.id))
		return error_set(err, ERROR_INPUT, EEXIST, "image %s is there twice", name);
	if (!set->arena.limit)
		set->arena.limit = IMAGE_ARENA_MAX;
	r = image_touch(set, reader.kind, reader.id, err);
	if (r == 0) {
		if (image_types[reader.kind].extra == IMAGE_EXTRA_RAW)
			r = image_add(set, reader.kind, reader.id, NULL, data, err);
		else
			r = read_image(&reader, err);
	}
	return r < 0 ? error_while(err, r, "reading image %s", name) : 0;
}
