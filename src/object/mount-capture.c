// SPDX-License-Identifier: Apache-2.0
/*
 * mount-capture: the mounts of a container into images; see mount.h.
 *
 * Nothing is mounted or moved where the container could see it. A tmpfs is read through a detached
 * clone of its mount, made by a child that joined the namespace: what is mounted over its
 * directories does not hide them then, and no access time changes.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "base/cleanup.h"
#include "kernel/proc.h"
#include "object/mount-fs.h"
#include "object/mount.h"

uint32_t mount_kdev(const struct proc_mount *mount)
{
	return (mount->major << 20) | mount->minor; /* the kernel's MKDEV, not st_dev's layout */
}

bool mount_below(const char *path, const char *dir, const char **ret_rest)
{
	size_t len = strlen(dir);

	while (len && dir[len - 1] == '/')
		len--;
	if (strncmp(path, dir, len) != 0 || (path[len] && path[len] != '/'))
		return false;
	path += len;
	while (*path == '/')
		path++;
	if (ret_rest)
		*ret_rest = path;
	return true;
}

static void read_host(struct mount_index *index)
{
	_cleanup_close_ int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (self < 0 || proc_mountinfo_read(self, &index->arena, &index->host, NULL) < 0)
		index->host = (struct proc_mounts){ 0 };
}

int mount_index_look(struct capture *cap, int proc_fd, struct error *err)
{
	struct mount_index *index = calloc(1, sizeof(*index));
	struct bytes text;
	int r;

	if (!index)
		return error_nomem(err);
	cap->mounts = index;
	read_host(index);
	r = proc_read(proc_fd, "mountinfo", PROC_MOUNTINFO_MAX_BYTES, &index->text, err);
	text = (struct bytes){ index->text.data, index->text.len };
	return r < 0 ? r : proc_mountinfo_parse(text, &index->arena, &index->mounts, err);
}

int mount_index_new(struct capture *cap, struct error *err)
{
	_cleanup_buf_ struct buf now = BUF_INIT;
	struct mount_index *index = cap->mounts;
	int r;

	if (!index) {
		r = mount_index_look(cap, cap->root->proc_fd, err);
		cap->mounts->checked = r == 0;
		return r < 0 ? error_while(err, r, "reading the mounts of process %d",
					   cap->root->pid)
			     : 0;
	}
	if (index->checked)
		return 0;
	r = buf_reserve(&now, index->text.len + 4096, err);
	if (r == 0)
		r = proc_read(cap->root->proc_fd, "mountinfo", PROC_MOUNTINFO_MAX_BYTES, &now, err);
	if (r < 0)
		return r;
	index->checked = true;
	if (now.len == index->text.len && !memcmp(now.data, index->text.data, now.len))
		return 0;
	return proc_mountinfo_parse((struct bytes){ now.data, now.len }, &index->arena,
				    &index->mounts, err);
}

void mount_index_hold(struct capture *cap, int fd)
{
	struct mount_index *index = cap->mounts;

	if (fd < 0)
		return;
	if (index && index->n_held < MOUNT_HELD_MAX)
		index->held[index->n_held++] = fd;
	else
		close(fd);
}

void mount_index_free(struct mount_index *index)
{
	size_t i;

	if (!index)
		return;
	for (i = 0; i < index->n_held; i++)
		close(index->held[i]);
	mount_contents_free(index->contents);
	buf_deinit(&index->text);
	arena_deinit(&index->arena);
	free(index);
}

const struct proc_mount *mount_index_find(const struct capture *cap, int32_t mnt_id)
{
	return cap->mounts ? proc_mount_find(&cap->mounts->mounts, mnt_id) : NULL;
}

static bool is_root(const struct proc_mount *m)
{
	return !strcmp(m->mountpoint, "/");
}

static bool host_has(const struct mount_index *index, const struct proc_mount *m)
{
	size_t i;

	for (i = 0; i < index->host.n_mounts; i++)
		if (mount_kdev(&index->host.mounts[i]) == mount_kdev(m))
			return true;
	return false;
}

