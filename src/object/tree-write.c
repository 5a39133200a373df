// SPDX-License-Identifier: Apache-2.0
/*
 * tree-write: a tree into a tar stream; see tree.h.
 *
 * The walk holds one descriptor a level. libarchive keeps header and data of an entry consistent:
 * it fills up what is missing and drops what is too much; we only notice and say so.
 */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "object/tree-links.h"
#include "object/tree.h"

#define PIECE	  ((size_t)1 << 20)
#define ZEROS	  ((size_t)32 << 10)
#define XATTR_MAX ((size_t)64 << 10)

struct writer {
	const struct tree_write_options *opt;
	const struct tree_sink *sink;
	struct archive *archive;
	struct archive_entry *entry;
	struct buf path; /* of what is being looked at, relative to the top */
	unsigned char *piece;
	struct tree_links links;
	uint64_t bytes;
	dev_t dev;
	struct error *err;
	int sink_failed; /* negative errno of the sink; err is set */
};

static void note(struct writer *w, const char *text)
{
	if (w->opt->note)
		w->opt->note(w->opt->ctx, w->path.len ? (const char *)w->path.data : ".", text);
}

static void note_errno(struct writer *w, const char *what, int errnum)
{
	char text[256];

	snprintf(text, sizeof(text), "%s: %s", what, strerror(errnum));
	note(w, text);
}

static la_ssize_t sink_write(struct archive *a, void *ctx, const void *data, size_t len)
{
	struct writer *w = ctx;
	int r = w->sink->write(w->sink->ctx, data, len, w->err);

	if (r < 0) {
		w->sink_failed = r;
		archive_set_error(a, -r, "the sink failed");
		return -1;
	}
	return (la_ssize_t)len;
}

/* What became of a call of libarchive. A warning is noted; only a broken stream ends the work. */
static int archive_result(struct writer *w, int r)
{
	const char *text = archive_error_string(w->archive) ?: "not understood by the tar format";

	if (w->sink_failed)
		return w->sink_failed;
	if (r == ARCHIVE_OK)
		return 0;
	if (r == ARCHIVE_FATAL)
		return error_set(w->err, ERROR_INTERNAL, archive_errno(w->archive),
				 "writing a tar: %s", text);
	/* names that are no text of our locale go into the tar as the bytes that they are */
	if (r != ARCHIVE_WARN || strncmp(text, "Can't translate", 15) != 0)
		note(w, text);
	return r == ARCHIVE_WARN ? 0 : 1;
}

/* *ret_path: where the same file went before, NULL when it is new. */
static int link_find(struct writer *w, const struct stat *st, const char **ret_path)
{
	*ret_path = NULL;
	if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
		return 0;
	return tree_links_find(&w->links, st, w->opt->prefix, (const char *)w->path.data, ret_path,
			       w->err);
}

/* Extended attributes by the /proc path of an O_PATH descriptor: works for every type of file. */
static void entry_xattrs(struct writer *w, int fd)
{
	char self[64], *names, *name;
	_cleanup_free_ char *list = NULL;
	_cleanup_free_ char *value = NULL;
	ssize_t len, n;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	len = listxattr(self, NULL, 0);
	if (len <= 0)
		return;
	list = malloc((size_t)len + 1);
	value = malloc(XATTR_MAX);
	if (!list || !value)
		return;
	len = listxattr(self, list, (size_t)len);
	if (len <= 0)
		return;
	list[len] = '\0';
	names = list;
	for (name = names; name < names + len; name += strlen(name) + 1) {
		if (w->opt->xattr_skip &&
		    !strncmp(name, w->opt->xattr_skip, strlen(w->opt->xattr_skip)))
			continue;
		n = getxattr(self, name, value, XATTR_MAX);
		if (n >= 0)
			archive_entry_xattr_add_entry(w->entry, name, value, (size_t)n);
		else if (errno != ENODATA)
			note_errno(w, name, errno);
	}
}

/* Describe the holes, so that they stay holes. Positions only: the data may change meanwhile. */
static void entry_sparse(struct writer *w, int fd, const struct stat *st)
{
	off_t data = 0, hole;

	if ((uint64_t)st->st_blocks * 512 >= (uint64_t)st->st_size || st->st_size < 8192)
		return;
	while (data < st->st_size) {
		data = lseek(fd, data, SEEK_DATA);
		if (data < 0 || data >= st->st_size)
			break;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole <= data)
			return;
		hole = MIN(hole, st->st_size);
		archive_entry_sparse_add_entry(w->entry, data, hole - data);
		data = hole;
	}
	if (!archive_entry_sparse_count(w->entry))
		archive_entry_sparse_add_entry(w->entry, st->st_size, 0); /* one hole */
	lseek(fd, 0, SEEK_SET);
}

