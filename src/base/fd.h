/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fd: whole reads and whole writes, interrupted calls resumed.
 */
#pragma once

#include <sys/types.h>

#include "base/buf.h"

/*
 * fd_read_file - read a file whole.
 * @dirfd, @path: as for openat(); opened O_RDONLY|O_CLOEXEC
 * @max: most bytes accepted; a longer file is -EFBIG
 * @buf: appended to
 * Returns 0 or a negative errno; err names the path.
 */
int fd_read_file(int dirfd, const char *path, size_t max, struct buf *buf,
		 struct error *err) _must_check_;

/* fd_read_all - read from a descriptor to its end; as fd_read_file(), name is for the error only.
 */
int fd_read_all(int fd, const char *name, size_t max, struct buf *buf,
		struct error *err) _must_check_;

/* fd_write_all, fd_pwrite_all, fd_pread_all - all len bytes or a negative errno. A pread past the
 * end of the file is -ENODATA. err says only what failed with which errno; add the path with
 * error_while(). */
int fd_write_all(int fd, const void *data, size_t len, struct error *err) _must_check_;
int fd_pwrite_all(int fd, const void *data, size_t len, off_t off, struct error *err) _must_check_;
int fd_pread_all(int fd, void *data, size_t len, off_t off, struct error *err) _must_check_;

/* fd_write_file - open (O_WRONLY|O_CLOEXEC|flags, mode), write all, close. For /proc and /sys knobs
 * too. */
int fd_write_file(int dirfd, const char *path, int flags, mode_t mode, const void *data, size_t len,
		  struct error *err) _must_check_;

/* fd_readlink - readlinkat() into a fixed buffer, NUL-terminated; -ENAMETOOLONG when it does not
 * fit. */
int fd_readlink(int dirfd, const char *path, char *ret, size_t size,
		struct error *err) _must_check_;
