/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image: the CRIU image set as one in-memory model.
 *
 * An image set is a set of images; an image has a kind, an id and entries; an entry is one protobuf
 * message (see schema/) and, for some kinds, bytes that follow it. Capture fills a set, restore and
 * examine read it; there is no second set of structs. Input is taken for hostile: everything read
 * has a maximum, and a damaged image never hides the others. No kernel, no privileges, no printing.
 *
 * The byte format (magics, framing, names) is CRIU 4.2's; it is written down in
 * docs/formats/images.md.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "image/image-kind.h"

struct image_entry {
	ProtobufCMessage *msg; /* in the set's arena; NULL in a raw image */
	struct bytes extra;    /* borrowed: from the mapped input, or the set's arena */
};

struct image {
	enum image_kind kind;
	uint64_t id; /* 0 for kinds without a number */
	struct image_entry *entries;
	size_t n_entries;
	struct image *next; /* of the same kind */
};

/* An image that could not be read, whole or in part. The entries before the damage are kept. */
struct image_problem {
	const char *name;
	const char *text;
	struct image_problem *next;
};

struct image_set {
	struct arena arena;
	struct image *images[IMAGE_KIND_COUNT]; /* singly linked, in order of addition */
	struct image *last[IMAGE_KIND_COUNT];
	struct image_problem *problems, *last_problem; /* in order of addition */
	struct image **table; /* open hash over kind and id, for image_find() */
	size_t table_size;    /* a power of two, 0 before the first image */
	size_t n_images;
};

#define IMAGE_SET_INIT ((struct image_set){ 0 })

/* Hard maxima of what is accepted. */
#define IMAGE_ENTRY_MAX	  (64U << 20) /* bytes of one packed message */
#define IMAGE_ENTRIES_MAX (4U << 20)  /* entries of one image */
#define IMAGE_DEPTH_MAX	  100	      /* messages inside each other */
#define IMAGE_ARENA_MAX	  (2UL << 30) /* bytes of all unpacked messages of one set */

/* image_set_deinit - free every message and image. Borrowed bytes stay with their owner. */
void image_set_deinit(struct image_set *set);

/* image_find - the image of a kind and id, NULL when there is none. */
struct image *image_find(const struct image_set *set, enum image_kind kind, uint64_t id);

/*
 * image_add - append an entry to an image, which is made when it does not exist.
 * @msg: must live as long as the set (allocate it in set->arena); NULL for raw images
 * @extra: bytes that follow; borrowed, so they live as long as the set too
 * Returns 0, -ENOMEM, or -EINVAL when the message is none of this kind's.
 */
int image_add(struct image_set *set, enum image_kind kind, uint64_t id, ProtobufCMessage *msg,
	      struct bytes extra, struct error *err) _must_check_;

/* image_touch - make an empty image when it does not exist: some must be there even when empty. */
int image_touch(struct image_set *set, enum image_kind kind, uint64_t id,
		struct error *err) _must_check_;

/* image_message - message of the i-th entry, NULL when out of range. Cast it to the kind's type. */
void *image_message(const struct image *image, size_t i);

/* image_single - the first message of an image, NULL when there is no such image or entry. */
void *image_single(const struct image_set *set, enum image_kind kind, uint64_t id);

/* img_new(set, TYPE, lower): a zeroed, initialised message in the set's arena, NULL when exhausted:
 *	Img__FileEntry *e = img_new(set, Img__FileEntry, file_entry);
 */
#define img_new(set, type, lower)                                                                  \
	({                                                                                         \
		type *_img_m = arena_new(&(set)->arena, type);                                     \
		if (_img_m)                                                                        \
			img__##lower##__init(_img_m);                                              \
		_img_m;                                                                            \
	})

/*
 * image_parse - add the contents of one image file to the set.
 * @name: file name, decides kind and id; names that are no image's are ignored (returns 1)
 * @data: the whole file; must outlive the set (extra bytes are borrowed from it)
 * Returns 0, 1 for a name that is no image's, -EINVAL when damaged (what was read before stays in
 * the set), -EEXIST when the set has that image already, -ENOMEM. The first call sets the arena's
 * limit to IMAGE_ARENA_MAX when it has none.
 */
int image_parse(struct image_set *set, const char *name, struct bytes data,
		struct error *err) _must_check_;

/* image_problem_add - note that an image could not be read. */
int image_problem_add(struct image_set *set, const char *name, const char *text) _must_check_;

/*
 * image_serialize - the bytes of one image file: header and entries.
 * @buf: appended to
 * Returns 0, -ENOMEM, -EINVAL when an entry's extra bytes are not as many as its message says,
 * -EFBIG when a message is longer than IMAGE_ENTRY_MAX.
 */
int image_serialize(const struct image *image, struct buf *buf, struct error *err) _must_check_;

/*
 * image_set_load_dir - parse every image of a directory, in order of kind and id.
 * @ret_map: what the set borrows its bytes from (large files are mapped, not read); release it with
 * image_map_free() after the set
 * Damaged images become problems; returns an error only when the directory itself cannot be read or
 * memory is exhausted.
 */
struct image_map;
int image_set_load_dir(struct image_set *set, int dirfd, struct image_map **ret_map,
		       struct error *err) _must_check_;

/* image_map_free - release the bytes of a loaded directory. Accepts NULL. */
void image_map_free(struct image_map *map);
