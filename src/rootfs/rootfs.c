// SPDX-License-Identifier: Apache-2.0
/*
 * rootfs: finding what the root of a container is made of; see rootfs.h.
 *
 * Everything comes from /proc/<pid>/mountinfo: the root mount's options name the layers by paths of
 * the host, as the runtime's mount call wrote them.
 */
#include "rootfs/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "base/cleanup.h"
#include "kernel/proc-mountinfo.h"
#include "kernel/proc-stat.h"
#include "kernel/proc.h"
#include "object/mount.h"

const char *rootfs_kind_name(enum rootfs_kind kind)
{
	static const char *const names[] = { "overlay", "directory", "host" };

	return (size_t)kind < ARRAY_SIZE(names) ? names[kind] : "unknown";
}

void rootfs_free(struct rootfs *rootfs)
{
	if (!rootfs)
		return;
	if (rootfs->dir_fd >= 0)
		close(rootfs->dir_fd);
	arena_deinit(&rootfs->arena);
	free(rootfs);
}

void rootfs_removed_deinit(struct rootfs_removed *removed)
{
	arena_deinit(&removed->arena);
	*removed = ROOTFS_REMOVED_INIT;
}

/* The end of a value: the next comma or colon that no backslash protects. */
static size_t value_len(const char *s, const char *ends)
{
	size_t n;

	for (n = 0; s[n] && !strchr(ends, s[n]); n++)
		if (s[n] == '\\' && s[n + 1])
			n++;
	return n;
}

static char *value_dup(struct arena *arena, const char *s, size_t len)
{
	char *ret = arena_alloc(arena, len + 1), *to = ret;
	size_t i;

	for (i = 0; ret && i < len; i++) {
		if (s[i] == '\\' && i + 1 < len)
			i++;
		*to++ = s[i];
	}
	return ret;
}

static int lower_add(struct rootfs *rootfs, const char *path, struct error *err)
{
	if (!path)
		return error_nomem(err);
	if (rootfs->n_lowers == ROOTFS_LOWERS_MAX)
		return error_set(err, ERROR_SYSTEM, E2BIG, "the overlay has more than %d layers",
				 ROOTFS_LOWERS_MAX);
	rootfs->lowers = arena_grow(&rootfs->arena, rootfs->lowers, rootfs->n_lowers,
				    sizeof(*rootfs->lowers));
	if (!rootfs->lowers)
		return error_nomem(err);
	rootfs->lowers[rootfs->n_lowers++] = path;
	return 0;
}

/* "lowerdir=A:B,upperdir=C"; newer kernels write "lowerdir+=A,lowerdir+=B,datadir+=D". */
static int overlay_options(struct rootfs *rootfs, const char *options, struct error *err)
{
	const char *value;
	size_t len, part;
	int r = 0;

	for (; *options && r >= 0; options += len + (options[len] == ',')) {
		len = value_len(options, ",");
		value = memchr(options, '=', len);
		if (len == strlen("userxattr") && !strncmp(options, "userxattr", len))
			rootfs->userxattr = true;
		if (!value++)
			continue;
		part = len - (size_t)(value - options);
		if (!strncmp(options, "upperdir=", 9)) {
			rootfs->upper = value_dup(&rootfs->arena, value, part);
		} else if (!strncmp(options, "workdir=", 8)) {
			rootfs->work = value_dup(&rootfs->arena, value, part);
		} else if (!strncmp(options, "lowerdir+=", 10) ||
			   !strncmp(options, "datadir+=", 9)) {
			r = lower_add(rootfs, value_dup(&rootfs->arena, value, part), err);
		} else if (!strncmp(options, "lowerdir=", 9)) {
			const char *end = value + part;

			for (; value < end && r >= 0; value += part + 1) {
				part = MIN(value_len(value, ":"), (size_t)(end - value));
				if (part) /* "::" separates layers that hold data only */
					r = lower_add(rootfs,
						      value_dup(&rootfs->arena, value, part), err);
			}
		}
	}
	return r;
}

/*
 * Engines with many layers save room by mounting from inside of their store: "lowerdir=l/A:l/B".
 * The store is two levels above the directories that are named in full: STORE/ID/diff,
 * STORE/ID/merged.
 */
static const char *in_store(struct rootfs *rootfs, const char *path, const char *known)
{
	const char *full;
	size_t len, up;

	if (!path || path[0] == '/' || !known || known[0] != '/')
		return path;
	for (len = strlen(known), up = 0; len && up < 2; up += known[len] == '/')
		len--;
	full = arena_printf(&rootfs->arena, "%.*s/%s", (int)len, known, path);
	return full && access(full, F_OK) == 0 ? full : path;
}

static int overlay_open(struct rootfs *rootfs, struct error *err)
{
	size_t i;
	int r;

	rootfs->upper = in_store(rootfs, rootfs->upper, rootfs->path);
	rootfs->work = in_store(rootfs, rootfs->work, rootfs->upper);
	for (i = 0; i < rootfs->n_lowers; i++)
		rootfs->lowers[i] = in_store(
			rootfs, in_store(rootfs, rootfs->lowers[i], rootfs->upper), rootfs->path);

	if (!rootfs->upper) {
		rootfs->writable = false; /* lower layers only: nothing can have changed */
		return 0;
	}
	rootfs->dir_fd = open(rootfs->upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOATIME);
	if (rootfs->dir_fd >= 0)
		return 0;
	r = error_errno(err, errno, "cannot open the upper directory %s of the container's overlay",
			rootfs->upper);
	return error_hint(
		err, r,
		"run amber in the mount namespace of the container runtime, where the layers "
		"are in sight");
}

