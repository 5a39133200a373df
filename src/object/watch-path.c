// SPDX-License-Identifier: Apache-2.0
/*
 * watch-path: from a file handle to a name.
 *
 * A handle is opened with O_PATH on a mount of its file system: no event, no access time. Whatever
 * name comes out is checked against the inode in the container before it is believed.
 */
#include "object/watch-path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "object/file-index.h"
#include "object/mount.h"

#ifndef AT_HANDLE_FID
#define AT_HANDLE_FID AT_REMOVEDIR
#endif

/* An overlay's handle: types 0xf8 (three bytes of padding first) and 0xfb, then this. */
#define OVL_HANDLE_PADDED 0xf8
#define OVL_HANDLE_PLAIN  0xfb
#define OVL_HANDLE_MAGIC  0xfb

struct ovl_handle {
	uint8_t version, magic, len, flags, type;
	unsigned char uuid[16];
	/* the layer's own handle follows */
} __attribute__((packed));

struct handle_buf {
	struct file_handle head;
	unsigned char bytes[PROC_FDINFO_HANDLE_MAX];
};

static void handle_set(struct handle_buf *buf, uint32_t type, const unsigned char *bytes,
		       size_t len)
{
	memset(buf, 0, sizeof(*buf));
	buf->head.handle_type = type;
	buf->head.handle_bytes = MIN(len, sizeof(buf->bytes));
	memcpy(buf->head.f_handle, bytes, buf->head.handle_bytes);
}

