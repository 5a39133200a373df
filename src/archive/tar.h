/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tar: the bytes of a tar archive, header by header.
 *
 * Writing makes ustar headers with PAX records only where they are needed (alignment, long names);
 * reading accepts ustar, PAX and GNU headers from hostile hands. No files are opened here.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

#define TAR_BLOCK    512U
#define TAR_NAME_MAX 4096U
#define TAR_PAX_MAX  (1U << 20) /* bytes of one PAX or long-name record that are accepted */

/* What a tar header says about one member. */
struct tar_member {
	const char *name;     /* as stored, without trailing slash */
	const char *linkname; /* "" when none */
	char type; /* '0' file, '5' directory, '1' hard link, '2' symlink, '3' char, ... */
	uint32_t mode;
	uint64_t uid, gid;
	int64_t mtime;
	uint64_t header; /* offset of the first block that belongs to the member */
	uint64_t offset; /* of the data in the archive */
	uint64_t size;	 /* of the data */
};

/*
 * tar_header - the blocks that stand before a member's data.
 * @align: data must begin at a multiple of this many bytes (a multiple of TAR_BLOCK, 0 = any);
 *reached by a PAX comment of the right length
 * @pos: offset in the archive at which the returned blocks will be written
 * @out: appended to
 * Returns 0, -ENAMETOOLONG (name over 99 bytes), -ENOMEM.
 */
int tar_header(const struct tar_member *member, uint64_t pos, uint64_t align, struct buf *out,
	       struct error *err) _must_check_;

/* tar_padding - bytes of zero between the end of size bytes of data and the next header. */
uint64_t tar_padding(uint64_t size);

/*
 * tar_next - read the member that starts at *pos.
 * @data: the whole archive
 * @arena: for the names
 * *pos: moved behind the member's data and padding
 * Returns 0, 1 at the end of the archive, -EINVAL when damaged (err names the offset), -ENOMEM.
 */
int tar_next(struct bytes data, struct arena *arena, uint64_t *pos, struct tar_member *ret,
	     struct error *err) _must_check_;
