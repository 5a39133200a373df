// SPDX-License-Identifier: Apache-2.0
/*
 * ghost: deleted files that live on in descriptors and mappings, both directions.
 *
 * The original is read through a description of our own with O_NOATIME: its position, flags and
 * times stay as they are. No name is ever made for it (CRIU's link remap would leave one in the
 * container).
 */
#include "object/ghost.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "base/fd.h"
#include "object/fd-capture.h"
#include "object/file-index.h"

/* Below it a ghost is written whole, as CRIU does. */
#define GHOST_CHUNKS_FROM (3 * AMBER_PAGE_SIZE)
#define SPOOL_PIECE	  ((off_t)64 << 20)

static uint32_t ghost_kdev(dev_t dev)
{
	return (major(dev) << 20) | minor(dev);
}

/*
 * One stretch of data into the memory file at the same offset. Through a mapping: a read would be
 * an IN_ACCESS event for whoever watches the file's inode. The mapping is touched by write() alone,
 * for which a file that has become shorter meanwhile is an EFAULT and no SIGBUS.
 */
static int spool_range(int from, int to, off_t start, off_t end, struct error *err)
{
	off_t off = start & ~(off_t)(AMBER_PAGE_SIZE - 1), done;
	unsigned char *piece;
	size_t len;

	for (; off < end; off += SPOOL_PIECE) {
		len = MIN(SPOOL_PIECE, end - off);
		piece = mmap(NULL, len, PROT_READ, MAP_PRIVATE, from, off);
		if (piece == MAP_FAILED)
			return error_errno(err, errno, "cannot map a deleted file");
		for (done = MAX(start - off, 0); done < (off_t)len;) {
			ssize_t n = pwrite(to, piece + done, len - done, off + done);

			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				break;
			done += n;
		}
		munmap(piece, len);
		if (done < (off_t)len)
			/* EFAULT: shorter than stat() said, the rest reads as zeros */
			return errno == EFAULT
				       ? 0
				       : error_errno(err, errno, "cannot copy a deleted file");
	}
	return 0;
}

static int ghost_add_chunk(struct capture *cap, uint32_t id, const unsigned char *data, off_t off,
			   off_t len, struct error *err)
{
	Img__GhostChunk *chunk = img_new(cap->set, Img__GhostChunk, ghost_chunk);

	if (!chunk)
		return error_nomem(err);
	chunk->off = off;
	chunk->len = len;
	return image_add(cap->set, IMAGE_GHOST_FILE, id, &chunk->base,
			 (struct bytes){ data + off, len }, err);
}

/* The stretches of data of a sparse file, each copied and made a chunk. */
static int ghost_copy_chunks(struct capture *cap, int from, int to, const unsigned char *data,
			     uint32_t id, off_t size, struct error *err)
{
	off_t start = 0, end;
	int r;

	while (start < size) {
		start = lseek(from, start, SEEK_DATA);
		if (start < 0)
			return errno == ENXIO ? 0 : error_errno(err, errno, "cannot find data");
		end = lseek(from, start, SEEK_HOLE);
		if (end < 0)
			return error_errno(err, errno, "cannot find the end of data");
		end = MIN(end, size);
		if (end <= start)
			return 0;
		r = spool_range(from, to, start, end, err);
		if (r < 0)
			return r;
		r = ghost_add_chunk(cap, id, data, start, end - start, err);
		if (r < 0)
			return r;
		start = end;
	}
	return 0;
}