/* Does the name lead to the watched inode? By its handle where the kernel gives one. */
static bool name_is_watched(struct capture *cap, const char *name,
			    const struct proc_fdinfo_watch *watch)
{
	struct handle_buf buf;
	const char *at = name[1] ? name + 1 : ".";
	struct stat st;
	int mount_id;

	memset(&buf, 0, sizeof(buf));
	buf.head.handle_bytes = sizeof(buf.bytes);
	if (name_to_handle_at(cap->root_dir, at, &buf.head, &mount_id, AT_HANDLE_FID) == 0 &&
	    (uint32_t)buf.head.handle_type == watch->handle.type)
		return buf.head.handle_bytes == watch->handle.len &&
		       memcmp(buf.head.f_handle, watch->handle.bytes, watch->handle.len) == 0;
	return fstatat(cap->root_dir, at, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0 &&
	       st.st_ino == watch->ino;
}

/* The kernel's name for the inode of a handle, NULL when it cannot be opened there. */
static const char *handle_name(int mount_fd, struct handle_buf *handle, char name[PATH_MAX])
{
	_cleanup_close_ int fd = -1;
	char link[32];

	fd = open_by_handle_at(mount_fd, &handle->head, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return fd_readlink(AT_FDCWD, link, name, PATH_MAX, NULL) < 0 ? NULL : name;
}

static int keep(struct capture *cap, const char *name, const char **ret, struct error *err)
{
	*ret = arena_strdup(&cap->set->arena, name);
	return *ret ? 0 : error_nomem(err);
}

/* Through a mount of the container that shows the file system. */
static int path_by_mount(struct capture *cap, const struct proc_mount *mount,
			 const struct proc_fdinfo_watch *watch, const char **ret, struct error *err)
{
	struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_NOATIME | O_CLOEXEC,
				.resolve = RESOLVE_IN_ROOT };
	_cleanup_close_ int fd = -1;
	char text[PATH_MAX];
	struct handle_buf handle;
	const char *name;
	int r;

	fd = syscall(SYS_openat2, cap->root_dir, mount->mountpoint, &how, sizeof(how));
	if (fd < 0)
		return 0; /* a mount of a file, or hidden by another */
	handle_set(&handle, watch->handle.type, watch->handle.bytes, watch->handle.len);
	if (!handle_name(fd, &handle, text))
		return 0;
	r = file_index_path(cap, text, &name, err);
	if (r < 0)
		return r;
	if (name && name_is_watched(cap, name, watch))
		return keep(cap, name, ret, err);
	return 0;
}

/* The value of one option of an overlay, e.g. "upperdir=". NULL when it is not there. */
static const char *overlay_option(const char *options, const char *key, size_t *ret_len)
{
	const char *at = options;

	while (at && *at) {
		const char *end = strchr(at, ',');
		size_t len = end ? (size_t)(end - at) : strlen(at);

		if (strncmp(at, key, strlen(key)) == 0) {
			*ret_len = len - strlen(key);
			return at + strlen(key);
		}
		at = end ? end + 1 : NULL;
	}
	return NULL;
}

/* One layer: where its inode with this handle is, as a name in the container. */
static int path_by_layer(struct capture *cap, const struct proc_mount *mount, const char *layer,
			 struct handle_buf *handle, const struct proc_fdinfo_watch *watch,
			 const char **ret, struct error *err)
{
	_cleanup_close_ int fd = -1;
	char text[PATH_MAX], name[2 * PATH_MAX];
	const char *rest;

	fd = open(layer, O_RDONLY | O_DIRECTORY | O_NOATIME | O_CLOEXEC);
	if (fd < 0 || !handle_name(fd, handle, text) || !mount_below(text, layer, &rest))
		return 0;
	(void)snprintf(name, sizeof(name), "%s%s%s",
		       strcmp(mount->mountpoint, "/") == 0 ? "" : mount->mountpoint,
		       *rest || strcmp(mount->mountpoint, "/") == 0 ? "/" : "", rest);
	if (name_is_watched(cap, name, watch))
		return keep(cap, name, ret, err);
	return 0;
}

static int path_by_layers(struct capture *cap, const struct proc_mount *mount, const char *key,
			  struct handle_buf *handle, const struct proc_fdinfo_watch *watch,
			  const char **ret, struct error *err)
{
	const char *at, *end;
	size_t len;
	int r;

	at = overlay_option(mount->super_options, key, &len);
	for (end = at ? at + len : NULL; at && at < end && !*ret; at++) {
		const char *colon = memchr(at, ':', end - at);
		size_t n = colon ? (size_t)(colon - at) : (size_t)(end - at);
		char layer[PATH_MAX];

		if (n && n < sizeof(layer)) {
			memcpy(layer, at, n);
			layer[n] = '\0';
			r = path_by_layer(cap, mount, layer, handle, watch, ret, err);
			if (r < 0)
				return r;
		}
		at += n;
	}
	return 0;
}

static int path_by_overlay(struct capture *cap, const struct proc_mount *mount,
			   const struct proc_fdinfo_watch *watch, const char **ret,
			   struct error *err)
{
	const unsigned char *bytes = watch->handle.bytes;
	size_t len = watch->handle.len;
	struct ovl_handle ovl;
	struct handle_buf handle;
	int r;

	if (watch->handle.type == OVL_HANDLE_PADDED && len > 3) {
		bytes += 3;
		len -= 3;
	} else if (watch->handle.type != OVL_HANDLE_PLAIN) {
		return 0;
	}
	if (len < sizeof(ovl))
		return 0;
	memcpy(&ovl, bytes, sizeof(ovl));
	if (ovl.magic != OVL_HANDLE_MAGIC || ovl.len > len || ovl.len < sizeof(ovl))
		return 0;
	handle_set(&handle, ovl.type, bytes + sizeof(ovl), ovl.len - sizeof(ovl));
	r = path_by_layers(cap, mount, "upperdir=", &handle, watch, ret, err);
	if (r == 0 && !*ret)
		r = path_by_layers(cap, mount, "lowerdir=", &handle, watch, ret, err);
	return r;
}

int watch_path(struct capture *cap, const struct proc_fdinfo_watch *watch, const char **ret,
	       struct error *err)
{
	size_t i;
	int r;

	*ret = NULL;
	for (i = 0; cap->mounts && !*ret && i < cap->mounts->mounts.n_mounts; i++) {
		const struct proc_mount *mount = &cap->mounts->mounts.mounts[i];

		if (mount_kdev(mount) != watch->sdev || !watch->handle.len)
			continue;
		r = path_by_mount(cap, mount, watch, ret, err);
		if (r == 0 && !*ret && strcmp(mount->fstype, "overlay") == 0)
			r = path_by_overlay(cap, mount, watch, ret, err);
		if (r < 0)
			return r;
	}
	return 0;
}