/* Would a restorer make this file system itself, as an instance of its own? */
static bool own_instance(const struct capture *cap, const struct proc_mount *m)
{
	const struct mount_fs *fs = mount_fs_by_name(m->fstype);

	switch (fs->way) {
	case MOUNT_FRESH:
		if (strcmp(m->root, "/") != 0)
			return false;
		/* devpts: every instance is somebody's; the others follow a namespace */
		return fs->code != IMG__FSTYPE__DEVPTS || !host_has(cap->mounts, m);
	case MOUNT_CONTENT:
		return !strcmp(m->root, "/") && !host_has(cap->mounts, m);
	case MOUNT_CGROUP:
		return !cap->ns[NS_CGROUP].own || !strcmp(m->root, "/");
	case MOUNT_DEVICES:
	case MOUNT_REFUSED:
		return !strcmp(m->root, "/");
	default:
		return false;
	}
}

bool mount_external(const struct capture *cap, const struct proc_mount *m)
{
	const struct proc_mounts *all = &cap->mounts->mounts;
	const struct proc_mount *t;
	size_t i;

	if (is_root(m) || own_instance(cap, m))
		return false;
	for (i = 0; i < all->n_mounts; i++) {
		t = &all->mounts[i];
		if (t == m || mount_kdev(t) != mount_kdev(m) ||
		    !mount_below(m->root, t->root, NULL))
			continue;
		if (is_root(t) || own_instance(cap, t))
			return false; /* a bind of something that the container has itself */
	}
	return true;
}

/* The options of the file system without those that sb_flags tells. */
static char *super_options(struct arena *arena, const char *options)
{
	static const char *const flags[] = { "rw", "ro", "sync", "dirsync", "mand", "lazytime" };
	char *ret = arena_strdup(arena, options), *to = ret;
	size_t i, len;

	for (; ret && *options; options += len + (options[len] == ',')) {
		len = strcspn(options, ",");
		for (i = 0; i < ARRAY_SIZE(flags); i++)
			if (strlen(flags[i]) == len && !strncmp(options, flags[i], len))
				break;
		if (i < ARRAY_SIZE(flags) || !len)
			continue;
		if (to != ret)
			*to++ = ',';
		memmove(to, options, len);
		to += len;
	}
	if (ret)
		*to = '\0';
	return ret;
}

static char *mount_root(struct arena *arena, const char *root, bool *ret_deleted)
{
	static const char deleted[] = "//deleted";
	char *ret = arena_strdup(arena, root);
	size_t len = strlen(root), n = strlen(deleted);

	*ret_deleted = len > n && !strcmp(root + len - n, deleted);
	if (ret && *ret_deleted)
		ret[len - n] = '\0';
	return ret;
}

static Img__Mnt *entry_of(struct capture *cap, const struct proc_mount *m)
{
	const struct mount_fs *fs = mount_fs_by_name(m->fstype);
	struct arena *arena = &cap->set->arena;
	Img__Mnt *e = img_new(cap->set, Img__Mnt, mnt);
	bool deleted = false;

	if (!e)
		return NULL;
	e->fstype = fs->code;
	if (fs->code == IMG__FSTYPE__AUTO)
		e->fsname = arena_strdup(arena, m->fstype);
	e->mnt_id = (uint32_t)m->id;
	e->parent_mnt_id = (uint32_t)m->parent_id;
	e->root_dev = mount_kdev(m);
	e->flags = (uint32_t)proc_mount_flags(m->options);
	if (!(e->flags & (MS_RELATIME | MS_NOATIME)))
		e->flags |= MS_STRICTATIME;
	e->flags |= (m->shared ? MS_SHARED : 0) | (m->master ? MS_SLAVE : 0) |
		    (m->unbindable ? MS_UNBINDABLE : 0);
	e->has_sb_flags = true;
	e->sb_flags = (uint32_t)proc_mount_flags(m->super_options) &
		      (MS_RDONLY | MS_SYNCHRONOUS | MS_DIRSYNC | MS_MANDLOCK | MS_LAZYTIME);
	/* inside its cgroup namespace the mount's root is the root, whatever it looks like from
	 * here */
	e->root = fs->way == MOUNT_CGROUP && !cap->ns[NS_CGROUP].own
			  ? arena_strdup(arena, "/")
			  : mount_root(arena, m->root, &deleted);
	if (deleted)
		e->has_deleted = e->deleted = true;
	e->mountpoint = arena_strdup(arena, m->mountpoint);
	e->source = arena_strdup(arena, m->source);
	e->options = super_options(arena, m->super_options);
	e->has_shared_id = e->has_master_id = true;
	e->shared_id = (uint32_t)m->shared;
	e->master_id = (uint32_t)m->master;
	if (mount_external(cap, m)) {
		e->ext_key = arena_strdup(arena, m->mountpoint);
		if (!e->ext_key)
			return NULL;
	}
	return e->root && e->mountpoint && e->source && e->options ? e : NULL;
}