static void entry_fill(struct writer *w, const struct stat *st, const char *hardlink)
{
	char name[TREE_PATH_MAX + 16];

	archive_entry_clear(w->entry);
	snprintf(name, sizeof(name), "%s%s", w->opt->prefix,
		 w->path.len ? (const char *)w->path.data : "");
	archive_entry_set_pathname(w->entry, name);
	archive_entry_set_mode(w->entry, st->st_mode);
	archive_entry_set_uid(w->entry, st->st_uid);
	archive_entry_set_gid(w->entry, st->st_gid);
	archive_entry_set_mtime(w->entry, st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	archive_entry_set_size(w->entry, 0);
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
		archive_entry_set_rdev(w->entry, st->st_rdev);
	if (hardlink)
		archive_entry_set_hardlink(w->entry, hardlink);
	else if (S_ISREG(st->st_mode))
		archive_entry_set_size(w->entry, st->st_size);
}

static uint64_t position(const struct writer *w)
{
	return (uint64_t)archive_filter_bytes(w->archive, 0);
}

static void tell_entry(const struct writer *w, uint64_t start, uint64_t data)
{
	if (w->opt->entry)
		w->opt->entry(w->opt->ctx, w->path.len ? (const char *)w->path.data : "", start,
			      data, position(w));
}

/* Writes nothing but what the header promised: libarchive cuts, and fills up in finish_entry. */
static int copy_data(struct writer *w, int fd, const struct stat *st)
{
	/* Not of the heap, which would fault in as much for every small tree, in the stop. */
	static const unsigned char zeros[ZEROS];
	const unsigned char *from;
	off_t off = 0, next;
	la_ssize_t written;
	ssize_t n;
	int r;

	while (off < st->st_size) {
		r = op_cancelled(w->opt->op, w->err);
		if (r < 0)
			return r;
		n = (ssize_t)MIN((off_t)PIECE, st->st_size - off);
		next = lseek(fd, off, SEEK_DATA);
		if (next < 0 && errno == ENXIO)
			next = st->st_size; /* nothing but a hole up to the end */
		if (next > off) {
			from = zeros;
			n = (ssize_t)MIN((off_t)ZEROS, next - off);
		} else {
			from = w->piece;
			n = pread(fd, w->piece, (size_t)n, off);
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			note_errno(w, "cannot be read whole, the rest is zeros", errno);
			break;
		}
		if (n == 0) {
			note(w, "shrank while it was read, the rest is zeros");
			break;
		}
		written = archive_write_data(w->archive, from, (size_t)n);
		if (written < 0) {
			r = archive_result(w, (int)written);
			return r < 0 ? r : 0;
		}
		off += n;
	}
	return 0;
}

static int write_file(struct writer *w, int dirfd, const char *name, const struct stat *st)
{
	_cleanup_close_ int fd = -1;
	struct stat now, after;
	uint64_t start, data;
	int r;

	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOATIME);
	if (fd < 0 && errno == EPERM)
		fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &now) < 0) {
		note_errno(w, "cannot be opened", errno);
		return 0;
	}
	if (!S_ISREG(now.st_mode) || now.st_ino != st->st_ino) {
		note(w, "was replaced while it was read");
		return 0;
	}
	if (w->opt->max_bytes && (uint64_t)now.st_blocks * 512 > w->opt->max_bytes - w->bytes) {
		note(w, "content left out, the limit is exceeded");
		return 0;
	}
	w->bytes += MIN((uint64_t)now.st_blocks * 512, w->opt->max_bytes - w->bytes);

	entry_fill(w, &now, NULL);
	entry_xattrs(w, fd);
	entry_sparse(w, fd, &now);
	start = position(w);
	r = archive_result(w, archive_write_header(w->archive, w->entry));
	if (r != 0)
		return MIN(r, 0);
	data = position(w);
	r = copy_data(w, fd, &now);
	if (r < 0)
		return r;
	r = archive_result(w, archive_write_finish_entry(w->archive));
	if (r < 0)
		return r;
	tell_entry(w, start, data);
	if (fstat(fd, &after) == 0 &&
	    (after.st_size != now.st_size ||
	     memcmp(&after.st_mtim, &now.st_mtim, sizeof(now.st_mtim)) != 0 ||
	     memcmp(&after.st_ctim, &now.st_ctim, sizeof(now.st_ctim)) != 0))
		note(w, "changed while it was read");
	return 0;
}

