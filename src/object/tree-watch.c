// SPDX-License-Identifier: Apache-2.0
/*
 * tree-watch: see tree-watch.h.
 *
 * An event names a directory by its file handle, and a name in it. The directory is looked up where
 * it is now; if it has moved since, an event of its own says so, and if it is gone, likewise.
 */
#include "object/tree-watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "object/tree.h"

#ifndef FAN_REPORT_TARGET_FID
#define FAN_REPORT_TARGET_FID 0x00001000
#endif

#define WATCH_EVENTS                                                                               \
	(FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO | FAN_MODIFY | FAN_ATTRIB |       \
	 FAN_CLOSE_WRITE | FAN_ONDIR)
#define WATCH_NAMED	(FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO)
#define WATCH_READS_MAX 1024 /* buffers in one go: more is a change of everything */
#define WATCH_BUFFER	((size_t)256 << 10)
#define WATCH_FOLDERS	256U /* directories whose place is remembered within one reading */

/* Where a directory is: relative to the top, NULL = not below it. */
struct folder {
	const struct file_handle *handle; /* NULL: nothing is remembered here */
	const char *path;
};

struct tree_watch {
	int fd;	   /* of the notification group */
	int dirfd; /* the top, open for reading: handles are looked up through it */
	char *top; /* as /proc/self/fd names it, without a slash at the end */
	bool lost; /* a directory could not be looked up */
	unsigned char *events;
	struct arena arena; /* of one reading */
	struct folder folders[WATCH_FOLDERS];
};

static char *fd_name(int fd, char *name, size_t size)
{
	char self[64];
	ssize_t n;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	n = readlink(self, name, size - 1);
	if (n < 0)
		return NULL;
	name[n] = '\0';
	return name;
}

static int watch_open(struct tree_watch *watch, int dirfd)
{
	char name[TREE_PATH_MAX];
	size_t len;

	watch->dirfd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOATIME);
	watch->fd =
		fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_DFID_NAME |
				      FAN_REPORT_FID | FAN_REPORT_TARGET_FID,
			      O_RDONLY | O_CLOEXEC);
	if (watch->fd < 0 || watch->dirfd < 0 || !fd_name(watch->dirfd, name, sizeof(name)) ||
	    fanotify_mark(watch->fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, WATCH_EVENTS, watch->dirfd,
			  NULL) < 0)
		return errno ? -errno : -EINVAL;
	len = strlen(name);
	if (len && name[len - 1] == '/')
		name[len - 1] = '\0';
	watch->top = strdup(name);
	watch->events = malloc(WATCH_BUFFER);
	if (!watch->top || !watch->events)
		return -ENOMEM;
	return 0;
}

int tree_watch_new(int dirfd, struct tree_watch **ret)
{
	struct tree_watch *watch = calloc(1, sizeof(*watch));
	int r;

	if (!watch)
		return -ENOMEM;
	r = watch_open(watch, dirfd);
	if (r < 0)
		tree_watch_free(watch);
	else
		*ret = watch;
	return r;
}
void tree_watch_free(struct tree_watch *watch)
{
	if (!watch)
		return;
	if (watch->fd >= 0)
		close(watch->fd);
	if (watch->dirfd >= 0)
		close(watch->dirfd);
	arena_deinit(&watch->arena);
	free(watch->events);
	free(watch->top);
	free(watch);
}

static bool same_file(int a, int b)
{
	struct stat sa, sb;

	return a >= 0 && b >= 0 && fstat(a, &sa) == 0 && fstat(b, &sb) == 0 &&
	       sa.st_ino == sb.st_ino && sa.st_dev == sb.st_dev;
}

/*
 * The name that /proc has is only a guess: seen through the mount of the top, a directory beside it
 * may seem to be below. What is at that path must be this directory.
 */
static const char *folder_path(struct tree_watch *watch, struct file_handle *handle)
{
	_cleanup_close_ int fd = open_by_handle_at(watch->dirfd, handle, O_PATH | O_CLOEXEC);
	_cleanup_close_ int there = -1;
	char name[TREE_PATH_MAX];
	const char *path;
	size_t len = strlen(watch->top);

	if (fd < 0 && errno != ESTALE) /* else it is gone, which is told of its name */
		watch->lost = true;
	if (fd < 0 || !fd_name(fd, name, sizeof(name)) || strncmp(name, watch->top, len) != 0 ||
	    (name[len] && name[len] != '/'))
		return NULL;
	path = name + len + (name[len] == '/');
	there = tree_resolve(watch->dirfd, path);
	return same_file(fd, there) ? arena_strdup(&watch->arena, path) : NULL;
}