int mount_gap(struct capture *cap, enum gap_effect effect, const struct proc_mount *m,
	      const char *reason)
{
	char subject[512];

	snprintf(subject, sizeof(subject), "mount %d at %s (%s)", m->id, m->mountpoint, m->fstype);
	return gap_add(cap->gaps, effect, "mount", 0, subject, "%s", reason);
}

/* Private and detached: reading through it changes no access time and meets no other mount. */
int mount_clone_quietly(int at)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME,
				   .attr_clr = MOUNT_ATTR__ATIME };
	int fd = open_tree(at, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd >= 0)
		(void)mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr));
	return fd;
}

static int clone_root(void *arg, struct buf *out, int *fd, struct error *err)
{
	*fd = mount_clone_quietly(*(int *)arg);
	return *fd < 0 ? error_errno(err, errno, "cannot clone a root mount") : 0;
}

int mount_clone_root(int proc_fd, int *ret_fd, struct error *err)
{
	_cleanup_close_ int root = openat(proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return error_errno(err, errno, "cannot open the root directory of a process");
	return ns_call_in(proc_fd, 1U << NS_MNT, clone_root, &root, NULL, ret_fd, err);
}

/* What is brought in from outside is not the container's, but a reader must know that it is not
 * here. */
static int outside_gap(struct capture *cap, const struct proc_mount *m)
{
	const char *path = mount_source_on_host(&cap->mounts->host, mount_kdev(m), m->root,
						&cap->mounts->arena);
	char reason[512];

	snprintf(reason, sizeof(reason),
		 "comes from outside (%s): its content is not in the checkpoint",
		 path ?: m->source);
	return mount_gap(cap, strcmp(m->root, "/") ? GAP_COSMETIC : GAP_DEGRADED, m, reason);
}

/* What restore will not be able to bring back is known now. */
static int mount_foresee(struct capture *cap, const struct proc_mount *m)
{
	switch (mount_fs_by_name(m->fstype)->way) {
	case MOUNT_REFUSED:
		return mount_gap(cap, GAP_COSMETIC, m,
				 "a view of the host's kernel: a restore shows an empty directory");
	case MOUNT_DEVICES:
		if (strcmp(m->root, "/") != 0)
			return 0; /* one device, which a restore makes or misses */
		return mount_gap(cap, GAP_COSMETIC, m,
				 "the host's devices: a restore shows a small /dev of its own");
	case MOUNT_STORAGE:
		return mount_external(cap, m) ? outside_gap(cap, m) : 0;
	default:
		return 0;
	}
}

int mount_capture(struct capture *cap, const struct capture_ns *ns, struct error *err)
{
	const struct proc_mount *m;
	Img__Mnt *e;
	size_t i;
	int r;

	r = mount_index_new(cap, err);
	if (r < 0)
		return r;
	r = image_touch(cap->set, IMAGE_MOUNTPOINTS, ns->id, err);
	for (i = 0; r >= 0 && i < cap->mounts->mounts.n_mounts; i++) {
		m = &cap->mounts->mounts.mounts[i];
		e = entry_of(cap, m);
		if (!e || mount_foresee(cap, m) < 0)
			return error_nomem(err);
		r = image_add(cap->set, IMAGE_MOUNTPOINTS, ns->id, &e->base, (struct bytes){ 0 },
			      err);
	}
	return r < 0 ? r : mount_contents_capture(cap, err);
}

const struct namespace_kind mount_namespace_kind = {
	.name = "mnt",
	.kind = NS_MNT,
	.clone_flag = CLONE_NEWNS,
	.capture = mount_capture,
	.restore = mount_restore,
};
