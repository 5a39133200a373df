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
	TREE_GONE,    /* as TREE_SKIP: the mark of a name that was removed */
	TREE_ALONE,   /* into the stream, without what is below if it is a directory */
};

/* Is asked for everything but the top. @path: relative, without "./"; @dirfd, @name: for *at()
 * calls. */
typedef int tree_choose_fn(void *ctx, const char *path, int dirfd, const char *name,
			   const struct stat *st, enum tree_choice *ret, struct error *err);

/* Is told where in the stream an entry lies: its header begins at start, its content at data, the
 * next header at end. */
typedef void tree_entry_fn(void *ctx, const char *path, uint64_t start, uint64_t data,
			   uint64_t end);

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
	tree_entry_fn *entry;	/* may be NULL */
	void *ctx;		/* for choose, note and entry */
};

/*
 * tree_write - write what is below a directory; other file systems mounted in it are left out.
 * @dirfd: the directory; O_PATH is enough
 * A file that shrinks while it is read is filled up with zeros, one that grows is cut, both noted.
 * Returns 0 or a negative errno (of the sink, or of the top directory).
 */
int tree_write(int dirfd, const struct tree_write_options *opt, const struct tree_sink *sink,
	       struct error *err) _must_check_;

/*
 * tree_write_paths - tree_write() of some paths and what is below them; "" is the top itself.
 * A path that is not there is passed over. choose() is asked for each path but "".
 */
int tree_write_paths(int dirfd, const struct tree_write_options *opt, const char *const *paths,
		     size_t n_paths, const struct tree_sink *sink, struct error *err) _must_check_;

/* A file whose content is not what lies in the tree now. */
struct tree_file {
	const char *path;
	int fd;		/* open for reading: for its extended attributes */
	struct stat st; /* what the entry says of it; st_size bytes are read */
	/* Returns how many of len bytes at off it put into data, or -errno; 0: no more. */
	ssize_t (*read)(void *ctx, uint64_t off, void *data, size_t len);
	void *ctx;
};

/* tree_write_files - such files as a tar; one without entries when there are none. Of opt, choose
 * is not asked. */
int tree_write_files(const struct tree_write_options *opt, const struct tree_file *files,
		     size_t n_files, const struct tree_sink *sink, struct error *err) _must_check_;

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
