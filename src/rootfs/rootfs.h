/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rootfs: the files of a container: where its root comes from, what it changed in it, and putting
 * such changes into a copy.
 *
 * The container's own view is never used for reading: an overlay's upper directory is read where it
 * lies on the host, so that no access is seen inside and no file is copied up.
 */
#pragma once

#include <sys/types.h>

#include "image/gap.h"
#include "object/tree-rounds.h"

#define ROOTFS_LOWERS_MAX 512

enum rootfs_kind {
	ROOTFS_OVERLAY, /* upper and lowers are known: the diff is the upper directory */
	ROOTFS_PLAIN,	/* a directory of its own: the diff is what changed since the container
			   started */
	ROOTFS_HOST,	/* the root of this machine: there is no diff */
};

struct rootfs {
	enum rootfs_kind kind;
	const char *fstype; /* of the root mount: "overlay", "ext4"... */
	const char
		*path; /* of the container's root as this process can open it; "" = out of sight */
	const char *upper;   /* ROOTFS_OVERLAY: path on this host */
	const char *work;    /* ROOTFS_OVERLAY */
	const char **lowers; /* ROOTFS_OVERLAY: paths on this host, the topmost first */
	size_t n_lowers;
	bool userxattr; /* overlay's marks are "user.overlay.", not "trusted.overlay." */
	bool writable;	/* the root mount and its file system */
	int dir_fd;	/* what is read for the diff: the upper directory, or a private clone of the
			   root */
	struct timespec since; /* ROOTFS_PLAIN: wall clock time at which the container started */
	struct arena arena;
};

/*
 * rootfs_find - what the root of a process is made of. Harmless while the process runs.
 * *ret: the caller's, for rootfs_free(). Returns 0 or a negative errno (the process is gone; an
 * overlay whose layers are not in sight of this process is -ENOENT, with a hint).
 */
int rootfs_find(struct op *op, pid_t pid, struct rootfs **ret, struct error *err) _must_check_;
void rootfs_free(struct rootfs *rootfs); /* accepts NULL */

/* rootfs_kind_name - "overlay", "directory", "host". */
const char *rootfs_kind_name(enum rootfs_kind kind);

/* What a tar cannot say. Paths are relative to the root, without a leading slash. */
struct rootfs_removed {
	struct arena arena;
	const char **deleted; /* was in the base, is gone */
	size_t n_deleted;
	const char **opaque; /* directories made anew; what they hide is among the deleted */
	size_t n_opaque;
};

#define ROOTFS_REMOVED_INIT ((struct rootfs_removed){ 0 })
#define ROOTFS_REMOVED_MAX  ((size_t)1 << 22)
void rootfs_removed_deinit(struct rootfs_removed *removed);

/*
 * rootfs_diff_write - what the container changed, as a plain tar (PAX where needed).
 * @sink: takes the tar; a tar without entries is written where nothing changed
 * @removed: filled in (initialised by the caller)
 * @gaps: files that changed while they were read, or could not be
 * Whiteouts are not in the tar but in removed->deleted, as Podman and CRI-O have it
 * (deleted.files); so is what the base has in a directory that was made anew without it.
 * Returns 0 or a negative errno.
 */
int rootfs_diff_write(struct op *op, const struct rootfs *rootfs, const struct tree_sink *sink,
		      struct rootfs_removed *removed, struct gap_list *gaps,
		      struct error *err) _must_check_;

/*
 * The container's files of one instant, copied in rounds (object/tree-rounds.h): the first one
 * copies all, the last one, in the stop, what changed since the one before.
 */
struct rootfs_copy;

/* rootfs_copy_new - watching begins, nothing is copied yet.
 * @rootfs: borrowed; @spill_dir: where unnamed files can be made, borrowed
 * *ret: the caller's, for rootfs_copy_free(). */
int rootfs_copy_new(struct op *op, const struct rootfs *rootfs, int spill_dir,
		    struct rootfs_copy **ret, struct error *err) _must_check_;
void rootfs_copy_free(struct rootfs_copy *copy); /* accepts NULL */

/* rootfs_copy_round - while the container runs, as often as wanted: the first call copies until
 * little changes, further ones what changed since. */
int rootfs_copy_round(struct rootfs_copy *copy, struct error *err) _must_check_;

/* rootfs_copy_last - in the stop. @written: files that somebody may be writing. */
int rootfs_copy_last(struct rootfs_copy *copy, const struct tree_written *written, size_t n_written,
		     struct error *err) _must_check_;

/* rootfs_copy_write - after the thaw; what is written as by rootfs_diff_write(). */
int rootfs_copy_write(struct rootfs_copy *copy, const struct tree_sink *sink,
		      struct rootfs_removed *removed, struct gap_list *gaps,
		      struct error *err) _must_check_;

/* rootfs_removed_json - the deleted paths as a JSON list of strings ("/etc/x"): the content of
 * deleted.files. Appends to buf. */
int rootfs_removed_json(const struct rootfs_removed *removed, struct buf *buf,
			struct error *err) _must_check_;

/* rootfs_removed_parse - read deleted.files. Paths that are absolute lose their slash; paths that
 * could lead out are left out. Returns 0 or -EBADMSG. */
int rootfs_removed_parse(struct bytes json, struct rootfs_removed *ret,
			 struct error *err) _must_check_;

/*
 * rootfs_apply - put a diff into a copy of the base.
 * @dirfd: root of the copy: the *merged* directory of a fresh overlay, or a plain directory.
 * Removing and replacing there makes overlayfs write its own marks
 * @source: the tar, plain or compressed; containerd's whiteouts (".wh.") are understood
 * @removed: from rootfs_removed_parse(), NULL = nothing
 * @note: told about everything that was not done, with ctx
 * The tar is hostile: see tree_extract(). Returns 0, -EBADMSG (what came before the damage is in
 * place), or another negative errno.
 */
int rootfs_apply(struct op *op, int dirfd, const struct tree_source *source,
		 const struct rootfs_removed *removed, tree_note_fn *note, void *ctx,
		 struct error *err) _must_check_;