/* Wall clock time at which the process was born. */
static int started_at(int proc_fd, struct timespec *ret, struct error *err)
{
	long hz = sysconf(_SC_CLK_TCK);
	struct timespec now, boot;
	struct proc_stat stat;
	int64_t ns;
	int r;

	r = proc_stat_read(proc_fd, &stat, err);
	if (r < 0)
		return r;
	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	ns = (now.tv_sec - boot.tv_sec) * 1000000000LL + (now.tv_nsec - boot.tv_nsec);
	ns += (int64_t)(stat.start_time * (1000000000ULL / (uint64_t)hz));
	/* The tick may have begun before the birth, file times lag by a tick of the kernel; and the
	 * runtime prepares the directory (mount points) in the moments before. */
	*ret = (struct timespec){ ns / 1000000000LL, ns % 1000000000LL };
	return 0;
}

static int plain_open(struct rootfs *rootfs, int proc_fd, pid_t pid, struct error *err)
{
	struct stat root, ours;
	int r;

	if (fstatat(proc_fd, "root/", &root, 0) < 0)
		return error_errno(err, errno, "cannot look at the root of process %d", pid);
	if (stat("/", &ours) == 0 && ours.st_dev == root.st_dev && ours.st_ino == root.st_ino) {
		rootfs->kind = ROOTFS_HOST;
		return 0;
	}
	rootfs->kind = ROOTFS_PLAIN;
	r = started_at(proc_fd, &rootfs->since, err);
	return r < 0 ? r : mount_clone_root(proc_fd, &rootfs->dir_fd, err);
}

/* Where the root is in our own mount namespace: for the record, and as base of a restore. */
static const char *path_here(struct rootfs *rootfs, const struct proc_mount *root)
{
	const struct proc_mount *best = NULL, *m;
	_cleanup_close_ int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct proc_mounts all;
	size_t i, len;

	if (self < 0 || proc_mountinfo_read(self, &rootfs->arena, &all, NULL) < 0)
		return "";
	for (i = 0; i < all.n_mounts; i++) {
		m = &all.mounts[i];
		len = strlen(m->root);
		if (m->major != root->major || m->minor != root->minor ||
		    (len > 1 && (strncmp(root->root, m->root, len) != 0 ||
				 (root->root[len] && root->root[len] != '/'))))
			continue;
		if (!best || len > strlen(best->root))
			best = m;
	}
	if (!best)
		return "";
	len = strlen(best->root);
	len = len > 1 ? len : 0;
	if (!root->root[len] || !strcmp(root->root + len, "/"))
		return best->mountpoint;
	return arena_printf(&rootfs->arena, "%s%s",
			    strcmp(best->mountpoint, "/") ? best->mountpoint : "", root->root + len)
		       ?: "";
}

static int find(struct rootfs *rootfs, pid_t pid, struct error *err)
{
	const struct proc_mount *root = NULL;
	_cleanup_close_ int proc_fd = -1;
	struct proc_mounts mounts;
	size_t i;
	int r;

	r = proc_open(pid, &proc_fd, err);
	if (r >= 0)
		r = proc_mountinfo_read(proc_fd, &rootfs->arena, &mounts, err);
	if (r < 0)
		return r;
	for (i = 0; i < mounts.n_mounts; i++)
		if (!strcmp(mounts.mounts[i].mountpoint, "/"))
			root = &mounts.mounts[i]; /* the last one lies on top */
	if (!root)
		return error_set(err, ERROR_SYSTEM, ENOENT, "process %d has no root mount", pid);

	rootfs->fstype = root->fstype;
	rootfs->path = path_here(rootfs, root);
	rootfs->writable =
		!((proc_mount_flags(root->options) | proc_mount_flags(root->super_options)) &
		  1 /* MS_RDONLY */);
	if (strcmp(root->fstype, "overlay") != 0 || strcmp(root->root, "/") != 0)
		return plain_open(rootfs, proc_fd, pid, err);
	rootfs->kind = ROOTFS_OVERLAY;
	r = overlay_options(rootfs, root->super_options, err);
	return r < 0 ? r : overlay_open(rootfs, err);
}

int rootfs_find(struct op *op, pid_t pid, struct rootfs **ret, struct error *err)
{
	struct rootfs *rootfs = calloc(1, sizeof(*rootfs));
	int r;

	if (!rootfs)
		return error_nomem(err);
	rootfs->dir_fd = -1;
	rootfs->path = "";
	r = find(rootfs, pid, err);
	if (r < 0) {
		rootfs_free(rootfs);
		return error_while(err, r, "finding the root file system of process %d", pid);
	}
	op_debug(op, "the root of process %d: %s (%s) %s", pid, rootfs_kind_name(rootfs->kind),
		 rootfs->fstype, rootfs->upper ?: rootfs->path);
	*ret = rootfs;
	return 0;
}
