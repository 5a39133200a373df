/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader: a checkpoint archive, read where it lies.
 *
 * The file is mapped; nothing is unpacked and nothing is trusted. Compressed archives (podman's
 * zstd, gzip) are first inflated into an unnamed file. An archive that is cut off can still be read
 * as far as it goes: what is missing is a problem of the reader, not a failure.
 */
#pragma once

#include "archive/tar.h"
#include "image/image.h"

struct archive_reader {
	struct arena arena;
	int fd; /* of what is mapped: the file itself or its inflated copy */
	struct bytes data;
	uint64_t file_size; /* of the file as given */
	bool compressed;    /* data is an inflated copy */
	struct tar_member *members;
	size_t n_members;
	bool damaged;	      /* the end was not reached */
	struct error problem; /* why, when damaged */
};

#define ARCHIVE_READER_INIT ((struct archive_reader){ .fd = -1 })

/* Hard maxima of what is accepted. */
#define ARCHIVE_MEMBERS_MAX  (1U << 20)
#define ARCHIVE_INFLATED_MAX (1ULL << 42)

/*
 * archive_reader_open - map an archive and index its members.
 * Returns 0 (check damaged), -ENOENT and the like, -EINVAL for a file that is no tar at all.
 */
int archive_reader_open(struct archive_reader *a, const char *path, struct error *err) _must_check_;

/* archive_reader_parse - the same on bytes in memory; for tests and the fuzzer. data is borrowed.
 */
int archive_reader_parse(struct archive_reader *a, struct bytes data,
			 struct error *err) _must_check_;

void archive_reader_deinit(struct archive_reader *a);

/* archive_member_find - a member by name ("./" in front is ignored), NULL when there is none. */
const struct tar_member *archive_member_find(const struct archive_reader *a, const char *name);

/* archive_member_data - the bytes of a member, borrowed from the mapping. */
struct bytes archive_member_data(const struct archive_reader *a, const struct tar_member *m);

/*
 * archive_load_images - parse every image below checkpoint/ into a set, and stats-dump.
 * Damaged images become problems of the set. Returns 0 or -ENOMEM.
 */
int archive_load_images(const struct archive_reader *a, struct image_set *set,
			struct error *err) _must_check_;
