// SPDX-License-Identifier: Apache-2.0
/*
 * mount-restore: the mount tree of a container, built anew in the sandbox's root task; see mount.h.
 *
 * Every mount is made detached, by descriptor, and put onto its parent's root by descriptor: no
 * path of the images is ever resolved where it could lead out of the new tree. Mounts are made when
 * their parent and what they show exist, so the order of the images does not matter. Flags and
 * propagation come last, when nothing has to be written any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "object/mount-builder.h"
#include "object/tree.h"

#define POINTS_MAX 4096

struct mount_table {
	size_t n;
	struct {
		uint32_t id;
		const char *path;
	} rows[];
};

static struct point *point_find(struct builder *b, uint32_t id)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		if (b->points[i].mnt->mnt_id == id)
			return &b->points[i];
	return NULL;
}

static bool path_ok(const char *path)
{
	return path[0] == '/' && (!path[1] || tree_path_ok(path + 1));
}

/* The place of a mount in its parent, made when it is missing. */
static int place(struct builder *b, struct point *p, int what)
{
	_cleanup_close_ int dir = -1;
	const char *rest = NULL, *slash;
	bool directory = true;
	char parent[TREE_PATH_MAX];
	struct stat st;
	int fd;

	if (!mount_below(p->mnt->mountpoint, p->parent->mnt->mountpoint, &rest))
		return -EINVAL;
	if (!*rest) {
		fd = fcntl(p->parent->fd, F_DUPFD_CLOEXEC, 0); /* over its parent: may be a file */
		return fd < 0 ? -errno : fd;
	}
	fd = tree_resolve(p->parent->fd, rest);
	if (fd != -ENOENT)
		return fd;
	if (what >= 0 && fstat(what, &st) == 0)
		directory = S_ISDIR(st.st_mode);
	if (directory)
		return tree_mkdirs(p->parent->fd, rest);

	slash = strrchr(rest, '/');
	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - rest) : 0, rest);
	dir = tree_mkdirs(p->parent->fd, parent);
	if (dir < 0)
		return dir;
	fd = openat(dir, slash ? slash + 1 : rest, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	close(fd);
	return tree_resolve(p->parent->fd, rest);
}

