// SPDX-License-Identifier: Apache-2.0
/*
 * tree-path: finding, making and removing names below a directory that hold up against a hostile
 * tree.
 *
 * Everything goes through openat2(), so the kernel keeps the walk inside; no path is ever put
 * together and handed to a call that would follow a symbolic link.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "object/tree.h"

#define RESOLVE_STRICT                                                                             \
	(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV)

static int open_beneath(int dirfd, const char *path, uint64_t flags)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = RESOLVE_STRICT };
	long fd;

	do
		fd = syscall(SYS_openat2, dirfd, *path ? path : ".", &how, sizeof(how));
	while (fd < 0 && (errno == EAGAIN || errno == EINTR));
	return fd < 0 ? -errno : (int)fd;
}

bool tree_path_ok(const char *path)
{
	size_t len, depth = 0;
	const char *end;

	if (strlen(path) >= TREE_PATH_MAX)
		return false;
	for (;; path = end + 1) {
		end = strchrnul(path, '/');
		len = (size_t)(end - path);
		if (!len || len > NAME_MAX || (len == 1 && path[0] == '.') ||
		    (len == 2 && path[0] == '.' && path[1] == '.') || ++depth > TREE_DEPTH_MAX)
			return false;
		if (!*end)
			return true;
	}
}

int tree_resolve(int dirfd, const char *path)
{
	if (*path && !tree_path_ok(path))
		return -EINVAL;
	/* O_NOFOLLOW: with RESOLVE_NO_SYMLINKS alone a link at the end would be -ELOOP. */
	return open_beneath(dirfd, path, O_PATH | O_NOFOLLOW);
}

static int open_dir(int dirfd, const char *path)
{
	return open_beneath(dirfd, path, O_PATH | O_DIRECTORY);
}

int tree_mkdirs(int dirfd, const char *path)
{
	_cleanup_close_ int at = -1;
	char name[NAME_MAX + 1];
	const char *end;
	int fd;

	if (*path && !tree_path_ok(path))
		return -EINVAL;
	fd = open_dir(dirfd, path);
	if (fd != -ENOENT)
		return fd;

	at = open_dir(dirfd, "");
	for (; at >= 0; path = end + 1) {
		end = strchrnul(path, '/');
		memcpy(name, path, (size_t)(end - path));
		name[end - path] = '\0';
		if (mkdirat(at, name, 0755) < 0 && errno != EEXIST)
			return -errno;
		fd = open_dir(at, name);
		if (fd < 0)
			return fd;
		close(at);
		at = fd;
		if (!*end)
			break;
	}
	return TAKE_FD(at);
}

static int remove_at(int dirfd, const char *name, unsigned int depth);

static int empty_at(int dirfd, unsigned int depth)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *de;
	int fd, r;

	if (depth > TREE_DEPTH_MAX)
		return -ELOOP;
	fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while ((de = readdir(dir))) {
		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		r = remove_at(fd, de->d_name, depth + 1);
		if (r < 0)
			return r;
	}
	return 0;
}

static int remove_at(int dirfd, const char *name, unsigned int depth)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return -errno;
	fd = open_dir(dirfd, name);
	if (fd < 0)
		return fd;
	r = empty_at(fd, depth);
	if (r < 0)
		return r;
	return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int tree_remove(int dirfd, const char *name)
{
	if (strchr(name, '/') || !tree_path_ok(name))
		return -EINVAL;
	return remove_at(dirfd, name, 0);
}

int tree_empty(int dirfd)
{
	return empty_at(dirfd, 0);
}
