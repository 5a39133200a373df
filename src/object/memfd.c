// SPDX-License-Identifier: Apache-2.0
/*
 * memfd: files in memory, both directions.
 *
 * The inode is an image entry of its own (memfd.img), its content is dumped by memory/ like other
 * shared memory. Seals are set when all descriptions are open: they would stand in the way before.
 */
#include "object/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#include "object/fd-capture.h"
#include "object/fd-kinds.h"
#include "object/fown.h"
#include "object/shmem.h"

#define MEMFD_PREFIX "/memfd:"
#define DELETED	     " (deleted)"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

/* The device of the kernel's own, unmounted tmpfs; a real file may be called "/memfd:x" too. */
static dev_t memfd_device(void)
{
	_cleanup_close_ int fd = memfd_create("amber", MFD_CLOEXEC);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 ? st.st_dev : 0;
}

bool memfd_match(const struct fd_facts *facts)
{
	struct statfs fs;

	if (!S_ISREG(facts->st.st_mode) ||
	    strncmp(facts->link, MEMFD_PREFIX, strlen(MEMFD_PREFIX)) != 0)
		return false;
	if (facts->st.st_dev == memfd_device())
		return true;
	return facts->st.st_nlink == 0 && fstatfs(facts->dup, &fs) == 0 &&
	       fs.f_type == HUGETLBFS_MAGIC;
}

static char *memfd_name(struct image_set *set, const char *link)
{
	size_t len, cut = strlen(DELETED);

	link += strlen(MEMFD_PREFIX);
	len = strlen(link);
	if (len >= cut && strcmp(link + len - cut, DELETED) == 0)
		len -= cut;
	return arena_memdup(&set->arena, link, len);
}

static Img__MemfdInode *inode_find(const struct image_set *set, uint32_t ino, uint64_t inode_id)
{
	const struct image *image = image_find(set, IMAGE_MEMFD, 0);
	size_t i;

	for (i = 0; image && i < image->n_entries; i++) {
		Img__MemfdInode *inode = image_message(image, i);

		if (inode && (inode_id ? inode->inode_id == inode_id : inode->shmid == ino))
			return inode;
	}
	return NULL;
}

static int inode_capture(struct capture *cap, const struct fd_facts *facts, Img__MemfdInode **ret,
			 struct error *err)
{
	Img__MemfdInode *inode;
	struct statfs fs;
	int seals, r;

	*ret = inode_find(cap->set, facts->st.st_ino, 0);
	if (*ret)
		return 0;
	inode = img_new(cap->set, Img__MemfdInode, memfd_inode);
	if (!inode)
		return error_nomem(err);
	inode->name = memfd_name(cap->set, facts->link);
	if (!inode->name)
		return error_nomem(err);
	inode->inode_id = capture_next_id(cap);
	inode->uid = facts->st.st_uid;
	inode->gid = facts->st.st_gid;
	inode->has_mode = true;
	inode->mode = facts->st.st_mode;
	inode->size = facts->st.st_size;
	inode->shmid = facts->st.st_ino;
	seals = fcntl(facts->dup, F_GET_SEALS);
	inode->seals = seals < 0 ? F_SEAL_SEAL : seals;
	if (fstatfs(facts->dup, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC) {
		inode->has_hugetlb_flag = true;
		inode->hugetlb_flag = MFD_HUGETLB | (__builtin_ctzl(fs.f_bsize) << MAP_HUGE_SHIFT);
	}
	if (inode->size) {
		r = shmem_add(cap->shmem, inode->shmid, inode->size, facts->dup, err);
		if (r < 0)
			return r;
	}
	*ret = inode;
	return image_add(cap->set, IMAGE_MEMFD, 0, &inode->base, (struct bytes){ 0 }, err);
}

int memfd_capture(struct capture *cap, const struct fd_facts *facts, Img__FileEntry *entry,
		  struct error *err)
{
	Img__MemfdFile *memfd = img_new(cap->set, Img__MemfdFile, memfd_file);
	Img__MemfdInode *inode;
	int r;