static bool same_handle(const struct file_handle *a, const struct file_handle *b)
{
	return a->handle_type == b->handle_type && a->handle_bytes == b->handle_bytes &&
	       !memcmp(a->f_handle, b->f_handle, a->handle_bytes);
}

static const char *folder_find(struct tree_watch *watch, struct file_handle *handle)
{
	struct folder *folder;
	uint32_t hash = 2166136261U;
	unsigned int i;

	for (i = 0; i < handle->handle_bytes; i++)
		hash = (hash ^ handle->f_handle[i]) * 16777619U;
	folder = &watch->folders[(hash ^ hash >> 16) % WATCH_FOLDERS];
	if (folder->handle && same_handle(folder->handle, handle))
		return folder->path;
	folder->path = folder_path(watch, handle);
	folder->handle =
		arena_memdup(&watch->arena, handle, sizeof(*handle) + handle->handle_bytes);
	return folder->path;
}

/* The record that names the event's directory and name; NULL: the event has none. Records are only
 * aligned to four bytes, events too: hence the copies of heads. */
static const struct fanotify_event_info_fid *event_name(const unsigned char *at,
							const unsigned char *end)
{
	struct fanotify_event_info_header head;

	for (; end - at >= (ptrdiff_t)sizeof(struct fanotify_event_info_fid); at += head.len) {
		memcpy(&head, at, sizeof(head));
		if (head.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME)
			return (const void *)at;
		if (!head.len)
			break;
	}
	return NULL;
}

static int event_tell(struct tree_watch *watch, uint64_t mask,
		      const struct fanotify_event_info_fid *info, tree_changed_fn *fn, void *ctx,
		      struct error *err)
{
	unsigned int changes = mask & WATCH_NAMED ? TREE_NAMED : TREE_CHANGED;
	struct file_handle *handle;
	char path[TREE_PATH_MAX];
	const char *folder, *name;

	if (!info) /* a change of the link count: the name that came or went is told, too */
		return 0;
	handle = (struct file_handle *)info->handle;
	folder = folder_find(watch, handle);
	if (!folder)
		return 0;
	name = (const char *)handle->f_handle + handle->handle_bytes;
	if (!strcmp(name, "."))
		return fn(ctx, folder, TREE_CHANGED | TREE_DIRECTORY, err);
	if ((size_t)snprintf(path, sizeof(path), "%s%s%s", folder, *folder ? "/" : "", name) >=
	    sizeof(path))
		return 0; /* no path of this length is ever copied */
	if (mask & FAN_ONDIR)
		changes |= TREE_DIRECTORY;
	return fn(ctx, path, changes, err);
}

static void forget_folders(struct tree_watch *watch)
{
	memset(watch->folders, 0, sizeof(watch->folders));
	arena_reset(&watch->arena);
}

int tree_watch_read(struct tree_watch *watch, tree_changed_fn *fn, void *ctx, struct error *err)
{
	struct fanotify_event_metadata event;
	const unsigned char *at;
	bool lost = false;
	ssize_t n, left;
	unsigned reads;
	int r = 0;

	for (reads = 0;; reads++) {
		/* A busy host could tell of something new for ever. */
		if (reads == WATCH_READS_MAX) {
			lost = true;
			break;
		}
		n = read(watch->fd, watch->events, WATCH_BUFFER);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		for (at = watch->events, left = n; r >= 0; at += event.event_len) {
			if (left < (ssize_t)sizeof(event))
				break;
			memcpy(&event, at, sizeof(event));
			if (!FAN_EVENT_OK(&event, left))
				break;
			left -= event.event_len;
			if (event.mask & FAN_Q_OVERFLOW)
				lost = true;
			else if (!lost)
				r = event_tell(
					watch, event.mask,
					event_name(at + event.metadata_len, at + event.event_len),
					fn, ctx, err);
		}
		if (r < 0)
			break;
	}
	lost |= watch->lost;
	watch->lost = false;
	forget_folders(watch);
	if (r >= 0 && n < 0 && errno != EAGAIN)
		lost = true;
	return r < 0 ? r : lost;
}
