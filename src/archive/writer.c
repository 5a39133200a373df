// SPDX-License-Identifier: Apache-2.0
/*
 * writer: see writer.h.
 */
#include "archive/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/fd.h"

#define WARM_CHUNK (4UL << 20)
#define WARM_SPARE (64UL << 20)

static int full_disk_hint(struct archive_writer *w, int r, struct error *err)
{
	if (r == -ENOSPC || r == -EDQUOT || r == -EFBIG)
		return error_hint(err, error_while(err, r, "writing %s", w->path),
				  "free some space or choose another place with -o");
	return r < 0 ? error_while(err, r, "writing %s", w->path) : r;
}

static int open_dir(struct archive_writer *w, const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	char *dir;

	w->path = arena_strdup(&w->arena, path);
	w->base = arena_strdup(&w->arena, slash ? slash + 1 : path);
	dir = !slash ? arena_strdup(&w->arena, ".")
		     : arena_printf(&w->arena, "%.*s", (int)MAX(slash - path, (ptrdiff_t)1), path);
	if (!w->path || !w->base || !dir)
		return error_nomem(err);
	if (!w->base[0])
		return error_set(err, ERROR_USAGE, EISDIR, "%s names no file", path);
	w->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->dir < 0)
		return error_hint(
			err,
			error_errno(err, errno, "cannot open the directory %s of the archive", dir),
			"make the directory, or choose another place with -o");
	return 0;
}

/* File systems without O_TMPFILE (some network and FUSE ones) get a hidden name, removed on
 * failure. */
