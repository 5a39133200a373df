// SPDX-License-Identifier: Apache-2.0
/*
 * tree-extract: a tar stream into a tree; see tree.h.
 *
 * The stream may come from an attacker. libarchive only parses; every name is checked, walked by
 * openat2() and made anew with O_EXCL, so no link that the stream itself planted is ever followed.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "object/tree.h"

#define WHITEOUT ".wh."
#define OPAQUE	 ".wh..wh..opq"

/* A directory's own attributes come last: its mode may forbid, its times would change. */
struct dir_end {
	const char *path;
	mode_t mode;
	struct timespec times[2];
	struct dir_end *next;
};

struct reader {
	const struct tree_extract_options *opt;
	const struct tree_source *source;
	struct archive *archive;
	int top;
	int parent; /* of the last name, kept because neighbours follow each other */
	char parent_path[TREE_PATH_MAX];
	char last_dir[TREE_PATH_MAX]; /* the directory that was made last, with nothing in it yet */
	struct arena arena;
	struct dir_end *dirs; /* latest first, so that children come before parents */
	uint64_t bytes;
	struct error *err;
	int source_failed;
};

static void note(struct reader *rd, const char *path, const char *text)
{
	if (rd->opt->note)
		rd->opt->note(rd->opt->ctx, path, text);
}

static void note_errno(struct reader *rd, const char *path, const char *what, int errnum)
{
	char text[256];

	snprintf(text, sizeof(text), "%s: %s", what, strerror(errnum));
	note(rd, path, text);
}

/* A full disk ends the work; everything else about one path is a note. */
static int path_failed(struct reader *rd, const char *path, const char *what, int errnum)
{
	if (errnum == ENOSPC || errnum == EDQUOT || errnum == EROFS || errnum == EIO ||
	    errnum == ENOMEM)
		return error_errno(rd->err, errnum, "extracting %s: %s", path, what);
	note_errno(rd, path, what, errnum);
	return 0;
}

static la_ssize_t source_read(struct archive *a, void *ctx, const void **ret)
{
	struct reader *rd = ctx;
	ssize_t n = rd->source->read(rd->source->ctx, ret, rd->err);

	if (n < 0) {
		rd->source_failed = (int)n;
		archive_set_error(a, (int)-n, "the source failed");
		return -1;
	}
	return n;
}

/* "./a/b/" -> "a/b". Returns NULL for a name that must not be used. "" is the top itself. */
static const char *clean_name(const char *name, char ret[TREE_PATH_MAX])
{
	size_t len;

	if (!name)
		return NULL;
	while (name[0] == '.' && name[1] == '/')
		for (name += 2; *name == '/';)
			name++;
	if (!strcmp(name, "."))
		name = "";
	len = strlen(name);
	if (len >= TREE_PATH_MAX)
		return NULL;
	memcpy(ret, name, len + 1);
	while (len && ret[len - 1] == '/')
		ret[--len] = '\0';
	return !len || tree_path_ok(ret) ? ret : NULL;
}

/* The directory that a path is in, made if need be. Returns a borrowed descriptor or -errno. */
static int parent_of(struct reader *rd, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;
	char dir[TREE_PATH_MAX];
	int fd;

	*ret_name = slash ? slash + 1 : path;
	memcpy(dir, path, len);
	dir[len] = '\0';
	if (rd->parent >= 0 && !strcmp(dir, rd->parent_path))
		return rd->parent;
	fd = tree_mkdirs(rd->top, dir);
	if (fd < 0)
		return fd;
	if (rd->parent >= 0)
		close(rd->parent);
	rd->parent = fd;
	memcpy(rd->parent_path, dir, len + 1);
	return fd;
}

/* Names may have been replaced, so the kept directory may be gone from the tree. */
static void parent_forget(struct reader *rd)
{
	if (rd->parent >= 0)
		close(rd->parent);
	rd->parent = -1;
}

static bool xattr_allowed(const char *name)
{
	/* overlay's own attributes would let the stream point at other directories of the host */
	return strncmp(name, "trusted.overlay.", 16) != 0 &&
	       strncmp(name, "user.overlay.", 13) != 0;
}