/* The content of a regular file, as memory that the set may borrow. */
static int ghost_content(struct capture *cap, const struct fd_facts *facts, Img__GhostFile *ghost,
			 uint32_t id, struct error *err)
{
	_cleanup_close_ int from = -1, to = -1;
	struct bytes whole = { 0 };
	off_t size = facts->st.st_size;
	unsigned char *data = NULL;
	char path[32];
	int r;

	if (size == 0)
		return image_add(cap->set, IMAGE_GHOST_FILE, id, &ghost->base, whole, err);

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", facts->dup);
	from = open(path, O_RDONLY | O_NOATIME | O_NONBLOCK | O_CLOEXEC);
	if (from < 0)
		return error_errno(err, errno, "cannot open the deleted file for reading");
	to = memfd_create("amber-ghost", MFD_CLOEXEC);
	if (to < 0 || ftruncate(to, size) < 0)
		return error_errno(err, errno, "cannot make a memory file of %lld bytes",
				   (long long)size);
	data = mmap(NULL, size, PROT_READ, MAP_SHARED, to, 0);
	if (data == MAP_FAILED)
		return error_errno(err, errno, "cannot map a memory file");
	r = file_index_keep(cap->files, data, size, err);
	if (r < 0)
		return r;

	if (size < (off_t)GHOST_CHUNKS_FROM) {
		r = spool_range(from, to, 0, size, err);
		whole = (struct bytes){ data, size };
	} else {
		ghost->has_chunks = ghost->chunks = true;
		ghost->has_size = true;
		ghost->size = size;
	}
	if (r == 0)
		r = image_add(cap->set, IMAGE_GHOST_FILE, id, &ghost->base, whole, err);
	if (r == 0 && ghost->chunks)
		r = ghost_copy_chunks(cap, from, to, data, id, size, err);
	return r;
}

static Img__Timeval *ghost_time(struct image_set *set, const struct timespec *ts)
{
	Img__Timeval *tv = img_new(set, Img__Timeval, timeval);

	if (tv) {
		tv->tv_sec = ts->tv_sec;
		tv->tv_usec = ts->tv_nsec / 1000;
	}
	return tv;
}

static int ghost_write(struct capture *cap, const struct fd_facts *facts, uint32_t id,
		       struct error *err)
{
	Img__GhostFile *ghost = img_new(cap->set, Img__GhostFile, ghost_file);
	const struct stat *st = &facts->st;
	char target[4096];
	int r;

	if (!ghost)
		return error_nomem(err);
	ghost->uid = st->st_uid;
	ghost->gid = st->st_gid;
	ghost->mode = st->st_mode;
	ghost->has_dev = ghost->has_ino = true;
	ghost->dev = ghost_kdev(st->st_dev);
	ghost->ino = st->st_ino;
	ghost->atim = ghost_time(cap->set, &st->st_atim);
	ghost->mtim = ghost_time(cap->set, &st->st_mtim);
	if (!ghost->atim || !ghost->mtim)
		return error_nomem(err);
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		ghost->has_rdev = true;
		ghost->rdev = st->st_rdev;
	}
	if (S_ISLNK(st->st_mode)) {
		r = fd_readlink(facts->dup, "", target, sizeof(target), err);
		if (r < 0)
			return r;
		ghost->symlnk_target = arena_strdup(&cap->set->arena, target);
		if (!ghost->symlnk_target)
			return error_nomem(err);
	}
	if (S_ISREG(st->st_mode))
		return ghost_content(cap, facts, ghost, id, err);
	return image_add(cap->set, IMAGE_GHOST_FILE, id, &ghost->base, (struct bytes){ 0 }, err);
}

int ghost_capture(struct capture *cap, const struct fd_facts *facts, uint32_t reg_id,
		  struct error *err)
{
	Img__RemapFilePath *remap;
	uint64_t blocks = (uint64_t)facts->st.st_blocks * 512;
	uint32_t id;
	int r;

	id = file_index_ghost(cap->files, facts->st.st_dev, facts->st.st_ino);
	if (!id) {
		if (S_ISREG(facts->st.st_mode) && blocks > cap->ghost_max)
			return fd_gap(
				cap, facts, GAP_DEGRADED, "ghost-file", CAPTURE_GAP, err,
				"the deleted file holds %llu bytes, more than the limit of %llu",
				(unsigned long long)blocks, (unsigned long long)cap->ghost_max);
		id = capture_next_id(cap);
		r = ghost_write(cap, facts, id, err);
		if (r == -ENOMEM)
			return r;
		if (r < 0) {
			char reason[ERROR_TEXT_MAX];

			(void)snprintf(reason, sizeof(reason), "%s", err ? err->text : "");
			error_clear(err);
			return fd_gap(cap, facts, GAP_DEGRADED, "ghost-file", CAPTURE_GAP, err,
				      "%s", reason);
		}
		r = file_index_ghost_add(cap->files, facts->st.st_dev, facts->st.st_ino, id, err);
		if (r < 0)
			return r;
	}

