/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree-watch: which names below a directory changed, told by the kernel while it happens.
 *
 * A fanotify mark on the whole file system, from outside of the container: nothing in it can see
 * that, no watch of its own fires, nothing is read. What happens elsewhere on the file system is
 * thrown away here. Writes through a mapping are not told; a file that nobody has open for writing
 * any more is (FAN_CLOSE_WRITE).
 */
#pragma once

#include "base/op.h"

struct tree_watch;

enum tree_change {
	TREE_CHANGED = 1,   /* its content or attributes */
	TREE_NAMED = 2,	    /* the name appeared, or is another's, or is gone */
	TREE_DIRECTORY = 4, /* it is, or was, a directory */
};

/* @path: relative to the top, "" is the top itself; changes: of enum tree_change. Returns 0 or
 * -errno. */
typedef int tree_changed_fn(void *ctx, const char *path, unsigned int changes, struct error *err);

/*
 * tree_watch_new - begin to watch what is below a directory.
 * @dirfd: the directory, O_PATH is enough; borrowed until tree_watch_free()
 * Needs CAP_SYS_ADMIN and Linux 5.17 (fanotify(7): FAN_REPORT_TARGET_FID), and a file system with
 * file handles. Returns 0, or a negative errno without a text: then somebody has to look himself.
 */
int tree_watch_new(int dirfd, struct tree_watch **ret) _must_check_;
void tree_watch_free(struct tree_watch *watch); /* accepts NULL */

/*
 * tree_watch_read - everything that changed since the last call, a path as often as it was told.
 * Returns 0; 1 when the kernel lost count (its queue is bounded): anything may have changed; or a
 * negative errno.
 */
int tree_watch_read(struct tree_watch *watch, tree_changed_fn *fn, void *ctx,
		    struct error *err) _must_check_;