/* @self: /proc/self/fd/N, which is to be followed, or /proc/self/fd/N/NAME, which is not */
static void set_xattrs(struct reader *rd, struct archive_entry *e, const char *path,
		       const char *self, bool follow)
{
	const char *name;
	const void *value;
	size_t size;
	int r;

	archive_entry_xattr_reset(e);
	while (archive_entry_xattr_next(e, &name, &value, &size) == ARCHIVE_OK) {
		if (!xattr_allowed(name)) {
			note(rd, path, "an attribute of overlayfs in the stream is not set");
			continue;
		}
		r = follow ? setxattr(self, name, value, size, 0)
			   : lsetxattr(self, name, value, size, 0);
		if (r < 0)
			note_errno(rd, path, name, errno);
	}
}

static void entry_times(struct archive_entry *e, struct timespec ret[2])
{
	ret[0] = (struct timespec){ archive_entry_mtime(e), archive_entry_mtime_nsec(e) };
	if (!archive_entry_mtime_is_set(e))
		ret[0].tv_nsec = UTIME_NOW;
	else if (ret[0].tv_nsec < 0 || ret[0].tv_nsec > 999999999)
		ret[0].tv_nsec = 0;
	ret[1] = ret[0];
}

static int make_dir(struct reader *rd, struct archive_entry *e, const char *path)
{
	_cleanup_close_ int fd = -1;
	struct dir_end *end;
	const char *name;
	char self[64];
	struct stat st;
	int at;

	if (*path) {
		at = parent_of(rd, path, &name);
		if (at < 0)
			return path_failed(rd, path, "no way to its directory", -at);
		if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode) &&
		    unlinkat(at, name, 0) < 0)
			return path_failed(rd, path, "what is in the way cannot be removed", errno);
		if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
			return path_failed(rd, path, "cannot be made", errno);
	}
	fd = tree_resolve(rd->top, path);
	if (fd < 0)
		return path_failed(rd, path, "cannot be reached", -fd);
	if (fchownat(fd, "", (uid_t)archive_entry_uid(e), (gid_t)archive_entry_gid(e),
		     AT_EMPTY_PATH) < 0)
		note_errno(rd, path, "its owner cannot be set", errno);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	set_xattrs(rd, e, path, self, true);

	end = arena_new(&rd->arena, struct dir_end);
	if (end)
		end->path = arena_strdup(&rd->arena, path);
	if (!end || !end->path)
		return error_nomem(rd->err);
	end->mode = archive_entry_perm(e) & 07777;
	entry_times(e, end->times);
	end->next = rd->dirs;
	rd->dirs = end;
	snprintf(rd->last_dir, sizeof(rd->last_dir), "%s", path);
	return 0;
}

static int finish_dirs(struct reader *rd)
{
	struct dir_end *end;

	for (end = rd->dirs; end; end = end->next) {
		_cleanup_close_ int at = tree_resolve(rd->top, end->path);
		_cleanup_close_ int fd = -1;

		if (at >= 0)
			fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			continue; /* replaced later in the stream */
		if (fchmod(fd, end->mode) < 0 || futimens(fd, end->times) < 0)
			note_errno(rd, end->path, "its mode or times cannot be set", errno);
	}
	return 0;
}

/* Take a damaged stream or a note out of a result of libarchive: 0 go on, 1 skip, negative: end. */
static int archive_result(struct reader *rd, const char *path, int r)
{
	const char *text = archive_error_string(rd->archive) ?: "damaged";

	if (rd->source_failed)
		return rd->source_failed;
	if (r == ARCHIVE_OK)
		return 0;
	if (r == ARCHIVE_WARN) {
		note(rd, path, text);
		return 0;
	}
	return error_set(rd->err, ERROR_INPUT, EBADMSG, "the tar is damaged at %s: %s", path, text);
}

static int write_data(struct reader *rd, int fd, const char *path, int64_t size)
{
	const void *data;
	la_int64_t off;
	size_t len;
	int r;

	for (;;) {
		r = archive_read_data_block(rd->archive, &data, &len, &off);
		if (r == ARCHIVE_EOF)
			return 0;
		r = archive_result(rd, path, r);
		if (r != 0)
			return r;
		if (off < 0 || off > size || (int64_t)len > size - off)
			return error_set(rd->err, ERROR_INPUT, EBADMSG,
					 "the tar is damaged at %s: data beyond the file's end",
					 path);
		if (rd->opt->max_bytes && len > rd->opt->max_bytes - rd->bytes)
			return error_set(rd->err, ERROR_INPUT, EFBIG,
					 "the tar holds more than %llu bytes at %s",
					 (unsigned long long)rd->opt->max_bytes, path);
		rd->bytes += len;
		r = op_cancelled(rd->opt->op, rd->err);
		while (r >= 0 && len) {
			ssize_t n = pwrite(fd, data, len, off);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return error_errno(rd->err, errno, "extracting %s", path);
			data = (const char *)data + n;
			off += n;
			len -= (size_t)n;
		}
		if (r < 0)
			return r;
	}
}