	remap = img_new(cap->set, Img__RemapFilePath, remap_file_path);
	if (!remap)
		return error_nomem(err);
	remap->orig_id = reg_id;
	remap->remap_id = id;
	remap->has_remap_type = true;
	remap->remap_type = IMG__REMAP_TYPE__GHOST;
	return image_add(cap->set, IMAGE_REMAP_FPATH, 0, &remap->base, (struct bytes){ 0 }, err);
}

const Img__RemapFilePath *ghost_of(const struct image_set *set, uint32_t reg_id)
{
	const struct image *image = image_find(set, IMAGE_REMAP_FPATH, 0);
	size_t i;

	for (i = 0; image && i < image->n_entries; i++) {
		const Img__RemapFilePath *remap = image_message(image, i);

		if (remap && remap->orig_id == reg_id)
			return remap;
	}
	return NULL;
}

/* Is a ghost with this number open already, for another entry? */
static int ghost_reopen(struct restore *rst, const Img__RemapFilePath *remap, int flags)
{
	const struct image *image = image_find(rst->set, IMAGE_REMAP_FPATH, 0);
	char path[32];
	size_t i;

	for (i = 0; image && i < image->n_entries; i++) {
		const Img__RemapFilePath *other = image_message(image, i);
		const struct restore_file *file;

		if (!other || other == remap || other->remap_id != remap->remap_id ||
		    other->remap_type != remap->remap_type)
			continue;
		file = restore_file_find(rst, other->orig_id);
		if (!file || file->fd < 0)
			continue;
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
		return open(path, (flags & ~O_NOFOLLOW) | O_CLOEXEC);
	}
	return -1;
}

static int ghost_make_node(const char *path, const Img__GhostFile *ghost)
{
	mode_t mode = ghost->mode & S_IFMT;

	switch (mode) {
	case S_IFDIR:
		return mkdir(path, 0700);
	case S_IFLNK:
		return symlink(ghost->symlnk_target ? ghost->symlnk_target : "", path);
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return mknod(path, mode | 0600, ghost->rdev);
	default: {
		int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);

		return fd < 0 ? -1 : close(fd);
	}
	}
}

/* The bytes into the new file: one piece, or chunks with holes between them. */
static int ghost_fill(const char *path, const struct image *image, struct error *err)
{
	const Img__GhostFile *ghost = image_message(image, 0);
	_cleanup_close_ int fd = -1;
	size_t i;
	int r;

	fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return error_errno(err, errno, "cannot open %s", path);
	if (!ghost->chunks) {
		struct bytes data = image->entries[0].extra;

		return fd_pwrite_all(fd, data.data, data.len, 0, err);
	}
	if (ftruncate(fd, ghost->size) < 0)
		return error_errno(err, errno, "cannot make %s %llu bytes long", path,
				   (unsigned long long)ghost->size);
	for (i = 1; i < image->n_entries; i++) {
		const Img__GhostChunk *chunk = image_message(image, i);
		struct bytes data = image->entries[i].extra;

		r = fd_pwrite_all(fd, data.data, data.len, chunk->off, err);
		if (r < 0)
			return error_while(err, r, "filling %s", path);
	}
	return 0;
}

static int ghost_attributes(const char *path, const Img__GhostFile *ghost, struct error *err)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };

	if (lchown(path, ghost->uid, ghost->gid) < 0)
		return error_errno(err, errno, "cannot give %s to %u:%u", path, ghost->uid,
				   ghost->gid);
	if (!S_ISLNK(ghost->mode) && chmod(path, ghost->mode & 07777) < 0)
		return error_errno(err, errno, "cannot set the mode of %s", path);
	if (ghost->atim)
		times[0] = (struct timespec){ ghost->atim->tv_sec, ghost->atim->tv_usec * 1000 };
	if (ghost->mtim)
		times[1] = (struct timespec){ ghost->mtim->tv_sec, ghost->mtim->tv_usec * 1000 };
	if (utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(err, errno, "cannot set the times of %s", path);
	return 0;
}

