/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree: the files below a directory as a tar stream, both directions.
 *
 * Writing reads the tree through descriptors only, never follows a symbolic link, changes no access
 * time, and keeps the stream whole whatever happens to a file meanwhile. (Reading a file of a tmpfs
 * can be seen through inotify by who watches that file; the kernel offers no way around.)
 * Extracting takes the stream for hostile: nothing is ever written outside the directory.
 */
#pragma once

#include <sys/stat.h>

#include "base/op.h"

/* Where the stream goes. write() takes all of len or fails. */
struct tree_sink {
	int (*write)(void *ctx, const void *data, size_t len, struct error *err);
	void *ctx;
};

/* Where the stream comes from: the next piece at *ret (valid until the next call), its length, 0 at
 * the end, or a negative errno. */
struct tree_source {
	ssize_t (*read)(void *ctx, const void **ret, struct error *err);
	void *ctx;
};

/* Something that is not as it should be about one path; it never ends the work. */
typedef void tree_note_fn(void *ctx, const char *path, const char *text);

enum tree_choice {
	TREE_TAKE,    /* into the stream, and on into it if it is a directory */
	TREE_SKIP,    /* neither it nor what is below */
	TREE_DESCEND, /* a directory: only what is below */
};

/* Is asked for everything but the top. @path: relative, without "./"; @dirfd, @name: for *at()
 * calls. */
typedef int tree_choose_fn(void *ctx, const char *path, int dirfd, const char *name,
			   const struct stat *st, enum tree_choice *ret, struct error *err);

struct tree_write_options {
	struct op *op;	    /* for cancelling; may be NULL */
	const char *prefix; /* before every name: "" or "./"; with "./" the top is written too */
	int gzip;	    /* -1 = plain, 0..9 = compressed (0: stored) */
	uint64_t max_bytes; /* of all file contents; files beyond are left out with a note; 0 = no
			       limit */
	bool unbuffered;    /* the sink takes pieces of any size, uncopied; plain tars only */
	const char *xattr_skip; /* prefix of extended attributes that are left out, or NULL */
	tree_choose_fn *choose; /* may be NULL: take everything */
	tree_note_fn *note;	/* may be NULL */
	void *ctx;		/* for choose and note */
};

/*
 * tree_write - write what is below a directory; other file systems mounted in it are left out.
 * @dirfd: the directory; O_PATH is enough
 * A file that shrinks while it is read is filled up with zeros, one that grows is cut, both noted.
 * Returns 0 or a negative errno (of the sink, or of the top directory).
 */
int tree_write(int dirfd, const struct tree_write_options *opt, const struct tree_sink *sink,
	       struct error *err) _must_check_;

struct tree_extract_options {
	struct op *op;	      /* for cancelling; may be NULL */
	uint64_t max_bytes;   /* of file contents; more is -EFBIG; 0 = no limit */
	uint64_t max_entries; /* more is -E2BIG; 0 = TREE_ENTRIES_MAX */
	bool devices;	      /* make device nodes (else they are noted) */
	bool whiteouts;	      /* ".wh.NAME" removes NAME, ".wh..wh..opq" empties its directory */
	tree_note_fn *note;   /* may be NULL */
	void *ctx;
};

#define TREE_ENTRIES_MAX   ((uint64_t)16 << 20)
#define TREE_PATH_MAX	   4096
#define TREE_DEPTH_MAX	   256
#define TREE_FILE_SIZE_MAX ((int64_t)1 << 44) /* length of a file, holes included */

/*
 * tree_extract - extract a tar (plain or compressed) below a directory.
 * Names that are absolute, contain "..", or pass through a symbolic link or another mount are noted
 * and left out; so are overlay's own attributes. What is in the way is replaced. Returns 0,
 * -EBADMSG for a damaged stream (what came before it has been extracted), or another negative
 * errno.
 */
int tree_extract(int dirfd, const struct tree_extract_options *opt,
		 const struct tree_source *source, struct error *err) _must_check_;

/* tree_extract_bytes - tree_extract() from memory. */
int tree_extract_bytes(int dirfd, const struct tree_extract_options *opt, struct bytes data,
		       struct error *err) _must_check_;

/*
 * tree_resolve - an O_PATH descriptor of a path below a directory: no "..", no symbolic link
 * followed (not even the last), no mount crossed. Returns a descriptor or a negative errno; sets no
 * error text.
 */
int tree_resolve(int dirfd, const char *path) _must_check_;

/* tree_mkdirs - as tree_resolve() for a directory, making what is missing of it (0755). */
int tree_mkdirs(int dirfd, const char *path) _must_check_;

/* tree_path_ok - is a relative path without "", "." and ".." components, within the maxima. */
bool tree_path_ok(const char *path);

/* tree_remove - remove a name and everything below it. 0 also when there is none; sets no text. */
int tree_remove(int dirfd, const char *name) _must_check_;

/* tree_empty - remove everything below a directory. Returns 0 or a negative errno. */
int tree_empty(int dirfd) _must_check_;