static int mount_one(struct builder *b, struct point *p)
{
	_cleanup_close_ int what = -1, where = -1;
	char text[256];
	int r = mount_make(b, p, &what);

	if (r < 0 && b->err && b->err->errnum != ENOMEM && b->err->class != ERROR_CANCELLED) {
		mount_lose(b, p, GAP_DEGRADED, b->err->text);
		error_clear(b->err);
		r = 2;
	}
	if (r < 0 || r == 1)
		return r;
	where = place(b, p, what);
	if (r == 0 && where >= 0 &&
	    move_mount(what, "", where, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		r = -errno;
	if (r == 0 && where >= 0) {
		p->fd = TAKE_FD(what);
		p->state = POINT_DONE;
		return 0;
	}
	if (r != 2) {
		snprintf(text, sizeof(text), "cannot be mounted: %s",
			 strerror(where < 0 ? -where : -r));
		mount_lose(b, p, GAP_DEGRADED, text);
	}
	p->state = POINT_LOST;
	p->fd = TAKE_FD(where); /* what was below it can still be there */
	return 0;
}

/* A sibling below this one would be hidden by it, so it goes first. */
static bool hides_sibling(const struct builder *b, const struct point *p)
{
	const struct point *t;
	const char *rest;
	size_t i;

	for (i = 0; i < b->n; i++) {
		t = &b->points[i];
		if (t != p && t->state == POINT_WAITS && t->parent == p->parent &&
		    mount_below(t->mnt->mountpoint, p->mnt->mountpoint, &rest) && *rest)
			return true;
	}
	return false;
}

static int build(struct builder *b)
{
	bool progress = true, patient = true;
	struct point *p;
	size_t i;
	int r;

	while (progress || patient) {
		patient = progress;
		progress = false;
		for (i = 0; i < b->n; i++) {
			p = &b->points[i];
			if (p->state != POINT_WAITS || !p->parent || p->parent->fd < 0 ||
			    (patient && hides_sibling(b, p)))
				continue;
			r = op_cancelled(b->rst->op, b->err);
			if (r == 0)
				r = mount_one(b, p);
			if (r < 0)
				return r;
			progress |= r == 0;
		}
	}
	for (i = 0; i < b->n; i++)
		if (b->points[i].state == POINT_WAITS)
			mount_lose(b, &b->points[i], GAP_DEGRADED,
				   "what it is mounted on is not in the images");
	return 0;
}

/*
 * The parts of /proc that reach the host's kernel. A runtime covers them, a privileged container
 * does not, but the copy of one is to be looked at, not to be trusted.
 */
static void guard_proc(struct builder *b, struct point *p)
{
	static const char *const parts[] = { "sys", "sysrq-trigger", "irq", "bus",
					     "fs",  "acpi",	     "scsi" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		_cleanup_close_ int where = tree_resolve(p->fd, parts[i]);
		_cleanup_close_ int what = -1;

		if (where < 0)
			continue; /* not there, or covered by a mount of the images */
		what = open_tree(where, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		if (what < 0 ||
		    mount_fs_set(what, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RELATIME,
				 NULL) < 0 ||
		    move_mount(what, "", where, "",
			       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
			restore_gap(b->rst, GAP_COSMETIC, "mount", 0, p->mnt->mountpoint,
				    "%s in it could not be made read-only", parts[i]);
	}
}

static unsigned long flags_of(struct builder *b, struct point *p)
{
	const struct mount_fs *fs = mount_fs_of(p->mnt);
	bool host = fs->way == MOUNT_CGROUP || fs->way == MOUNT_REFUSED ||
		    fs->code == IMG__FSTYPE__SYSFS;

	if (host && !(p->mnt->flags & MS_RDONLY))
		mount_lose(b, p, GAP_COSMETIC, "was writable, is read-only in a sandbox");
	return p->mnt->flags | (host ? MS_RDONLY : 0);
}

static int finish(struct builder *b)
{
	bool groups = false;
	struct point *p;
	size_t i;
	int r;

	for (i = 0; i < b->n; i++) {
		struct mount_attr attr = { 0 };

		p = &b->points[i];
		if (p->state != POINT_DONE)
			continue;
		if (p->origin && mount_fs_of(p->mnt)->code == IMG__FSTYPE__PROC)
			guard_proc(b, p);
		r = mount_fs_set(p->fd, flags_of(b, p), b->err);
		if (r < 0)
			return error_while(b->err, r, "mount %u at %s", p->mnt->mnt_id,
					   p->mnt->mountpoint);
		if (p->mnt->flags & MS_SHARED)
			attr.propagation = MS_SHARED;
		else if (p->mnt->flags & MS_UNBINDABLE)
			attr.propagation = MS_UNBINDABLE;
		groups |= p->mnt->master_id || (p->mnt->flags & MS_SLAVE);
		if (attr.propagation &&
		    mount_setattr(p->fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
			mount_lose(b, p, GAP_COSMETIC, "its propagation cannot be set");
	}
	if (groups)
		restore_gap(b->rst, GAP_COSMETIC, "mount", 0, "propagation",
			    "mounts that received mounts from others no longer do");
	return 0;
}

static int enter_root(struct builder *b)
{
	if (fchdir(b->root->fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return error_errno(b->err, errno, "cannot make %s the root", b->spec->root);
	/* the old root lies over the new one now; what the sandbox still needs of it is bound */
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return error_errno(b->err, errno, "cannot let go of the host's root");
	return 0;
}

/* The root as a mount of its own, so that it can be pivoted to. */
static int open_root(struct builder *b)
{
	_cleanup_close_ int where = -1, what = -1;

	where = open(b->spec->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (where < 0)
		return error_errno(b->err, errno, "cannot open the root %s", b->spec->root);
	what = open_tree(where, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (what < 0 ||
	    move_mount(what, "", where, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return error_errno(b->err, errno, "cannot mount the root %s", b->spec->root);
	b->root->fd = TAKE_FD(what);
	b->root->state = POINT_DONE;
	b->root->origin = true;
	return 0;
}

static const Img__Mnt *no_mount(struct builder *b);

static int collect(struct builder *b, Img__Mnt **mnts, size_t n)
{
	size_t i;

	b->points =
		arena_array(&b->arena, struct point, n + 1); /* one for a root, if there is none */
	if (!b->points)
		return error_nomem(b->err);
	for (i = 0; i < n; i++) {
		struct point *p = &b->points[b->n];

		*p = (struct point){ .mnt = mnts[i], .fd = -1 };
		if (point_find(b, mnts[i]->mnt_id) || !path_ok(mnts[i]->mountpoint) ||
		    b->n >= POINTS_MAX) {
			mount_lose(b, p, GAP_DEGRADED,
				   "not a mount that can be: doubled, or without a proper path");
			continue;
		}
		b->n++;
	}
	for (i = 0; i < b->n; i++) {
		struct point *p = &b->points[i];

		p->parent = point_find(b, p->mnt->parent_mnt_id);
		if (p->parent == p)
			p->parent = NULL;
		if (!strcmp(p->mnt->mountpoint, "/") && !p->parent && !b->root)
			b->root = p;
	}
	if (!b->root) { /* the process had changed its root to what is no mount point */
		b->root = &b->points[b->n++];
		*b->root = (struct point){ .mnt = no_mount(b), .fd = -1 };
		if (!b->root->mnt)
			return error_nomem(b->err);
	}
	/* what hangs on a mount that was out of the process's sight hangs on the root for it */
	for (i = 0; i < b->n; i++)
		if (!b->points[i].parent && &b->points[i] != b->root)
			b->points[i].parent = b->root;
	return 0;
}

static Img__Mnt *invent(struct builder *b, Img__Fstype fstype, const char *path,
			const char *options, uint32_t id, uint32_t parent, unsigned int flags)
{
	Img__Mnt *m = img_new(b->rst->set, Img__Mnt, mnt);

	if (!m)
		return NULL;
	m->fstype = fstype;
	m->mnt_id = id;
	m->parent_mnt_id = parent;
	m->root_dev = id; /* no two are alike */
	m->flags = flags | MS_RELATIME;
	m->root = arena_strdup(&b->rst->set->arena, "/");
	m->mountpoint = arena_strdup(&b->rst->set->arena, path);
	m->source = arena_strdup(&b->rst->set->arena, "none");
	m->options = arena_strdup(&b->rst->set->arena, options);
	return m->root && m->mountpoint && m->source && m->options ? m : NULL;
}

static const Img__Mnt *no_mount(struct builder *b)
{
	return invent(b, IMG__FSTYPE__UNSUPPORTED, "/", "", UINT32_MAX, 0, 0);
}

/* What a program may expect where the images tell nothing, because it was not in a container. */
static int collect_default(struct builder *b)
{
	const unsigned int safe = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	Img__Mnt *m[] = {
		invent(b, IMG__FSTYPE__UNSUPPORTED, "/", "", 1, 0, 0),
		invent(b, IMG__FSTYPE__PROC, "/proc", "", 2, 1, safe),
		invent(b, IMG__FSTYPE__SYSFS, "/sys", "", 3, 1, safe | MS_RDONLY),
		invent(b, IMG__FSTYPE__DEVTMPFS, "/dev", "", 4, 1, MS_NOSUID),
		invent(b, IMG__FSTYPE__DEVPTS, "/dev/pts", "gid=5,mode=620,ptmxmode=666", 5, 4,
		       MS_NOSUID | MS_NOEXEC),
		invent(b, IMG__FSTYPE__TMPFS, "/dev/shm", "mode=1777", 6, 4, safe),
		invent(b, IMG__FSTYPE__MQUEUE, "/dev/mqueue", "", 7, 4, safe),
	};
	size_t i;

	b->invented = true;
	for (i = 0; i < ARRAY_SIZE(m); i++)
		if (!m[i])
			return error_nomem(b->err);
	return collect(b, m, ARRAY_SIZE(m));
}

static int table_new(struct builder *b)
{
	struct mount_table *table;
	size_t i;

	table = arena_alloc(&b->rst->set->arena, sizeof(*table) + b->n * sizeof(table->rows[0]));
	if (!table)
		return error_nomem(b->err);
	for (i = 0; i < b->n && !b->invented; i++) {
		if (b->points[i].state != POINT_DONE)
			continue;
		table->rows[table->n].id = b->points[i].mnt->mnt_id;
		table->rows[table->n++].path = b->points[i].mnt->mountpoint;
	}
	b->rst->mounts = table;
	return 0;
}

const char *mount_restored_path(const struct restore *rst, uint32_t mnt_id)
{
	const struct mount_table *table = rst->mounts;
	size_t i;

	for (i = 0; table && i < table->n; i++)
		if (table->rows[i].id == mnt_id)
			return table->rows[i].path;
	return NULL;
}

static void builder_deinit(struct builder *b)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		if (b->points[i].fd >= 0)
			close(b->points[i].fd);
	arena_deinit(&b->arena);
}

int mount_restore(struct restore *rst, const struct sandbox_spec *spec, uint32_t id,
		  struct error *err)
{
	_cleanup_(builder_deinit) struct builder b = { .rst = rst, .spec = spec, .err = err };
	struct image *image = id ? image_find(rst->set, IMAGE_MOUNTPOINTS, id) : NULL;
	_cleanup_close_ int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ Img__Mnt **mnts = NULL;
	size_t i;
	int r;

	if (self < 0 || proc_mountinfo_read(self, &b.arena, &b.host, NULL) < 0)
		b.host = (struct proc_mounts){ 0 };
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_errno(err, errno, "cannot make the sandbox's mounts private");
	if (image && image->n_entries) {
		mnts = calloc(image->n_entries, sizeof(*mnts));
		if (!mnts)
			return error_nomem(err);
		for (i = 0; i < image->n_entries; i++)
			mnts[i] = image_message(image, i);
		r = collect(&b, mnts, image->n_entries);
	} else {
		r = collect_default(&b);
	}
	if (r >= 0)
		r = open_root(&b);
	if (r >= 0)
		r = build(&b);
	if (r >= 0)
		r = enter_root(&b);
	if (r >= 0)
		r = finish(&b);
	return r < 0 ? r : table_new(&b);
}
