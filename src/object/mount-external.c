// SPDX-License-Identifier: Apache-2.0
/*
 * mount-external: private copies of what a container was given from outside; see mount.h.
 *
 * The images are not trusted: files that only root may read, homes and the trees of the system
 * itself are not handed out, whatever the images say. Nothing of the host can be written to.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "object/mount-fs.h"
#include "object/mount.h"
#include "object/tree.h"

#define FILE_MAX ((off_t)64 << 20)

const char *mount_source_on_host(const struct proc_mounts *host, uint32_t kdev, const char *root,
				 struct arena *arena)
{
	const struct proc_mount *best = NULL, *m;
	const char *rest, *best_rest = NULL;
	size_t i;

	for (i = 0; i < host->n_mounts; i++) {
		m = &host->mounts[i];
		if (mount_kdev(m) != kdev || !mount_below(root, m->root, &rest))
			continue;
		if (best && strlen(best->root) > strlen(m->root))
			continue;
		best = m;
		best_rest = rest;
	}
	if (!best)
		return NULL;
	return arena_printf(arena, "%s%s%s", strcmp(best->mountpoint, "/") ? best->mountpoint : "",
			    *best_rest || !strcmp(best->mountpoint, "/") ? "/" : "", best_rest);
}

/*
 * Directories that are the system itself, whose subdirectories may well be volumes; and trees of
 * which nothing is handed out, whatever the images say that they were.
 */
static bool refused(const char *path, bool directory)
{
	static const char *const system[] = { "/",
					      "/bin",
					      "/lib",
					      "/lib64",
					      "/media",
					      "/mnt",
					      "/opt",
					      "/run",
					      "/sbin",
					      "/srv",
					      "/tmp",
					      "/usr",
					      "/var",
					      "/etc",
					      "/var/lib",
					      "/var/log",
					      "/var/run",
					      "/var/tmp",
					      "/var/lib/containers",
					      "/var/lib/containerd",
					      "/var/lib/docker" };
	static const char *const trees[] = { "/boot", "/dev", "/home", "/proc", "/root", "/sys" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(system); i++)
		if (!strcmp(path, system[i]))
			return true;
	for (i = 0; i < ARRAY_SIZE(trees); i++)
		if (mount_below(path, trees[i], NULL))
			return true;
	if (mount_below(path, "/var/lib/kubelet", NULL) &&
	    !mount_below(path, "/var/lib/kubelet/pods", NULL))
		return true;
	return directory && mount_below(path, "/etc", NULL) &&
	       !mount_below(path, "/etc/ssl/certs", NULL);
}

