// SPDX-License-Identifier: Apache-2.0
/*
 * image: see image.h. The set itself: images by kind and id, entries in order.
 *
 * Everything lives in the set's arena; nothing is ever taken out of a set.
 */
#include "image/image.h"

#include <errno.h>
#include <string.h>

#define TABLE_MIN 64

void image_set_deinit(struct image_set *set)
{
	arena_deinit(&set->arena);
	*set = IMAGE_SET_INIT;
}

/* The slot that holds an image, or the free one where it would be. */
static struct image **table_slot(struct image **table, size_t size, enum image_kind kind,
				 uint64_t id)
{
	uint64_t hash = (id * IMAGE_KIND_COUNT + kind) * 0x9e3779b97f4a7c15ULL;

	for (size_t i = hash >> 32;; i++) {
		struct image **slot = &table[i & (size - 1)];

		if (!*slot || ((*slot)->kind == kind && (*slot)->id == id))
			return slot;
	}
}

/* Keep the table at most half full. */
static int table_grow(struct image_set *set)
{
	size_t size = set->table_size ? set->table_size * 2 : TABLE_MIN;
	struct image **table;

	if (set->n_images * 2 < set->table_size)
		return 0;
	table = arena_array(&set->arena, struct image *, size);
	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < set->table_size; i++) {
		struct image *image = set->table[i];

		if (image)
			*table_slot(table, size, image->kind, image->id) = image;
	}
	set->table = table;
	set->table_size = size;
	return 0;
}

struct image *image_find(const struct image_set *set, enum image_kind kind, uint64_t id)
{
	return set->table ? *table_slot(set->table, set->table_size, kind, id) : NULL;
}

/* The image, made when it does not exist; NULL when memory is exhausted. */
static struct image *image_get(struct image_set *set, enum image_kind kind, uint64_t id)
{
	struct image *image = image_find(set, kind, id);

	if (image)
		return image;
	image = arena_new(&set->arena, struct image);
	if (!image || table_grow(set))
		return NULL;
	image->kind = kind;
	image->id = id;
	if (set->last[kind])
		set->last[kind]->next = image;
	else
		set->images[kind] = image;
	set->last[kind] = image;
	*table_slot(set->table, set->table_size, kind, id) = image;
	set->n_images++;
	return image;
}

int image_touch(struct image_set *set, enum image_kind kind, uint64_t id, struct error *err)
{
	return image_get(set, kind, id) ? 0 : error_nomem(err);
}

int image_add(struct image_set *set, enum image_kind kind, uint64_t id, ProtobufCMessage *msg,
	      struct bytes extra, struct error *err)
{
	struct image_entry *entries;
	struct image *image;

	if (!image_kind_accepts(kind, msg ? msg->descriptor : NULL))
		return error_set(err, ERROR_INTERNAL, EINVAL,
				 "a message %s is no entry of image %s",
				 msg ? msg->descriptor->name : "NULL", image_types[kind].name);
	image = image_get(set, kind, id);
	if (!image)
		return error_nomem(err);
	entries = arena_grow(&set->arena, image->entries, image->n_entries, sizeof(*entries));
	if (!entries)
		return error_nomem(err);
	image->entries = entries;
	entries[image->n_entries++] = (struct image_entry){ .msg = msg, .extra = extra };
	return 0;
}

void *image_message(const struct image *image, size_t i)
{
	return i < image->n_entries ? image->entries[i].msg : NULL;
}

void *image_single(const struct image_set *set, enum image_kind kind, uint64_t id)
{
	const struct image *image = image_find(set, kind, id);

	return image ? image_message(image, 0) : NULL;
}

int image_problem_add(struct image_set *set, const char *name, const char *text)
{
	struct image_problem *problem = arena_new(&set->arena, struct image_problem);

	if (!problem)
		return -ENOMEM;
	problem->name = arena_strdup(&set->arena, name);
	problem->text = arena_strdup(&set->arena, text);
	if (!problem->name || !problem->text)
		return -ENOMEM;
	if (set->last_problem)
		set->last_problem->next = problem;
	else
		set->problems = problem;
	set->last_problem = problem;
	return 0;
}
