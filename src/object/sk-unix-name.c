// SPDX-License-Identifier: Apache-2.0
/*
 * sk-unix-name: binding unix sockets to their names.
 *
 * A path may be nearly as long as an address can hold, so every call that takes one is made from
 * inside the directory, by the last component.
 */
#include "object/sk-unix-name.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/cleanup.h"

/* Into the directory of a relative name, and back. Returns the descriptor of where we were. */
static int dir_enter(const char *dir)
{
	int back;

	if (!dir)
		return -1;
	back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (back < 0)
		return -errno;
	if (chdir(dir) < 0) {
		int r = -errno;

		close(back);
		return r;
	}
	return back;
}

static void dir_leave(int back)
{
	if (back < 0)
		return;
	if (fchdir(back) < 0)
		(void)chdir("/");
	close(back);
}

static socklen_t address(const void *name, size_t len, struct sockaddr_un *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	memcpy(ret->sun_path, name, MIN(len, sizeof(ret->sun_path)));
	return offsetof(struct sockaddr_un, sun_path) + MIN(len, sizeof(ret->sun_path));
}

/* What lies at the name now: a stale socket goes, anything else is set aside for a moment. Returns
 * 1 when it was set aside. */
static int room_make(const char *file, const char *aside, bool keep)
{
	struct stat st;

	if (lstat(file, &st) < 0)
		return 0;
	if (S_ISSOCK(st.st_mode) && !keep)
		return unlink(file) < 0 ? -errno : 0;
	return rename(file, aside) < 0 ? -errno : 1;
}

static void perms_restore(const Img__UnixSk *sk, const char *file)
{
	if (!sk->file_perms)
		return;
	(void)fchownat(AT_FDCWD, file, sk->file_perms->uid, sk->file_perms->gid,
		       AT_SYMLINK_NOFOLLOW);
	(void)chmod(file, sk->file_perms->mode & 07777);
}

/* bind() under the whole name, from where a relative one means the right thing; then look after the
 * file from inside its directory. */
static int bind_path(struct unix_place *place, int fd, const char *path)
{
	char aside[64], temp[64];
	struct sockaddr_un addr;
	socklen_t len = address(path, strlen(path) + 1, &addr);
	int back, r, moved;

	(void)snprintf(temp, sizeof(temp), ".amber-socket-%u", place->sk->id);
	(void)snprintf(aside, sizeof(aside), ".amber-aside-%u", place->sk->id);
	back = dir_enter(place->dir);
	if (back < 0)
		return back;
	moved = room_make(place->file, aside, place->deleted);
	dir_leave(back);
	if (moved < 0)
		return moved;

	back = dir_enter(place->sk->name_dir);
	if (back < 0 && place->sk->name_dir)
		return back;
	r = bind(fd, (struct sockaddr *)&addr, len) < 0 ? -errno : 0;
	dir_leave(back);

	back = dir_enter(place->dir);
	if (back < 0)
		return back;
	if (r == 0)
		perms_restore(place->sk, place->file);
	if (r == 0 && place->deleted && rename(place->file, temp) == 0)
		(void)snprintf(place->file, sizeof(place->file), "%s", temp);
	if (moved == 1 && place->deleted)
		(void)renameat(AT_FDCWD, aside, AT_FDCWD,
			       strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
	else if (moved == 1)
		(void)unlink(aside);
	dir_leave(back);
	return r;
}

/* Directory and last component of the path. */
static void split(struct unix_place *place, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = place->sk->name_dir ? place->sk->name_dir : "/";
	int len = slash ? (int)(slash - path) : 0;

	(void)snprintf(place->file, sizeof(place->file), "%s", slash ? slash + 1 : path);
	if (path[0] == '/')
		(void)snprintf(place->dir_buf, sizeof(place->dir_buf), "%.*s", len ? len : 1, path);
	else
		(void)snprintf(place->dir_buf, sizeof(place->dir_buf), "%.4096s/%.*s", base, len,
			       path);
	place->dir = place->dir_buf;
}

int unix_place_bind(struct restore *rst, struct unix_place *place, const Img__UnixSk *sk, int fd,
		    const char *subject, struct error *err)
{
	struct sockaddr_un addr;
	char path[109];
	socklen_t len;
	int r;

	if (sk->name.len == 0)
		return 0;
	if (sk->name.len > sizeof(addr.sun_path))
		return error_set(err, ERROR_INPUT, ENAMETOOLONG, "%s: a name of %zu bytes", subject,
				 sk->name.len);
	place->sk = sk;
	if (sk->name.data[0] == '\0') {
		len = address(sk->name.data, sk->name.len, &addr);
		r = bind(fd, (struct sockaddr *)&addr, len) < 0 ? -errno : 0;
	} else {
		(void)snprintf(path, sizeof(path), "%.*s", (int)sk->name.len, sk->name.data);
		place->deleted = sk->has_deleted && sk->deleted;
		split(place, path);
		r = bind_path(place, fd, path);
	}
	if (r < 0) {
		restore_gap(rst, GAP_DEGRADED, "socket", 0, subject,
			    "it cannot be bound to its name: %s", strerror(-r));
		return RESTORE_GAP;
	}
	place->bound = true;
	return 0;
}

int unix_place_connect(const struct unix_place *place, int fd)
{
	struct sockaddr_un addr;
	socklen_t len;
	int back, r;

	if (!place->bound)
		return -EDESTADDRREQ;
	if (!place->file[0]) {
		len = address(place->sk->name.data, place->sk->name.len, &addr);
		return connect(fd, (struct sockaddr *)&addr, len) < 0 ? -errno : 0;
	}
	back = dir_enter(place->dir);
	if (back < 0)
		return back;
	len = address(place->file, strlen(place->file) + 1, &addr);
	r = connect(fd, (struct sockaddr *)&addr, len) < 0 ? -errno : 0;
	dir_leave(back);
	return r;
}

void unix_place_finish(struct unix_place *place)
{
	int back;

	if (!place->bound || !place->deleted || !place->file[0])
		return;
	back = dir_enter(place->dir);
	if (back >= 0)
		(void)unlink(place->file);
	dir_leave(back);
}
