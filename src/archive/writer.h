/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer: a checkpoint archive being made.
 *
 * The file has no name until it is whole: it is made with O_TMPFILE beside its final place, so that
 * a killed amber leaves nothing, and is linked to its name after the last fsync. Members are hashed
 * while they are written; only page images, which are filled in any order while the container
 * stands still, are hashed from the page cache afterwards. The last two members are amber.json and
 * SHA256SUMS.
 */
#pragma once

#include "archive/hasher.h"
#include "archive/tar.h"
#include "base/op.h"
#include "evidence/digest.h"

struct archive_member {
	const char *name;
	uint64_t offset, size;	 /* of the data in the archive */
	char sha256[DIGEST_HEX]; /* "" = not hashed */
	bool reserved;		 /* filled by pwrite, digest still to come */
	struct buf header;	 /* of a reserved member, not written yet */
};

struct archive_writer {
	struct arena arena;
	int dir;	  /* of the final place */
	int fd;		  /* the unnamed file, read-write */
	const char *base; /* final file name in dir */
	const char *path; /* as given, for messages */
	char *temp; /* name of the temporary file where O_TMPFILE is not supported, else NULL */
	uint64_t pos;
	int64_t mtime; /* of all members: seconds since the epoch */
	struct archive_member *members;
	size_t n_members;
	struct digest digest;  /* of the open member */
	uint64_t header;       /* offset of the open member's header */
	struct hasher *hasher; /* at work on reserved members */
	/* To be set after archive_writer_open(): */
	bool no_digest; /* nothing is hashed, there is no SHA256SUMS; amber.json has to say so */
	bool no_sync;	/* archive_finish() does not wait for the disk */
};

#define ARCHIVE_WRITER_INIT ((struct archive_writer){ .dir = -1, .fd = -1 })

/*
 * archive_writer_open - begin an archive that will be called path.
 * An existing file of that name is refused with -EEXIST: evidence is never overwritten.
 */
int archive_writer_open(struct archive_writer *w, const char *path, struct error *err) _must_check_;

/* archive_writer_deinit - throw away what was not finished. */
void archive_writer_deinit(struct archive_writer *w);

/* archive_add - a whole member of bytes. */
int archive_add(struct archive_writer *w, const char *name, const void *data, size_t len,
		struct error *err) _must_check_;

/* archive_add_dir - a directory member. */
int archive_add_dir(struct archive_writer *w, const char *name, struct error *err) _must_check_;

/*
 * archive_begin, archive_write, archive_end - a member whose size is not known beforehand.
 * Only one member is open at a time.
 */
int archive_begin(struct archive_writer *w, const char *name, struct error *err) _must_check_;
int archive_write(struct archive_writer *w, const void *data, size_t len,
		  struct error *err) _must_check_;
int archive_end(struct archive_writer *w, struct error *err) _must_check_;

/*
 * archive_reserve - room for a member of size bytes whose data begins at a page boundary.
 * *ret_offset: where to pwrite() the data in w->fd, in any order, before archive_hash_reserved().
 * Nothing is written here, not even the header: what lies there may still be needed elsewhere.
 */
int archive_reserve(struct archive_writer *w, const char *name, uint64_t size, uint64_t *ret_offset,
		    struct error *err) _must_check_;

/*
 * archive_warm - bring size bytes of the file behind the last member into the page cache.
 * Overwriting cached pages is many times faster than growing a file, so what is to be written while
 * a container stands still is written here before, as zeroes. archive_finish() cuts off what was
 * too much. Stops at 64 MiB short of a full disk without an error: the real writes will tell.
 */
int archive_warm(struct archive_writer *w, struct op *op, uint64_t size,
		 struct error *err) _must_check_;

/*
 * archive_hash_start - all reserved members are filled: threads begin to hash them, and to send the
 * file to the disk. Other members may be added meanwhile; nothing is reserved any more.
 */
int archive_hash_start(struct archive_writer *w, struct op *op, struct error *err) _must_check_;

/* archive_hash_reserved - wait for the digests of all reserved members; begins if need be. */
int archive_hash_reserved(struct archive_writer *w, struct op *op, struct error *err) _must_check_;

/*
 * archive_finish - SHA256SUMS, end marker, fsync (unless no_sync), and the final name.
 * -EEXIST when somebody made a file of that name meanwhile; nothing is overwritten.
 */
int archive_finish(struct archive_writer *w, struct error *err) _must_check_;