static int make_file(struct reader *rd, struct archive_entry *e, const char *path, int at,
		     const char *name)
{
	int64_t size = archive_entry_size(e);
	_cleanup_close_ int fd = -1;
	struct timespec times[2];
	char self[64];
	int r;

	if (size < 0 || size > TREE_FILE_SIZE_MAX) {
		note(rd, path, "its size is beyond the maximum");
		return 0;
	}
	fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return path_failed(rd, path, "cannot be made", errno);
	r = write_data(rd, fd, path, size);
	if (r < 0)
		return r;
	if (ftruncate(fd, size) < 0)
		return path_failed(rd, path, "its length cannot be set", errno);
	if (fchown(fd, (uid_t)archive_entry_uid(e), (gid_t)archive_entry_gid(e)) < 0)
		note_errno(rd, path, "its owner cannot be set", errno);
	/* after the owner: chown() drops set-id bits and capabilities */
	if (fchmod(fd, archive_entry_perm(e) & 07777) < 0)
		note_errno(rd, path, "its mode cannot be set", errno);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	set_xattrs(rd, e, path, self, true);
	entry_times(e, times);
	if (futimens(fd, times) < 0)
		note_errno(rd, path, "its times cannot be set", errno);
	return 0;
}

static int make_special(struct reader *rd, struct archive_entry *e, const char *path, int at,
			const char *name)
{
	mode_t mode = archive_entry_mode(e), type = mode & S_IFMT;
	const char *target = archive_entry_symlink(e);
	char self[64 + NAME_MAX];
	struct timespec times[2];
	int r;

	if (type == S_IFLNK && target)
		r = symlinkat(target, at, name);
	else if (type == S_IFIFO || ((type == S_IFCHR || type == S_IFBLK) && rd->opt->devices))
		r = mknodat(at, name, type | 0600, archive_entry_rdev(e));
	else {
		note(rd, path,
		     type == S_IFCHR || type == S_IFBLK ? "a device node is not made"
							: "of a type that is not made");
		return 0;
	}
	if (r < 0)
		return path_failed(rd, path, "cannot be made", errno);
	if (fchownat(at, name, (uid_t)archive_entry_uid(e), (gid_t)archive_entry_gid(e),
		     AT_SYMLINK_NOFOLLOW) < 0)
		note_errno(rd, path, "its owner cannot be set", errno);
	if (type != S_IFLNK && fchmodat(at, name, mode & 07777, 0) < 0)
		note_errno(rd, path, "its mode cannot be set", errno);
	snprintf(self, sizeof(self), "/proc/self/fd/%d/%s", at, name);
	set_xattrs(rd, e, path, self, false);
	entry_times(e, times);
	(void)utimensat(at, name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

static int make_hardlink(struct reader *rd, const char *path, int at, const char *name,
			 const char *target)
{
	_cleanup_close_ int fd = -1;
	char clean[TREE_PATH_MAX], self[64];
	struct stat st;

	if (!clean_name(target, clean) || !*clean) {
		note(rd, path, "a hard link to a name that is not allowed");
		return 0;
	}
	fd = tree_resolve(rd->top, clean);
	if (fd < 0 || fstat(fd, &st) < 0) {
		note_errno(rd, path, "a hard link to what is not there", fd < 0 ? -fd : errno);
		return 0;
	}
	if (S_ISDIR(st.st_mode)) {
		note(rd, path, "a hard link to a directory");
		return 0;
	}
	if (linkat(fd, "", at, name, AT_EMPTY_PATH) == 0)
		return 0;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (errno == ENOENT && linkat(AT_FDCWD, self, at, name, AT_SYMLINK_FOLLOW) == 0)
		return 0; /* without CAP_DAC_READ_SEARCH */
	return path_failed(rd, path, "cannot be linked", errno);
}

/* Returns 1 when the entry was a whiteout and is dealt with. */
static int whiteout(struct reader *rd, const char *path, int at, const char *name)
{
	bool opaque = !strcmp(name, OPAQUE);
	int r;

	if (!rd->opt->whiteouts || strncmp(name, WHITEOUT, strlen(WHITEOUT)) != 0)
		return 0;
	if (opaque && strcmp(rd->last_dir, rd->parent_path) != 0) {
		note(rd, path, "the directory is not emptied: the mark does not follow it");
		return 1;
	}
	r = opaque ? tree_empty(at) : tree_remove(at, name + strlen(WHITEOUT));
	if (r < 0)
		note_errno(rd, path, "cannot be removed", -r);
	return 1;
}

static int extract_one(struct reader *rd, struct archive_entry *e)
{
	const char *raw = archive_entry_pathname(e);
	const char *hardlink = archive_entry_hardlink(e);
	char clean[TREE_PATH_MAX];
	const char *path = clean_name(raw, clean), *name;
	int at, r;

	if (!path || (!*path && (hardlink || archive_entry_filetype(e) != AE_IFDIR))) {
		note(rd, raw ?: "(no name)", "the name is not allowed");
		return 0;
	}
	if (!hardlink && archive_entry_filetype(e) == AE_IFDIR)
		return make_dir(rd, e, path);

	at = parent_of(rd, path, &name);
	if (at < 0)
		return path_failed(rd, path, "no way to its directory", -at);
	r = whiteout(rd, path, at, name);
	if (r != 0)
		return MIN(r, 0);
	rd->last_dir[0] = '/'; /* no directory's name: one with contents is not emptied */
	rd->last_dir[1] = '\0';
	if (unlinkat(at, name, 0) < 0 && errno != ENOENT) {
		parent_forget(rd);
		at = parent_of(rd, path, &name);
		r = at < 0 ? at : tree_remove(at, name);
		if (r < 0)
			return path_failed(rd, path, "what is in the way cannot be removed", -r);
	}
	if (hardlink)
		return make_hardlink(rd, path, at, name, hardlink);
	if (archive_entry_filetype(e) == AE_IFREG)
		return make_file(rd, e, path, at, name);
	return make_special(rd, e, path, at, name);
}

static int extract_all(struct reader *rd)
{
	uint64_t left = rd->opt->max_entries ?: TREE_ENTRIES_MAX;
	struct archive_entry *e;
	int r;

	for (;;) {
		r = op_cancelled(rd->opt->op, rd->err);
		if (r < 0)
			return r;
		r = archive_read_next_header(rd->archive, &e);
		if (r == ARCHIVE_EOF)
			return 0;
		r = archive_result(rd, "a header", r);
		if (r < 0)
			return r;
		if (!left--)
			return error_set(rd->err, ERROR_INPUT, E2BIG,
					 "the tar has too many entries");
		r = extract_one(rd, e);
		if (r < 0)
			return r;
	}
}

static void reader_deinit(struct reader *rd)
{
	parent_forget(rd);
	if (rd->archive)
		archive_read_free(rd->archive);
	arena_deinit(&rd->arena);
}

int tree_extract(int dirfd, const struct tree_extract_options *opt,
		 const struct tree_source *source, struct error *err)
{
	_cleanup_(reader_deinit) struct reader rd = {
		.opt = opt,
		.source = source,
		.top = dirfd,
		.parent = -1,
		.last_dir = "/",
		.err = err,
	};
	int r, r2;

	rd.archive = archive_read_new();
	if (!rd.archive)
		return error_nomem(err);
	archive_read_support_format_tar(rd.archive);
	archive_read_support_format_empty(rd.archive);
	archive_read_support_filter_gzip(rd.archive);
	archive_read_support_filter_zstd(rd.archive);
	archive_read_set_format_option(rd.archive, "tar", "hdrcharset", "BINARY");
	r = archive_read_open(rd.archive, &rd, NULL, source_read, NULL);
	r = archive_result(&rd, "its beginning", r);
	if (r >= 0)
		r = extract_all(&rd);
	r2 = finish_dirs(&rd);
	return r < 0 ? r : r2;
}

static ssize_t bytes_read(void *ctx, const void **ret, struct error *err)
{
	struct bytes *data = ctx;
	size_t n = data->len;

	*ret = data->data;
	data->len = 0;
	return (ssize_t)n;
}

int tree_extract_bytes(int dirfd, const struct tree_extract_options *opt, struct bytes data,
		       struct error *err)
{
	struct tree_source source = { .read = bytes_read, .ctx = &data };

	return tree_extract(dirfd, opt, &source, err);
}
