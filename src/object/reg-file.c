// SPDX-License-Identifier: Apache-2.0
/*
 * reg-file: files, directories and devices that are reached by a path, both directions.
 *
 * The name is what the kernel says it is, checked against what stands there: a name that leads to
 * another inode, or to none, makes the file a ghost. Nothing is opened for it in the stop but the
 * content of ghosts.
 */
#include "object/reg-file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "base/fd.h"
#include "kernel/proc.h"
#include "object/fd-capture.h"
#include "object/file-facts.h"
#include "object/file-index.h"
#include "object/fown.h"
#include "object/ghost.h"
#include "object/memfd.h"
#include "object/mount.h"

#define DELETED " (deleted)"

#define MAJOR_MEM 1 /* null, zero, full, random: no state behind the descriptor */

/* O_TMPFILE without the O_DIRECTORY that it includes. */
#define TMPFILE_BIT (O_TMPFILE & ~O_DIRECTORY)

static bool reg_match(const struct fd_facts *facts)
{
	mode_t mode = facts->st.st_mode;

	if (facts->link[0] != '/')
		return false;
	if (S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISBLK(mode) || S_ISCHR(mode))
		return true;
	/* The name of a socket or FIFO, without the thing itself. */
	return facts->flags & O_PATH;
}

/* Where does this name lead in the container? */
static bool name_leads_to(struct capture *cap, const char *name, const struct stat *want)
{
	struct stat st;

	if (fstatat(cap->root_dir, name[1] ? name + 1 : ".", &st,
		    AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
		return false;
	return st.st_dev == want->st_dev && st.st_ino == want->st_ino;
}

static char *name_without_deleted(struct image_set *set, const char *name)
{
	size_t len = strlen(name), cut = strlen(DELETED);

	if (len > cut && strcmp(name + len - cut, DELETED) == 0)
		len -= cut;
	return arena_memdup(&set->arena, name, len);
}

/* /proc/<pid>/... of a process that is gone: stock CRIU puts a helper in its place for the moment.
 */
static int proc_name_capture(struct capture *cap, Img__RegFile *reg, struct error *err)
{
	Img__RemapFilePath *remap;
	long pid = 0;

	if (sscanf(reg->name, "/proc/%ld", &pid) != 1 || pid <= 0 || task_find_ns(cap->tree, pid))
		return 0;
	remap = img_new(cap->set, Img__RemapFilePath, remap_file_path);
	if (!remap)
		return error_nomem(err);
	remap->orig_id = reg->id;
	remap->remap_id = pid;
	remap->has_remap_type = true;
	remap->remap_type = IMG__REMAP_TYPE__PROCFS;
	return image_add(cap->set, IMAGE_REMAP_FPATH, 0, &remap->base, (struct bytes){ 0 }, err);
}

/* The name of an entry, and a ghost where the name no longer leads to the file. */
static int name_capture(struct capture *cap, const struct fd_facts *facts, Img__RegFile *reg,
			bool *ret_ghost, struct error *err)
{
	const struct stat *st = &facts->st;
	struct statfs fs = { 0 };
	const char *name;
	int r;

	*ret_ghost = false;
	r = file_index_path(cap, facts->link, &name, err);
	if (r < 0)
		return r;
	if (!name || (facts->mnt_id > 0 && cap->mounts && !mount_index_find(cap, facts->mnt_id)))
		return fd_gap(cap, facts, GAP_DEGRADED, "file", CAPTURE_GAP, err,
			      "it lies outside of the container's mounts");
	(void)fstatfs(facts->dup, &fs);
	reg->name = st->st_nlink == 0 || fs.f_type == PROC_SUPER_MAGIC ||
				    fs.f_type == DEVPTS_SUPER_MAGIC
			    ? name_without_deleted(cap->set, name)
			    : arena_strdup(&cap->set->arena, name);
	if (!reg->name)
		return error_nomem(err);
	if (fs.f_type == PROC_SUPER_MAGIC)
		return proc_name_capture(cap, reg, err);
	if (fs.f_type == DEVPTS_SUPER_MAGIC)
		return 0; /* made by the kernel, never a ghost */
	if (st->st_nlink > 0 && name_leads_to(cap, reg->name, st))
		return 0;

	if (st->st_nlink > 0) {
		reg->name = name_without_deleted(cap->set, name);
		if (!reg->name)
			return error_nomem(err);
		if (!S_ISREG(st->st_mode))
			return fd_gap(cap, facts, GAP_DEGRADED, "file", CAPTURE_GAP, err,
				      "its name leads elsewhere in the container");
		r = fd_gap(cap, facts, GAP_COSMETIC, "file", 0, err,
			   "the name is gone or another file's, but the inode has %lu other names; "
			   "restored as an unnamed copy of its own",
			   (unsigned long)st->st_nlink);
		if (r < 0)
			return r;
	}
	*ret_ghost = true;
	return ghost_capture(cap, facts, reg->id, err);
}

/* A driver's state behind a device cannot be seen from here. */
static int device_note(struct capture *cap, const struct fd_facts *facts, struct error *err)
{
	const struct stat *st = &facts->st;

	if (facts->flags & O_PATH || (!S_ISCHR(st->st_mode) && !S_ISBLK(st->st_mode)))
		return 0;
	if (S_ISCHR(st->st_mode) && major(st->st_rdev) == MAJOR_MEM)
		return 0;
	return fd_gap(cap, facts, GAP_DEGRADED, "device", 0, err,
		      "device %u:%u is opened anew by a restore; what its driver knew of this "
		      "descriptor is lost",
		      major(st->st_rdev), minor(st->st_rdev));
}

static int reg_fill(struct capture *cap, const struct fd_facts *facts, Img__RegFile *reg,
		    struct error *err)
{
	const struct stat *st = &facts->st;
	bool writable = !(facts->flags & O_PATH) && (facts->flags & O_ACCMODE) != O_RDONLY;
	bool ghost;
	int r;

	reg->id = facts->id;
	reg->flags = facts->flags & ~O_CLOEXEC;
	reg->pos = facts->pos;
	r = fown_capture(cap, facts, &reg->fown, err);
	if (r < 0)
		return r;
	r = name_capture(cap, facts, reg, &ghost, err);
	if (r)
		return r;
	/* Mounts are named only where the images hold them: CRIU looks every one up. */
	if (facts->mnt_id >= 0 && !cap->ns[NS_MNT].own) {
		reg->has_mnt_id = true;
		reg->mnt_id = facts->mnt_id;
	}
	reg->has_mode = true;
	reg->mode = st->st_mode;
	/* A file that the program may write to has grown, maybe, by the time the rootfs is copied;
	 * stock CRIU would then refuse the whole restore for the difference. */
	if (S_ISREG(st->st_mode) && !writable) {
		reg->has_size = true;
		reg->size = st->st_size;
	}
	if (S_ISREG(st->st_mode) && cap->facts) {
		r = file_facts_add(cap->facts, st, reg->name, facts->flags, facts->fd < 0, ghost,
				   ghost ? NULL : reg, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int reg_capture_name(struct capture *cap, const struct fd_facts *facts,
			    Img__FileEntry *entry, struct error *err)
{
	entry->reg = img_new(cap->set, Img__RegFile, reg_file);
	if (!entry->reg)
		return error_nomem(err);
	return reg_fill(cap, facts, entry->reg, err);
}

static int reg_capture(struct capture *cap, const struct fd_facts *facts, Img__FileEntry *entry,
		       struct error *err)
{
	int r = reg_capture_name(cap, facts, entry, err);

	return r ? r : device_note(cap, facts, err);
}

int reg_file_capture_facts(struct capture *cap, const struct fd_facts *facts, uint32_t *ret_id,
			   struct error *err)
{
	struct fd_facts own = *facts;
	Img__FileEntry *entry;
	int r;

	own.id = capture_next_id(cap);
	entry = img_new(cap->set, Img__FileEntry, file_entry);
	if (!entry)
		return error_nomem(err);
	entry->type = IMG__FD_TYPES__REG;
	entry->id = own.id;
	r = reg_capture_name(cap, &own, entry, err);
	if (r)
		return r;
	*ret_id = own.id;
	return file_index_add(cap, entry, err);
}

static int32_t mount_of(int fd)
{
	struct statx sx;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &sx) < 0 ||
	    !(sx.stx_mask & STATX_MNT_ID))
		return -1;
	return sx.stx_mnt_id;
}

int reg_file_capture(struct capture *cap, struct task *task, int procfd, const char *link,
		     uint32_t flags, uint32_t *ret_id, struct error *err)
{
	_cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
	_cleanup_close_ int fd = -1;
	struct fd_facts facts = { .task = task, .fd = -1, .flags = flags };
	Img__FileEntry *entry;
	int r;

	r = proc_readlink(procfd, link, &arena, &facts.link, err);
	if (r < 0)
		return r;
	fd = openat(procfd, link, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &facts.st) < 0)
		return error_errno(err, errno, "cannot look at %s of process %d", link,
				   (int)task->pid);
	facts.dup = fd;
	facts.mnt_id = mount_of(fd);

	r = file_index_find_path(cap, &facts, &facts.id, err);
	if (r < 0)
		return r;
	if (r == 1) {
		*ret_id = facts.id;
		return file_captured(cap, facts.id) ? 0 : CAPTURE_GAP;
	}
	if (!reg_match(&facts))
		return fd_gap(cap, &facts, GAP_DEGRADED, "file", CAPTURE_GAP, err,
			      "it has no path");
	entry = img_new(cap->set, Img__FileEntry, file_entry);
	if (!entry)
		return error_nomem(err);
	entry->id = facts.id;
	if (memfd_match(&facts)) {
		entry->type = IMG__FD_TYPES__MEMFD;
		r = memfd_capture(cap, &facts, entry, err);
	} else {
		entry->type = IMG__FD_TYPES__REG;
		r = reg_capture_name(cap, &facts, entry, err);
	}
	if (r)
		return r;
	*ret_id = facts.id;
	return file_index_add(cap, entry, err);
}

/* What open() may be told of an image's flags. */
static int open_flags(const Img__RegFile *reg)
{
	int flags = reg->flags & ~(O_CREAT | O_EXCL | O_TRUNC | TMPFILE_BIT);

	if (reg->flags & TMPFILE_BIT)
		flags &= ~O_DIRECTORY;
	return flags | O_NOCTTY | O_CLOEXEC;
}

static int open_named(struct restore *rst, const Img__RegFile *reg, int *ret_fd)
{
	int flags = open_flags(reg);
	int fd = open(reg->name, flags);

	if (fd < 0 && errno == EINVAL && flags & O_DIRECT) {
		fd = open(reg->name, flags & ~O_DIRECT);
		if (fd >= 0)
			restore_gap(rst, GAP_COSMETIC, "file", 0, reg->name,
				    "the sandbox's file system has no O_DIRECT");
	}
	if (fd < 0) {
		int r = -errno;

		restore_gap(rst, GAP_DEGRADED, "file", 0, reg->name, "cannot be opened: %s",
			    strerror(-r));
		return RESTORE_GAP;
	}
	*ret_fd = fd;
	return 0;
}

/* Is it the file of the checkpoint? What differs is noted; another kind of file is not handed out.
 */
static int reg_validate(struct restore *rst, const Img__RegFile *reg, int fd, bool ghost)
{
	unsigned char head[65536], id[FILE_FACTS_BUILD_ID_MAX];
	_cleanup_close_ int own = -1;
	char path[32];
	struct stat st;
	ssize_t n;
	size_t len;

	if (fstat(fd, &st) < 0)
		return 0;
	if (reg->has_mode && (st.st_mode & S_IFMT) != (reg->mode & S_IFMT)) {
		restore_gap(rst, GAP_DEGRADED, "file", 0, reg->name,
			    "is another kind of file here (mode 0%o, was 0%o)", st.st_mode,
			    reg->mode);
		return RESTORE_GAP;
	}
	if (reg->has_mode && st.st_mode != reg->mode)
		restore_gap(rst, GAP_COSMETIC, "file", 0, reg->name, "has mode 0%o, had 0%o",
			    st.st_mode, reg->mode);
	if (!S_ISREG(st.st_mode) || ghost)
		return 0;
	if (reg->has_size && (uint64_t)st.st_size != reg->size)
		restore_gap(rst, GAP_DEGRADED, "file", 0, reg->name,
			    "has %llu bytes, had %llu at the checkpoint",
			    (unsigned long long)st.st_size, (unsigned long long)reg->size);
	if (!reg->n_build_id)
		return 0;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_RDONLY | O_CLOEXEC);
	n = own < 0 ? -1 : pread(own, head, sizeof(head), 0);
	if (n <= 0)
		return 0;
	len = elf_build_id((struct bytes){ head, n }, id, sizeof(id));
	if (len && ((len + 3) / 4 != reg->n_build_id || memcmp(reg->build_id, id, len) != 0))
		restore_gap(rst, GAP_DEGRADED, "file", 0, reg->name,
			    "is another build (build-id differs)");
	return 0;
}

int reg_file_open(struct restore *rst, const Img__RegFile *reg, int *ret_fd, struct error *err)
{
	const Img__RemapFilePath *remap = ghost_of(rst->set, reg->id);
	bool ghost = remap && remap->remap_type == IMG__REMAP_TYPE__GHOST;
	_cleanup_close_ int fd = -1;
	int r;

	if (ghost)
		r = ghost_open(rst, reg, remap, open_flags(reg), &fd, err);
	else if (remap && remap->has_remap_type && remap->remap_type == IMG__REMAP_TYPE__LINKED)
		r = linked_open(rst, reg, remap, open_flags(reg), &fd, err);
	else
		r = open_named(rst, reg, &fd);
	if (r)
		return r;
	r = reg_validate(rst, reg, fd, ghost);
	if (r)
		return r;
	if (!(reg->flags & O_PATH) && reg->pos && reg->pos != UINT64_MAX &&
	    lseek(fd, reg->pos, SEEK_SET) < 0)
		restore_gap(rst, GAP_DEGRADED, "file", 0, reg->name,
			    "its position %llu cannot be set: %s", (unsigned long long)reg->pos,
			    strerror(errno));
	if (!(reg->flags & O_PATH)) {
		r = file_params_restore(fd, reg->flags, reg->fown, err);
		if (r < 0)
			return error_while(err, r, "restoring %s", reg->name);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Below /proc/<pid> of a task that is not born when descriptions are opened? */
static bool waits_for_task(struct restore *rst, const Img__RegFile *reg)
{
	long pid = 0;

	return sscanf(reg->name, "/proc/%ld", &pid) == 1 && restore_task_find(rst, pid) &&
	       access(reg->name, F_OK) < 0;
}

/* The name of a FIFO or terminal: an entry that no descriptor points at, for its kind to open. */
static bool is_name_of_other(struct restore *rst, const Img__FileEntry *entry)
{
	size_t i;

	if (entry->reg->flags & O_PATH)
		return false;
	if (entry->reg->has_mode && S_ISFIFO(entry->reg->mode))
		return true;
	if (entry->reg->has_mode && !S_ISCHR(entry->reg->mode))
		return false;
	for (i = 0; i < rst->n_files; i++) {
		const Img__FileEntry *other = rst->files[i].entry;

		if (other->fifo && other->fifo->regf_id == entry->id)
			return true;
		if (other->tty && other->tty->regf_id == entry->id)
			return true;
	}
	return false;
}

static int reg_open(struct restore *rst, Img__FileEntry *entry, int *ret_fd, struct error *err)
{
	if (!entry->reg) {
		restore_gap(rst, GAP_DEGRADED, "file", 0, "files image",
			    "entry %u has no file in it", entry->id);
		return RESTORE_GAP;
	}
	if (is_name_of_other(rst, entry) || waits_for_task(rst, entry->reg)) {
		/* A place holder; attach() replaces it where a descriptor points at it. */
		*ret_fd = open("/proc", O_PATH | O_CLOEXEC);
		if (*ret_fd >= 0)
			return 0;
	}
	return reg_file_open(rst, entry->reg, ret_fd, err);
}

static int reg_attach(struct restore *rst, struct restore_task *task, Img__FileEntry *entry, int fd,
		      struct error *err)
{
	const Img__RegFile *reg = entry->reg;
	_cleanup_close_ int real = -1;
	int r, flags;

	flags = fcntl(fd, F_GETFL);
	if (flags >= 0 && flags & O_PATH && !(reg->flags & O_PATH)) {
		r = reg_file_open(rst, reg, &real, err);
		if (r)
			return r;
		r = restore_file_replace(task, entry->id, real, err);
		if (r < 0)
			return error_while(err, r, "opening %s", reg->name);
	}
	return fown_attach(rst, task, reg->fown, fd, err);
}

const struct fd_kind reg_file_kind = {
	.name = "file",
	.type = IMG__FD_TYPES__REG,
	.match = reg_match,
	.capture = reg_capture,
	.open = reg_open,
	.attach = reg_attach,
};