static int copy_file(const struct sandbox_spec *spec, const char *name, int from,
		     const struct stat *st, int *ret_fd, struct error *err)
{
	_cleanup_close_ int scratch = open(spec->scratch, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int in = -1, out = -1;
	char self[64];
	ssize_t n;
	int fd;

	if (scratch < 0)
		return error_errno(err, errno, "cannot open the scratch directory %s",
				   spec->scratch);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", from);
	in = open(self, O_RDONLY | O_CLOEXEC | O_NOATIME);
	out = openat(scratch, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (in < 0 || out < 0)
		return error_errno(err, errno, "cannot open the copy of a mounted file");
	while ((n = sendfile(out, in, NULL, 1 << 20)) > 0)
		;
	if (n < 0 || fchown(out, st->st_uid, st->st_gid) < 0 ||
	    fchmod(out, st->st_mode & 07777) < 0)
		return error_errno(err, errno, "cannot copy a mounted file");
	fd = open_tree(scratch, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	if (fd < 0)
		return error_errno(err, errno, "cannot mount the copy of a file");
	*ret_fd = fd;
	return 0;
}

static int overlay_directory(const struct sandbox_spec *spec, const char *name, int lower,
			     const struct stat *st, int *ret_fd, struct error *err)
{
	char lower_path[64], upper[PATH_MAX], work[PATH_MAX];
	_cleanup_close_ int fsfd = -1;
	int fd;

	snprintf(lower_path, sizeof(lower_path), "/proc/self/fd/%d", lower);
	snprintf(upper, sizeof(upper), "%s/%s.upper", spec->scratch, name);
	snprintf(work, sizeof(work), "%s/%s.work", spec->scratch, name);
	if (mkdir(upper, 0700) < 0 || mkdir(work, 0700) < 0 ||
	    chown(upper, st->st_uid, st->st_gid) < 0 || chmod(upper, st->st_mode & 07777) < 0)
		return error_errno(err, errno, "cannot make %s", upper);
	fsfd = fsopen("overlay", FSOPEN_CLOEXEC);
	if (fsfd < 0)
		return error_errno(err, errno, "this kernel has no overlayfs");
	if (fsconfig(fsfd, FSCONFIG_SET_STRING, "source", "amber", 0) < 0 ||
	    fsconfig(fsfd, FSCONFIG_SET_STRING, "lowerdir", lower_path, 0) < 0 ||
	    fsconfig(fsfd, FSCONFIG_SET_STRING, "upperdir", upper, 0) < 0 ||
	    fsconfig(fsfd, FSCONFIG_SET_STRING, "workdir", work, 0) < 0 ||
	    fsconfig(fsfd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return error_errno(err, errno, "cannot make an overlay with its changes in %s",
				   upper);
	fd = fsmount(fsfd, FSMOUNT_CLOEXEC, 0);
	if (fd < 0)
		return error_errno(err, errno, "cannot mount an overlay with its changes in %s",
				   upper);
	*ret_fd = fd;
	return 0;
}

/* Engines bind the host's harmless devices where they may not make nodes; a node of our own is as
 * good. */
static int make_device(const struct sandbox_spec *spec, const Img__Mnt *mnt, const char *name,
		       int *ret_fd)
{
	static const struct {
		const char *root;
		unsigned int major, minor;
	} devices[] = {
		{ "/null", 1, 3 },   { "/zero", 1, 5 },	   { "/full", 1, 7 },
		{ "/random", 1, 8 }, { "/urandom", 1, 9 }, { "/tty", 5, 0 },
	};
	_cleanup_close_ int scratch = -1;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(devices); i++)
		if (!strcmp(devices[i].root, mnt->root))
			break;
	if (i == ARRAY_SIZE(devices) || !spec->scratch)
		return -ENOENT;
	scratch = open(spec->scratch, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (scratch < 0 ||
	    mknodat(scratch, name, S_IFCHR | 0666, makedev(devices[i].major, devices[i].minor)) < 0)
		return -errno;
	(void)fchmodat(scratch, name, 0666, 0);
	*ret_fd = open_tree(scratch, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

/* Files that every engine binds in, and that name nothing but the container itself. */
static bool ordinary(const char *mountpoint)
{
	static const char *const names[] = { "/etc/hosts", "/etc/hostname", "/etc/resolv.conf" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(mountpoint, names[i]) == 0)
			return true;
	return false;
}

int mount_external_copy(struct restore *rst, const struct sandbox_spec *spec, const Img__Mnt *mnt,
			const struct proc_mounts *host, const char *name, int *ret_fd,
			const char **ret_why, struct error *err)
{
	_cleanup_close_ int fd = -1;
	struct stat st, link;
	const char *path;
	int r;

	if (mount_fs_of(mnt)->way == MOUNT_DEVICES && make_device(spec, mnt, name, ret_fd) == 0)
		return 0;
	/* The path comes from the images, which may be hostile: they do not choose what they see.
	 */
	if (!rst->volumes && !ordinary(mnt->mountpoint)) {
		*ret_why =
			"it came from outside of the container; --volumes shows a private copy of "
			"what this host has there";
		return 1;
	}
	path = mnt->root[0] == '/' && spec->scratch
		       ? mount_source_on_host(host, mnt->root_dev, mnt->root, &rst->set->arena)
		       : NULL;
	if (path)
		fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	/* what is found must be what was named, not something mounted over it */
	if (fd < 0 || fstat(fd, &st) < 0 || lstat(path, &link) < 0 || link.st_ino != st.st_ino) {
		*ret_why = "its source is not on this host";
		return 1;
	}
	*ret_why = "its source on this host is not for a copy to see";
	if (S_ISREG(st.st_mode)) {
		if (st.st_size > FILE_MAX)
			*ret_why = "its source is too large to be copied";
		if (!(st.st_mode & S_IROTH) || st.st_size > FILE_MAX || refused(path, false))
			return 1;
		r = copy_file(spec, name, fd, &st, ret_fd, err);
	} else if (S_ISDIR(st.st_mode)) {
		if (refused(path, true))
			return 1;
		r = overlay_directory(spec, name, fd, &st, ret_fd, err);
	} else {
		*ret_why = "its source is a socket, pipe or device of this host";
		return 1;
	}
	if (r < 0)
		return error_while(err, r, "copying %s for the mount at %s", path, mnt->mountpoint);
	op_info(rst->op, "%s shows a private copy of %s as it is on this host now", mnt->mountpoint,
		path);
	return 0;
}