static int write_special(struct writer *w, int dirfd, const char *name, const struct stat *st,
			 const char *hardlink)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char target[TREE_PATH_MAX];
	uint64_t start;
	ssize_t n;
	int r;

	if (fd < 0) {
		note_errno(w, "cannot be opened", errno);
		return 0;
	}
	entry_fill(w, st, hardlink);
	if (S_ISLNK(st->st_mode) && !hardlink) {
		n = readlinkat(fd, "", target, sizeof(target) - 1);
		if (n < 0) {
			note_errno(w, "cannot be read", errno);
			return 0;
		}
		target[n] = '\0';
		archive_entry_set_symlink(w->entry, target);
	}
	if (!hardlink)
		entry_xattrs(w, fd);
	start = position(w);
	r = archive_result(w, archive_write_header(w->archive, w->entry));
	if (r == 0)
		tell_entry(w, start, position(w));
	return MIN(r, 0);
}

static int walk(struct writer *w, int dirfd, unsigned int depth);

static int write_one(struct writer *w, int dirfd, const char *name, unsigned int depth)
{
	enum tree_choice choice = TREE_TAKE;
	_cleanup_close_ int fd = -1;
	const char *hardlink;
	struct stat st;
	int r;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0) {
		if (errno != ENOENT)
			note_errno(w, "cannot be looked at", errno);
		return 0;
	}
	if (w->opt->choose) {
		r = w->opt->choose(w->opt->ctx, (const char *)w->path.data, dirfd, name, &st,
				   &choice, w->err);
		if (r < 0 || choice == TREE_SKIP || choice == TREE_GONE)
			return r;
	}
	if (S_ISSOCK(st.st_mode)) {
		note(w, "a socket: tar has no place for it");
		return 0;
	}
	if (choice != TREE_DESCEND) {
		r = link_find(w, &st, &hardlink);
		if (r < 0)
			return r;
		if (S_ISREG(st.st_mode) && !hardlink)
			r = write_file(w, dirfd, name, &st);
		else
			r = write_special(w, dirfd, name, &st, hardlink);
		if (r < 0)
			return r;
	}
	if (!S_ISDIR(st.st_mode) || st.st_dev != w->dev || choice == TREE_ALONE)
		return 0;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME);
	if (fd < 0) {
		note_errno(w, "cannot be opened", errno);
		return 0;
	}
	return walk(w, TAKE_FD(fd), depth + 1);
}

/* Takes the descriptor. */
static int walk(struct writer *w, int dirfd, unsigned int depth)
{
	_cleanup_closedir_ DIR *dir = fdopendir(dirfd);
	size_t base = w->path.len;
	struct dirent *de;
	int r = 0;

	if (!dir) {
		close(dirfd);
		return error_nomem(w->err);
	}
	if (depth > TREE_DEPTH_MAX / 2) {
		note(w, "too deep: left out with everything below");
		return 0;
	}
	while (r >= 0 && (errno = 0, de = readdir(dir))) {
		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		r = op_cancelled(w->opt->op, w->err);
		if (r < 0)
			return r;
		r = buf_printf(&w->path, w->err, "%s%s", base ? "/" : "", de->d_name);
		if (r < 0)
			return r;
		if (w->path.len < TREE_PATH_MAX)
			r = write_one(w, dirfd, de->d_name, depth);
		else
			note(w, "its path is too long: left out");
		w->path.len = base;
		w->path.data[base] = '\0';
	}
	if (r >= 0 && errno)
		note_errno(w, "cannot be listed whole", errno);
	return r;
}

static int writer_open(struct writer *w)
{
	struct archive *a = archive_write_new();
	char level[32];

	w->archive = a;
	w->entry = archive_entry_new();
	w->piece = malloc(PIECE);
	if (!a || !w->entry || !w->piece)
		return error_nomem(w->err);

	archive_write_set_format_pax(a);
	/* attributes as GNU tar and Go read them */
	archive_write_set_format_option(a, "pax", "xattrheader", "SCHILY");
	if (w->opt->gzip >= 0) {
		archive_write_add_filter_gzip(a);
		snprintf(level, sizeof(level), "%d", w->opt->gzip);
		archive_write_set_filter_option(a, "gzip", "compression-level", level);
		archive_write_set_filter_option(a, "gzip", "timestamp", NULL);
	}
	archive_write_set_bytes_per_block(a, w->opt->unbuffered ? 0 : (int)PIECE);
	archive_write_set_bytes_in_last_block(a, 512);
	return archive_result(w, archive_write_open(a, w, NULL, sink_write, NULL));
}