static int open_named(struct archive_writer *w, struct error *err)
{
	uint64_t random = 0;

	if (getrandom(&random, sizeof(random), 0) < 0)
		random = clock_ns();
	w->temp = arena_printf(&w->arena, ".%.200s.%016llx.partial", w->base,
			       (unsigned long long)random);
	if (!w->temp)
		return error_nomem(err);
	w->fd = openat(w->dir, w->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (w->fd < 0) {
		w->temp = NULL;
		return error_errno(err, errno, "cannot make a file beside %s", w->path);
	}
	return 0;
}

int archive_writer_open(struct archive_writer *w, const char *path, struct error *err)
{
	struct stat st;
	int r;

	*w = ARCHIVE_WRITER_INIT;
	w->mtime = time(NULL);
	r = open_dir(w, path, err);
	if (r < 0)
		return r;
	if (fstatat(w->dir, w->base, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return error_hint(err,
				  error_set(err, ERROR_USAGE, EEXIST, "%s exists already", path),
				  "evidence is never overwritten: choose another name with -o");
	w->fd = openat(w->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (w->fd >= 0)
		return 0;
	if (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)
		return open_named(w, err);
	return error_hint(err, error_errno(err, errno, "cannot make a file for %s", path),
			  "choose a writable place with -o");
}

void archive_writer_deinit(struct archive_writer *w)
{
	size_t i;

	hasher_free(&w->hasher);
	for (i = 0; i < w->n_members; i++)
		buf_deinit(&w->members[i].header);
	if (w->temp)
		(void)unlinkat(w->dir, w->temp, 0);
	if (w->fd >= 0)
		close(w->fd);
	if (w->dir >= 0)
		close(w->dir);
	digest_deinit(&w->digest);
	arena_deinit(&w->arena);
	*w = ARCHIVE_WRITER_INIT;
}

static int put(struct archive_writer *w, const void *data, size_t len, struct error *err)
{
	int r = fd_pwrite_all(w->fd, data, len, (off_t)w->pos, err);

	if (r < 0)
		return full_disk_hint(w, r, err);
	w->pos += len;
	return 0;
}

static int put_header(struct archive_writer *w, const struct tar_member *m, uint64_t align,
		      struct error *err)
{
	_cleanup_buf_ struct buf header = BUF_INIT;
	int r = tar_header(m, w->pos, align, &header, err);

	return r < 0 ? r : put(w, header.data, header.len, err);
}

static int put_padding(struct archive_writer *w, uint64_t size, struct error *err)
{
	static const unsigned char zero[TAR_BLOCK];

	return put(w, zero, (size_t)tar_padding(size), err);
}

static struct archive_member *member_new(struct archive_writer *w, const char *name)
{
	struct archive_member *grown, *m;

	grown = arena_grow(&w->arena, w->members, w->n_members, sizeof(*m));
	if (!grown)
		return NULL;
	w->members = grown;
	m = &w->members[w->n_members];
	*m = (struct archive_member){ .name = arena_strdup(&w->arena, name) };
	if (!m->name)
		return NULL;
	w->n_members++;
	return m;
}

int archive_begin(struct archive_writer *w, const char *name, struct error *err)
{
	struct archive_member *m = member_new(w, name);
	int r;

	if (!m)
		return error_nomem(err);
	w->header = w->pos;
	r = put_header(
		w,
		&(struct tar_member){ .name = name, .type = '0', .mode = 0600, .mtime = w->mtime },
		0, err);
	if (r < 0)
		return r;
	m->offset = w->pos;
	return w->no_digest ? 0 : digest_begin(&w->digest, err);
}

int archive_write(struct archive_writer *w, const void *data, size_t len, struct error *err)
{
	int r = put(w, data, len, err);

	return r < 0 || w->no_digest ? r : digest_update(&w->digest, data, len, err);
}

int archive_end(struct archive_writer *w, struct error *err)
{
	struct archive_member *m = &w->members[w->n_members - 1];
	_cleanup_buf_ struct buf header = BUF_INIT;
	int r = 0;

	m->size = w->pos - m->offset;
	if (!w->no_digest)
		r = digest_end(&w->digest, m->sha256, err);
	if (r < 0)
		return r;
	r = tar_header(&(struct tar_member){ .name = m->name,
					     .type = '0',
					     .mode = 0600,
					     .size = m->size,
					     .mtime = w->mtime },
		       w->header, 0, &header, err);
	if (r < 0)
		return r;
	r = fd_pwrite_all(w->fd, header.data, header.len, (off_t)w->header, err);
	if (r < 0)
		return full_disk_hint(w, r, err);
	return put_padding(w, m->size, err);
}

int archive_add(struct archive_writer *w, const char *name, const void *data, size_t len,
		struct error *err)
{
	int r = archive_begin(w, name, err);

	if (r == 0)
		r = archive_write(w, data, len, err);
	if (r == 0)
		r = archive_end(w, err);
	return r;
}

int archive_add_dir(struct archive_writer *w, const char *name, struct error *err)
{
	return put_header(
		w,
		&(struct tar_member){ .name = name, .type = '5', .mode = 0700, .mtime = w->mtime },
		0, err);
}

int archive_reserve(struct archive_writer *w, const char *name, uint64_t size, uint64_t *ret_offset,
		    struct error *err)
{
	struct archive_member *m = member_new(w, name);
	struct stat st;
	int r;

	if (!m)
		return error_nomem(err);
	r = tar_header(
		&(struct tar_member){
			.name = name, .type = '0', .mode = 0600, .size = size, .mtime = w->mtime },
		w->pos, AMBER_PAGE_SIZE, &m->header, err);
	if (r < 0)
		return r;
	m->offset = w->pos + m->header.len;
	m->size = size;
	m->reserved = true;
	w->pos = m->offset + size + tar_padding(size);
	if (fstat(w->fd, &st) < 0 ||
	    ((uint64_t)st.st_size < w->pos && ftruncate(w->fd, (off_t)w->pos) < 0))
		return full_disk_hint(w, error_errno(err, errno, "cannot grow the archive"), err);
	*ret_offset = m->offset;
	return 0;
}

/* What stands around reserved members, now that their data are in place. */
static int put_frames(struct archive_writer *w, struct error *err)
{
	static const unsigned char zero[TAR_BLOCK];
	struct archive_member *m;
	int r = 0;

	for (m = w->members; r == 0 && m < w->members + w->n_members; m++) {
		if (!m->header.len)
			continue;
		r = fd_pwrite_all(w->fd, m->header.data, m->header.len,
				  (off_t)(m->offset - m->header.len), err);
		if (r == 0)
			r = fd_pwrite_all(w->fd, zero, tar_padding(m->size),
					  (off_t)(m->offset + m->size), err);
	}
	return r < 0 ? full_disk_hint(w, r, err) : 0;
}

int archive_warm(struct archive_writer *w, struct op *op, uint64_t size, struct error *err)
{
	_cleanup_free_ void *zero = calloc(1, WARM_CHUNK);
	struct statvfs vfs;
	uint64_t done, n;
	int r;

	if (!zero)
		return error_nomem(err);
	if (fstatvfs(w->fd, &vfs) == 0 && (uint64_t)vfs.f_bavail * vfs.f_frsize < size + WARM_SPARE)
		return 0;
	for (done = 0; done < size; done += n) {
		n = MIN(size - done, (uint64_t)WARM_CHUNK);
		r = op_cancelled(op, err);
		if (r == 0)
			r = fd_pwrite_all(w->fd, zero, n, (off_t)(w->pos + done), err);
		if (r < 0)
			return full_disk_hint(w, r, err);
		op_progress(op, "preparing the archive", done, size);
	}
	op_progress_end(op);
	return 0;
}

int archive_hash_start(struct archive_writer *w, struct op *op, struct error *err)
{
	struct hasher_part *parts = calloc(w->n_members + 1, sizeof(*parts));
	size_t i, n = 0;

	if (!parts)
		return error_nomem(err);
	for (i = 0; i < w->n_members && !w->no_digest; i++)
		if (w->members[i].reserved)
			parts[n++] = (struct hasher_part){ .id = i,
							   .offset = w->members[i].offset,
							   .size = w->members[i].size };
	return hasher_start(op, w->fd, parts, n, w->no_sync ? 0 : w->pos, &w->hasher, err);
}

int archive_hash_reserved(struct archive_writer *w, struct op *op, struct error *err)
{
	const struct hasher_part *parts;
	size_t i, n;
	int r = 0;

	if (!w->hasher)
		r = archive_hash_start(w, op, err);
	if (r == 0)
		r = hasher_wait(w->hasher, op, &parts, &n, err);
	for (i = 0; r == 0 && i < n; i++) {
		memcpy(w->members[parts[i].id].sha256, parts[i].sha256, DIGEST_HEX);
		w->members[parts[i].id].reserved = false;
	}
	hasher_free(&w->hasher);
	return r;
}

static int put_sums(struct archive_writer *w, struct error *err)
{
	_cleanup_buf_ struct buf sums = BUF_INIT;
	size_t i;
	int r;

	for (i = 0; i < w->n_members; i++) {
		r = buf_printf(&sums, err, "%s  %s\n", w->members[i].sha256, w->members[i].name);
		if (r < 0)
			return r;
	}
	return archive_add(w, "SHA256SUMS", sums.data, sums.len, err);
}

/* Give the unnamed file its name; link(2) never replaces, so a race is lost with -EEXIST. */
static int give_name(struct archive_writer *w, struct error *err)
{
	char proc[64];
	int r;

	if (w->temp) {
		r = linkat(w->dir, w->temp, w->dir, w->base, 0);
	} else {
		snprintf(proc, sizeof(proc), "/proc/self/fd/%d", w->fd);
		r = linkat(AT_FDCWD, proc, w->dir, w->base, AT_SYMLINK_FOLLOW);
	}
	if (r < 0)
		return error_hint(
			err,
			error_errno(err, errno, "cannot give the archive its name %s", w->path),
			"choose another name with -o and take the checkpoint again");
	if (w->temp)
		(void)unlinkat(w->dir, w->temp, 0);
	w->temp = NULL;
	return 0;
}

int archive_finish(struct archive_writer *w, struct error *err)
{
	static const unsigned char end[2 * TAR_BLOCK];
	int r;

	r = put_frames(w, err);
	if (r == 0 && !w->no_digest)
		r = put_sums(w, err);
	if (r == 0)
		r = put(w, end, sizeof(end), err);
	if (r < 0)
		return r;
	if (ftruncate(w->fd, (off_t)w->pos) < 0)
		return full_disk_hint(w, error_errno(err, errno, "cannot cut the archive"), err);
	if (!w->no_sync && fsync(w->fd) < 0)
		return full_disk_hint(w, error_errno(err, errno, "cannot flush the archive"), err);
	r = give_name(w, err);
	if (r < 0)
		return r;
	/* Some file systems refuse it for directories; the data are safe. */
	if (!w->no_sync)
		(void)fsync(w->dir);
	return 0;
}