/* Directories of path that are gone too. *ret_made: how many; the last of them lie deepest. */
static int parents_make(char *path, unsigned *ret_made)
{
	char *slash;

	for (slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		int r;

		*slash = '\0';
		r = mkdir(path, 0755);
		*slash = '/';
		if (r == 0)
			++*ret_made;
		else if (errno != EEXIST)
			return -errno;
	}
	return 0;
}

static void parents_remove(char *path, unsigned made)
{
	for (; made; made--) {
		char *slash = strrchr(path, '/');

		if (!slash || slash == path)
			return;
		*slash = '\0';
		(void)rmdir(path);
	}
}

/* With the node in place: content, attributes, the descriptor. */
static int ghost_realize(const char *path, const struct image *image, int flags, int *ret_fd,
			 struct error *err)
{
	const Img__GhostFile *ghost = image_message(image, 0);
	int r, fd;

	if (S_ISREG(ghost->mode)) {
		r = ghost_fill(path, image, err);
		if (r < 0)
			return r;
	}
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "cannot open %s again", path);
	r = ghost_attributes(path, ghost, err);
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int ghost_open(struct restore *rst, const Img__RegFile *reg, const Img__RemapFilePath *remap,
	       int flags, int *ret_fd, struct error *err)
{
	const struct image *image = image_find(rst->set, IMAGE_GHOST_FILE, remap->remap_id);
	const Img__GhostFile *ghost = image ? image_message(image, 0) : NULL;
	char path[4096 + 32];
	unsigned made = 0;
	int r;

	*ret_fd = ghost_reopen(rst, remap, flags);
	if (*ret_fd >= 0)
		return 0;
	if (!ghost || ghost->base.descriptor != &img__ghost_file__descriptor ||
	    strlen(reg->name) > 4096 || reg->name[0] != '/') {
		restore_gap(rst, GAP_DEGRADED, "ghost-file", 0, reg->name,
			    "the content of the deleted file is not in the images");
		return RESTORE_GAP;
	}

	(void)snprintf(path, sizeof(path), "%s", reg->name);
	r = parents_make(path, &made);
	if (r == 0 && ghost_make_node(path, ghost) < 0)
		r = -errno;
	if (r == -EEXIST) {
		/* A newer file has the name. Ours loses it in a moment anyway. */
		(void)snprintf(path, sizeof(path), "%s.amber.%u", reg->name, remap->remap_id);
		r = ghost_make_node(path, ghost) < 0 ? -errno : 0;
	}
	if (r < 0) {
		parents_remove(path, made);
		restore_gap(rst, GAP_DEGRADED, "ghost-file", 0, reg->name,
			    "cannot be made again: %s", strerror(-r));
		return RESTORE_GAP;
	}
	r = ghost_realize(path, image, flags, ret_fd, err);
	(void)unlinkat(AT_FDCWD, path, S_ISDIR(ghost->mode) ? AT_REMOVEDIR : 0);
	parents_remove(path, made);
	return r;
}

int linked_open(struct restore *rst, const Img__RegFile *reg, const Img__RemapFilePath *remap,
		int flags, int *ret_fd, struct error *err)
{
	const struct restore_file *file = restore_file_find(rst, remap->remap_id);
	const char *name = file && file->entry->reg ? file->entry->reg->name : NULL;
	bool linked;
	int fd;

	linked = name && linkat(AT_FDCWD, name, AT_FDCWD, reg->name, 0) == 0;
	fd = name ? open(linked ? reg->name : name, flags | O_CLOEXEC) : -1;
	if (fd < 0)
		restore_gap(rst, GAP_DEGRADED, "file", 0, reg->name,
			    "the other name of the deleted file, %s, cannot be opened: %s",
			    name ? name : "which is missing", strerror(name ? errno : ENOENT));
	if (linked)
		(void)unlink(reg->name);
	*ret_fd = fd;
	return fd < 0 ? RESTORE_GAP : 0;
}