	if (!memfd)
		return error_nomem(err);
	r = inode_capture(cap, facts, &inode, err);
	if (r < 0)
		return r;
	memfd->id = facts->id;
	memfd->flags = facts->flags & ~O_CLOEXEC;
	memfd->pos = facts->pos;
	memfd->inode_id = inode->inode_id;
	entry->memfd = memfd;
	return fown_capture(cap, facts, &memfd->fown, err);
}

/* Another description of the same memory that is open already, or -1. */
static int memfd_find_open(struct restore *rst, const Img__MemfdFile *memfd)
{
	size_t i;

	for (i = 0; i < rst->n_files; i++) {
		const struct restore_file *file = &rst->files[i];

		if (file->entry->memfd && file->entry->memfd != memfd &&
		    file->entry->memfd->inode_id == memfd->inode_id && file->fd >= 0)
			return file->fd;
	}
	return -1;
}

static int memfd_make(struct restore *rst, const Img__MemfdInode *inode, struct error *err)
{
	unsigned flags = MFD_CLOEXEC | (inode->seals == F_SEAL_SEAL ? 0 : MFD_ALLOW_SEALING);
	_cleanup_close_ int fd = -1;
	int r;

	if (inode->has_hugetlb_flag)
		flags |= inode->hugetlb_flag;
	fd = memfd_create(inode->name, flags);
	if (fd < 0)
		return error_errno(err, errno, "cannot make memfd \"%s\"", inode->name);
	r = shmem_fill(rst, inode->shmid, inode->size, fd, err);
	if (r < 0)
		return error_while(err, r, "restoring memfd \"%s\"", inode->name);
	if (fchown(fd, inode->uid, inode->gid) < 0 ||
	    (inode->has_mode && fchmod(fd, inode->mode & 07777) < 0))
		return error_errno(err, errno, "cannot set owner and mode of memfd \"%s\"",
				   inode->name);
	return TAKE_FD(fd);
}

static int memfd_open(struct restore *rst, Img__FileEntry *entry, int *ret_fd, struct error *err)
{
	const Img__MemfdFile *memfd = entry->memfd;
	_cleanup_close_ int made = -1, fd = -1;
	const Img__MemfdInode *inode;
	int other, r;

	inode = memfd ? inode_find(rst->set, 0, memfd->inode_id) : NULL;
	if (!inode)
		return error_set(err, ERROR_INPUT, EBADMSG, "memfd %u has no memory in the images",
				 entry->id);
	other = memfd_find_open(rst, memfd);
	if (other < 0) {
		made = memfd_make(rst, inode, err);
		if (made < 0)
			return made;
	}
	if (made >= 0 && (memfd->flags & O_ACCMODE) == O_RDWR) {
		/* The first description itself: execveat() wants that nobody else can write. */
		fd = TAKE_FD(made);
	} else {
		char path[32];

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", made >= 0 ? made : other);
		fd = open(path, (memfd->flags & ~(O_CREAT | O_EXCL | O_TRUNC)) | O_CLOEXEC);
		if (fd < 0)
			return error_errno(err, errno, "cannot open memfd \"%s\" again",
					   inode->name);
	}
	r = file_params_restore(fd, memfd->flags, memfd->fown, err);
	if (r < 0)
		return r;
	if (!(memfd->flags & O_PATH) && lseek(fd, memfd->pos, SEEK_SET) < 0)
		return error_errno(err, errno, "cannot set the position of memfd \"%s\"",
				   inode->name);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* All descriptions are open; mappings are not made yet. */
static int memfd_connect(struct restore *rst, Img__FileEntry *entry, int fd, struct error *err)
{
	const Img__MemfdInode *inode = inode_find(rst->set, 0, entry->memfd->inode_id);
	int now = fcntl(fd, F_GET_SEALS), seals;

	if (now < 0 || (now & (int)inode->seals) == (int)inode->seals)
		return 0;
	seals = inode->seals;
	if (seals & F_SEAL_FUTURE_WRITE) {
		/* It lets mappings be that could not be made again. */
		seals &= ~(F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
		restore_gap(rst, GAP_DEGRADED, "memfd", 0, inode->name,
			    "is not sealed against future writes: its writable mappings could not "
			    "be made then");
	}
	if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
		return 0; /* left to a description that may write */
	if (fcntl(fd, F_ADD_SEALS, seals) < 0)
		restore_gap(rst, GAP_DEGRADED, "memfd", 0, inode->name, "cannot be sealed: %s",
			    strerror(errno));
	return 0;
}

static int memfd_attach(struct restore *rst, struct restore_task *task, Img__FileEntry *entry,
			int fd, struct error *err)
{
	return fown_attach(rst, task, entry->memfd->fown, fd, err);
}

const struct fd_kind memfd_kind = {
	.name = "memfd",
	.type = IMG__FD_TYPES__MEMFD,
	.match = memfd_match,
	.capture = memfd_capture,
	.open = memfd_open,
	.connect = memfd_connect,
	.attach = memfd_attach,
};
