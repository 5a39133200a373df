// SPDX-License-Identifier: Apache-2.0
/*
 * rootfs-diff: the container's files of the same instant as its memory, without the stop paying for
 * it.
 *
 * Rounds before the stop copy the whole diff and what changes meanwhile; the stop takes what
 * changed last. After the thaw the tar is put together.
 */
#include <errno.h>
#include <fcntl.h>

#include "checkpoint/run.h"
#include "object/mount.h"
#include "rootfs/rootfs.h"

struct checkpoint_diff {
	struct rootfs_copy *copy;
};

static int follow_diff(struct checkpoint *c, struct error *err)
{
	int r = c->diff ? rootfs_copy_round(c->diff->copy, err) : 0;

	if (r == -ENOSPC)
		return error_hint(err, r, "free some space or choose another place with -o");
	return r;
}

int checkpoint_copy_rootfs(struct checkpoint *c, struct error *err)
{
	struct checkpoint_diff *diff;
	int r = 0;

	if (!c->cap.ns[NS_MNT].own)
		r = mount_contents_look(&c->cap, c->proc_fd, err);
	if (r < 0)
		return r;
	if (!c->rootfs || c->rootfs->kind == ROOTFS_HOST)
		return 0;
	diff = arena_new(&c->set.arena, struct checkpoint_diff);
	if (!diff)
		return error_nomem(err);
	c->diff = diff;
	/* Beside the archive: the diff may be large, and it goes there anyway. */
	r = rootfs_copy_new(&c->op, c->rootfs, c->archive.dir, &diff->copy, err);
	return r < 0 ? r : follow_diff(c, err);
}

int checkpoint_follow_rootfs(struct checkpoint *c, struct error *err)
{
	int r = c->cap.mounts ? mount_contents_follow(&c->cap, err) : 0;

	return r < 0 ? r : follow_diff(c, err);
}

int checkpoint_recopy_rootfs(struct checkpoint *c, struct error *err)
{
	struct tree_written *written;
	const struct file_fact *fact;
	size_t n = 0;

	if (!c->diff)
		return 0;
	written = arena_array(&c->set.arena, struct tree_written, c->facts.n_facts);
	if (!written)
		return error_nomem(err);
	for (fact = c->facts.facts; fact < c->facts.facts + c->facts.n_facts; fact++)
		if (fact->written && fact->path[0] == '/')
			written[n++] = (struct tree_written){ fact->path + 1, fact->mapped };
	return rootfs_copy_last(c->diff->copy, written, n, err);
}

void checkpoint_rootfs_free(struct checkpoint *c)
{
	if (!c->diff)
		return;
	rootfs_copy_free(c->diff->copy);
	c->diff = NULL;
}

static int to_archive(void *ctx, const void *data, size_t len, struct error *err)
{
	struct checkpoint *c = ctx;

	return archive_write(&c->archive, data, len, err);
}

static int write_diff(struct checkpoint *c, struct rootfs_removed *removed, struct error *err)
{
	struct tree_sink sink = { to_archive, c };
	_cleanup_buf_ struct buf deleted = BUF_INIT;
	int r;

	r = archive_begin(&c->archive, "rootfs-diff.tar", err);
	if (r == 0)
		r = rootfs_copy_write(c->diff->copy, &sink, removed, c->gaps, err);
	if (r == 0)
		r = archive_end(&c->archive, err);
	if (r < 0 || !removed->n_deleted)
		return r;
	r = rootfs_removed_json(removed, &deleted, err);
	if (r == 0)
		r = archive_add(&c->archive, "deleted.files", deleted.data, deleted.len, err);
	return r;
}

int checkpoint_write_rootfs(struct checkpoint *c, struct error *err)
{
	_cleanup_(rootfs_removed_deinit) struct rootfs_removed removed = ROOTFS_REMOVED_INIT;

	return c->diff ? write_diff(c, &removed, err) : 0;
}
