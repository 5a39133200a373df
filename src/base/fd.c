// SPDX-License-Identifier: Apache-2.0
/*
 * fd: see fd.h.
 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int fd_read_all(int fd, const char *name, size_t max, struct buf *buf, struct error *err)
{
	size_t total = 0;
	ssize_t n;
	int r;

	for (;;) {
		r = buf_reserve(buf, 4096, err);
		if (r < 0)
			return r;
		n = read(fd, buf->data + buf->len, buf->cap - buf->len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, errno, "cannot read %s", name);
		buf->len += (size_t)n;
		buf->data[buf->len] = '\0';
		total += (size_t)n;
		if (n == 0)
			return 0;
		if (total > max)
			return error_set(err, ERROR_INPUT, EFBIG, "%s is longer than %zu bytes",
					 name, max);
	}
}

int fd_read_file(int dirfd, const char *path, size_t max, struct buf *buf, struct error *err)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return error_errno(err, errno, "cannot open %s", path);
	return fd_read_all(fd, path, max, buf, err);
}

int fd_write_all(int fd, const void *data, size_t len, struct error *err)
{
	const unsigned char *p = data;
	ssize_t n;

	while (len) {
		n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, errno, "cannot write %zu bytes", len);
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_pwrite_all(int fd, const void *data, size_t len, off_t off, struct error *err)
{
	const unsigned char *p = data;
	ssize_t n;

	while (len) {
		n = pwrite(fd, p, len, off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, errno, "cannot write %zu bytes at offset %lld", len,
					   (long long)off);
		p += n;
		off += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_pread_all(int fd, void *data, size_t len, off_t off, struct error *err)
{
	unsigned char *p = data;
	ssize_t n;

	while (len) {
		n = pread(fd, p, len, off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, errno, "cannot read %zu bytes at offset %lld", len,
					   (long long)off);
		if (n == 0)
			return error_set(err, ERROR_INPUT, ENODATA,
					 "the file ends %zu bytes short at offset %lld", len,
					 (long long)off);
		p += n;
		off += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_write_file(int dirfd, const char *path, int flags, mode_t mode, const void *data, size_t len,
		  struct error *err)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC | flags, mode);
	int r;

	if (fd < 0)
		return error_errno(err, errno, "cannot open %s for writing", path);
	r = fd_write_all(fd, data, len, err);
	if (r < 0)
		return error_while(err, r, "writing %s", path);
	return 0;
}

int fd_readlink(int dirfd, const char *path, char *ret, size_t size, struct error *err)
{
	ssize_t n = readlinkat(dirfd, path, ret, size);

	if (n < 0)
		return error_errno(err, errno, "cannot read the link %s", path);
	if ((size_t)n >= size)
		return error_set(err, ERROR_SYSTEM, ENAMETOOLONG, "the link %s is too long", path);
	ret[n] = '\0';
	return 0;
}
