// SPDX-License-Identifier: Apache-2.0
/*
 * rootfs-diff: the container's files of the same instant as its memory, without the stop paying for
 * it.
 *
 * Round one copies the whole diff into an unnamed file while the container runs. In the stop the
 * tree is walked again, and only what changed since (or is open for writing) is copied. After the
 * thaw the tar is put together: what round two found unchanged from round one, and behind it all of
 * round two.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "archive/tar.h"
#include "base/fd.h"
#include "checkpoint/run.h"
#include "rootfs/rootfs.h"

struct checkpoint_diff {
	int first, second; /* unnamed files: the rounds' tars */
	struct rootfs_round round;
	struct rootfs_removed removed;
};

static bool has_diff(const struct checkpoint *c)
{
	return c->rootfs && c->rootfs->kind != ROOTFS_HOST;
}

static int fd_sink(void *ctx, const void *data, size_t len, struct error *err)
{
	return fd_write_all(*(int *)ctx, data, len, err);
}

static int open_files(struct checkpoint *c, struct checkpoint_diff *diff, struct error *err)
{
	/* Beside the archive: the diff may be large, and it goes there anyway. */
	diff->first = openat(c->archive.dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (diff->first < 0)
		diff->first = memfd_create("amber-rootfs-diff", MFD_CLOEXEC);
	/* In the stop memory is faster than a file system. */
	diff->second = memfd_create("amber-rootfs-changes", MFD_CLOEXEC);
	if (diff->first < 0 || diff->second < 0)
		return error_errno(err, errno, "cannot make a place for the container's files");
	return 0;
}

int checkpoint_copy_rootfs(struct checkpoint *c, struct error *err)
{
	_cleanup_(rootfs_removed_deinit) struct rootfs_removed removed = ROOTFS_REMOVED_INIT;
	_cleanup_(gap_list_deinit) struct gap_list unused = GAP_LIST_INIT;
	struct checkpoint_diff *diff;
	struct tree_sink sink;
	int r;

	if (!has_diff(c))
		return 0;
	diff = arena_new(&c->set.arena, struct checkpoint_diff);
	if (!diff)
		return error_nomem(err);
	*diff = (struct checkpoint_diff){ .first = -1, .second = -1 };
	c->diff = diff;
	r = open_files(c, diff, err);
	if (r < 0)
		return r;
	clock_gettime(CLOCK_REALTIME_COARSE, &diff->round.since);
	sink = (struct tree_sink){ fd_sink, &diff->first };
	/* What this round notes about files that change under it the second one sees again. */
	r = rootfs_diff_write(&c->op, c->rootfs, &sink, &removed, &unused, err);
	if (r == -ENOSPC)
		return error_hint(err, r, "free some space or choose another place with -o");
	return r;
}

/* Paths of files that somebody may be writing: a mapping can be written without a change of times.
 */
static int force_written(struct checkpoint *c, struct rootfs_round *round, struct error *err)
{
	const struct file_fact *fact;
	const char **paths;
	size_t n = 0;

	paths = arena_array(&round->arena, const char *, c->facts.n_facts);
	if (!paths)
		return error_nomem(err);
	for (fact = c->facts.facts; fact < c->facts.facts + c->facts.n_facts; fact++)
		if (fact->written && fact->path[0] == '/')
			paths[n++] = fact->path + 1;
	round->force = paths;
	round->n_force = n;
	return 0;
}

int checkpoint_recopy_rootfs(struct checkpoint *c, struct error *err)
{
	struct checkpoint_diff *diff = c->diff;
	struct tree_sink sink;
	int r;

	if (!diff)
		return 0;
	r = force_written(c, &diff->round, err);
	if (r < 0)
		return r;
	sink = (struct tree_sink){ fd_sink, &diff->second };
	return rootfs_diff_round(&c->op, c->rootfs, &sink, &diff->round, &diff->removed, c->gaps,
				 err);
}

void checkpoint_rootfs_free(struct checkpoint *c)
{
	struct checkpoint_diff *diff = c->diff;

	if (!diff)
		return;
	if (diff->first >= 0)
		close(diff->first);
	if (diff->second >= 0)
		close(diff->second);
	rootfs_round_deinit(&diff->round);
	rootfs_removed_deinit(&diff->removed);
	c->diff = NULL;
}

static int map_file(int fd, struct bytes *ret, struct error *err)
{
	struct stat st;
	void *map;

	*ret = (struct bytes){ 0 };
	if (fstat(fd, &st) < 0)
		return error_errno(err, errno, "cannot look at a copy of the container's files");
	if (st.st_size == 0)
		return 0;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return error_errno(err, errno, "cannot map a copy of the container's files");
	*ret = (struct bytes){ map, (size_t)st.st_size };
	return 0;
}

/* The entries of the first round that the second found unchanged, as they are. */
static int write_kept(struct checkpoint *c, struct bytes tar, struct error *err)
{
	_cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
	struct tar_member m;
	uint64_t pos = 0;
	int r;

	for (;;) {
		if (!tar.len)
			return 0;
		r = tar_next(tar, &arena, &pos, &m, err);
		if (r != 0)
			return r < 0 ? r : 0;
		if (!rootfs_round_keeps(&c->diff->round, m.name))
			continue;
		r = op_cancelled(&c->op, err);
		if (r == 0)
			r = archive_write(&c->archive, tar.data + m.header, pos - m.header, err);
		if (r < 0)
			return r;
	}
}

static int write_diff(struct checkpoint *c, struct error *err)
{
	struct bytes first = { 0 }, second = { 0 };
	int r;

	r = map_file(c->diff->first, &first, err);
	if (r == 0)
		r = write_kept(c, first, err);
	if (first.len)
		munmap((void *)first.data, first.len);
	if (r == 0)
		r = map_file(c->diff->second, &second, err);
	if (r < 0)
		return r;
	if (second.len) {
		r = archive_write(&c->archive, second.data, second.len, err);
		munmap((void *)second.data, second.len);
	}
	return r;
}

int checkpoint_write_rootfs(struct checkpoint *c, struct error *err)
{
	_cleanup_buf_ struct buf deleted = BUF_INIT;
	int r;

	if (!c->diff)
		return 0;
	r = archive_begin(&c->archive, "rootfs-diff.tar", err);
	if (r == 0)
		r = write_diff(c, err);
	if (r == 0)
		r = archive_end(&c->archive, err);
	if (r < 0 || !c->diff->removed.n_deleted)
		return r;
	r = rootfs_removed_json(&c->diff->removed, &deleted, err);
	if (r == 0)
		r = archive_add(&c->archive, "deleted.files", deleted.data, deleted.len, err);
	return r;
}