static void writer_deinit(struct writer *w)
{
	archive_entry_free(w->entry);
	if (w->archive)
		archive_write_free(w->archive);
	buf_deinit(&w->path);
	tree_links_deinit(&w->links);
	free(w->piece);
}

static int writer_end(struct writer *w, int r)
{
	if (r >= 0)
		r = archive_result(w, archive_write_close(w->archive));
	if (r < 0 && w->archive)
		archive_write_fail(w->archive); /* else freeing would still write to the sink */
	return MIN(r, 0);
}

static int open_top(struct writer *w, int dirfd, int *ret, struct stat *st)
{
	*ret = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOATIME);
	if (*ret < 0 || fstat(*ret, st) < 0)
		return error_errno(w->err, errno, "cannot open the top of a file tree");
	w->dev = st->st_dev;
	return buf_reserve(&w->path, 256, w->err);
}

int tree_write(int dirfd, const struct tree_write_options *opt, const struct tree_sink *sink,
	       struct error *err)
{
	_cleanup_(writer_deinit) struct writer w = { .opt = opt, .sink = sink, .err = err };
	_cleanup_close_ int top = -1;
	struct stat st;
	int r;

	r = open_top(&w, dirfd, &top, &st);
	if (r >= 0)
		r = writer_open(&w);
	if (r >= 0 && *opt->prefix)
		r = write_special(&w, top, ".", &st, NULL);
	if (r >= 0)
		r = walk(&w, TAKE_FD(top), 0);
	return writer_end(&w, r);
}

/* One path and what is below it. */
static int write_path(struct writer *w, int top, const struct stat *st, const char *path)
{
	_cleanup_close_ int dirfd = -1;
	char parent[TREE_PATH_MAX];
	const char *name, *p;
	unsigned int depth = 0;
	int r;

	w->path.len = 0;
	if (!*path)
		return *w->opt->prefix ? write_special(w, top, ".", st, NULL) : 0;
	if (!tree_path_ok(path))
		return 0;
	name = strrchr(path, '/');
	snprintf(parent, sizeof(parent), "%.*s", name ? (int)(name - path) : 0, path);
	for (p = path; *p; p++)
		depth += *p == '/';
	dirfd = tree_resolve(top, parent);
	if (dirfd < 0)
		return 0;
	r = buf_append(&w->path, path, strlen(path), w->err);
	return r < 0 ? r : write_one(w, dirfd, name ? name + 1 : path, depth);
}

int tree_write_paths(int dirfd, const struct tree_write_options *opt, const char *const *paths,
		     size_t n_paths, const struct tree_sink *sink, struct error *err)
{
	_cleanup_(writer_deinit) struct writer w = { .opt = opt, .sink = sink, .err = err };
	_cleanup_close_ int top = -1;
	struct stat st;
	size_t i;
	int r;

	r = open_top(&w, dirfd, &top, &st);
	if (r >= 0)
		r = writer_open(&w);
	for (i = 0; i < n_paths && r >= 0; i++)
		r = write_path(&w, top, &st, paths[i]);
	return writer_end(&w, r);
}

static int write_given(struct writer *w, const struct tree_file *file)
{
	uint64_t off = 0;
	ssize_t n;
	int r;

	w->path.len = 0;
	r = buf_append(&w->path, file->path, strlen(file->path), w->err);
	if (r < 0)
		return r;
	entry_fill(w, &file->st, NULL);
	entry_xattrs(w, file->fd);
	r = archive_result(w, archive_write_header(w->archive, w->entry));
	while (r == 0 && off < (uint64_t)file->st.st_size) {
		r = op_cancelled(w->opt->op, w->err);
		if (r < 0)
			break;
		n = file->read(file->ctx, off, w->piece,
			       (size_t)MIN((uint64_t)PIECE, (uint64_t)file->st.st_size - off));
		if (n <= 0) {
			note(w, "is not what it was: the rest is zeros");
			break;
		}
		off += (uint64_t)n;
		n = archive_write_data(w->archive, w->piece, (size_t)n);
		if (n < 0)
			r = archive_result(w, (int)n);
	}
	if (r == 0)
		r = archive_result(w, archive_write_finish_entry(w->archive));
	return MIN(r, 0);
}

int tree_write_files(const struct tree_write_options *opt, const struct tree_file *files,
		     size_t n_files, const struct tree_sink *sink, struct error *err)
{
	_cleanup_(writer_deinit) struct writer w = { .opt = opt, .sink = sink, .err = err };
	size_t i;
	int r;

	r = writer_open(&w);
	for (i = 0; i < n_files && r >= 0; i++)
		r = write_given(&w, &files[i]);
	return writer_end(&w, r);
}
