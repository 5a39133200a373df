// SPDX-License-Identifier: Apache-2.0
/*
 * apply: a diff into a copy of the base; see rootfs.h.
 *
 * First what is gone goes, then the tar comes. The list and the tar have no path in common, so the
 * other order, which Podman has, comes to the same.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "rootfs/rootfs.h"

static void remove_one(int dirfd, const char *path, tree_note_fn *note, void *ctx)
{
	_cleanup_close_ int parent = -1;
	char dir[TREE_PATH_MAX], text[256];
	const char *slash;
	int r;

	if (!tree_path_ok(path)) {
		if (note)
			note(ctx, path, "not removed: the name is not allowed");
		return;
	}
	slash = strrchr(path, '/');
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) : 0, path);
	parent = tree_resolve(dirfd, dir);
	r = parent < 0 ? parent : tree_remove(parent, slash ? slash + 1 : path);
	if (r < 0 && r != -ENOENT && r != -ENOTDIR && note) {
		snprintf(text, sizeof(text), "cannot be removed: %s", strerror(-r));
		note(ctx, path, text);
	}
}

int rootfs_apply(struct op *op, int dirfd, const struct tree_source *source,
		 const struct rootfs_removed *removed, tree_note_fn *note, void *ctx,
		 struct error *err)
{
	struct tree_extract_options opt = {
		.op = op, .devices = true, .whiteouts = true, .note = note, .ctx = ctx
	};
	size_t i;
	int r;

	for (i = 0; removed && i < removed->n_deleted; i++) {
		r = op_cancelled(op, err);
		if (r < 0)
			return r;
		remove_one(dirfd, removed->deleted[i], note, ctx);
	}
	r = tree_extract(dirfd, &opt, source, err);
	return r < 0 ? error_while(err, r, "applying the rootfs diff") : 0;
}
