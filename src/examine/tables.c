// SPDX-License-Identifier: Apache-2.0
/*
 * tables: examine_load(): the images, and who belongs to whom: tasks with their images,
 * descriptors with their open files.
 *
 * Ids come from hostile images: doubles, loops and dangling ids are allowed in the tables and hurt
 * nobody.
 */
#include "examine/examine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define IMAGES "checkpoint/"

/* Where the message of each type is: in a FileEntry, or in an image of its own (older sets). */
static const struct {
	Img__FdTypes type;
	size_t offset;
	enum image_kind kind; /* IMAGE_KIND_COUNT = there never was one */
} layouts[] = {
	{ IMG__FD_TYPES__REG, offsetof(Img__FileEntry, reg), IMAGE_REG_FILES },
	{ IMG__FD_TYPES__PIPE, offsetof(Img__FileEntry, pipe), IMAGE_PIPES },
	{ IMG__FD_TYPES__FIFO, offsetof(Img__FileEntry, fifo), IMAGE_FIFO },
	{ IMG__FD_TYPES__INETSK, offsetof(Img__FileEntry, isk), IMAGE_INETSK },
	{ IMG__FD_TYPES__UNIXSK, offsetof(Img__FileEntry, usk), IMAGE_UNIXSK },
	{ IMG__FD_TYPES__EVENTFD, offsetof(Img__FileEntry, efd), IMAGE_EVENTFD_FILE },
	{ IMG__FD_TYPES__EVENTPOLL, offsetof(Img__FileEntry, epfd), IMAGE_EVENTPOLL_FILE },
	{ IMG__FD_TYPES__INOTIFY, offsetof(Img__FileEntry, ify), IMAGE_INOTIFY_FILE },
	{ IMG__FD_TYPES__SIGNALFD, offsetof(Img__FileEntry, sgfd), IMAGE_SIGNALFD },
	{ IMG__FD_TYPES__PACKETSK, offsetof(Img__FileEntry, psk), IMAGE_PACKETSK },
	{ IMG__FD_TYPES__TTY, offsetof(Img__FileEntry, tty), IMAGE_TTY_FILES },
	{ IMG__FD_TYPES__FANOTIFY, offsetof(Img__FileEntry, ffy), IMAGE_FANOTIFY_FILE },
	{ IMG__FD_TYPES__NETLINKSK, offsetof(Img__FileEntry, nlsk), IMAGE_NETLINKSK },
	{ IMG__FD_TYPES__NS, offsetof(Img__FileEntry, nsf), IMAGE_NS_FILES },
	{ IMG__FD_TYPES__TUNF, offsetof(Img__FileEntry, tunf), IMAGE_TUNFILE },
	{ IMG__FD_TYPES__EXT, offsetof(Img__FileEntry, ext), IMAGE_EXT_FILES },
	{ IMG__FD_TYPES__TIMERFD, offsetof(Img__FileEntry, tfd), IMAGE_TIMERFD },
	{ IMG__FD_TYPES__MEMFD, offsetof(Img__FileEntry, memfd), IMAGE_KIND_COUNT },
	{ IMG__FD_TYPES__BPFMAP, offsetof(Img__FileEntry, bpf), IMAGE_BPFMAP_FILE },
	{ IMG__FD_TYPES__PIDFD, offsetof(Img__FileEntry, pidfd), IMAGE_KIND_COUNT },
};

const Img__Fdinfo *examine_fdinfo(const struct examine_task *task, size_t i)
{
	return task->fdinfo ? image_message(task->fdinfo, i) : NULL;
}

static int compare_ids(const void *a, const void *b)
{
	const struct examine_file *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static struct examine_file *find(const struct examine *x, uint32_t id)
{
	const struct examine_file key = { .id = id };

	return x->n_files ? bsearch(&key, x->files, x->n_files, sizeof(key), compare_ids) : NULL;
}

const struct examine_file *examine_file_find(const struct examine *x, uint32_t id)
{
	return find(x, id);
}

const char *examine_file_path(const struct examine *x, uint32_t id)
{
	const struct examine_file *file = find(x, id);

	if (!file || file->type != IMG__FD_TYPES__REG)
		return NULL;
	return ((const Img__RegFile *)file->msg)->name;
}

static uint32_t unix_inode(const struct examine_file *file)
{
	return ((const Img__UnixSk *)file->msg)->ino;
}

static int compare_inodes(const void *a, const void *b)
{
	uint32_t x = unix_inode(*(const struct examine_file *const *)a),
		 y = unix_inode(*(const struct examine_file *const *)b);

	return (x > y) - (x < y);
}

const struct examine_file *examine_file_by_inode(const struct examine *x, uint32_t ino)
{
	size_t low = 0, high = x->n_by_inode, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (unix_inode(x->by_inode[mid]) < ino)
			low = mid + 1;
		else
			high = mid;
	}
	return low < x->n_by_inode && unix_inode(x->by_inode[low]) == ino ? x->by_inode[low] : NULL;
}

static int add_file(struct examine *x, Img__FdTypes type, uint32_t id, const ProtobufCMessage *msg,
		    struct error *err)
{
	struct examine_file *grown = arena_grow(&x->arena, x->files, x->n_files, sizeof(*grown));

	if (!grown)
		return error_nomem(err);
	x->files = grown;
	x->files[x->n_files++] = (struct examine_file){ .id = id, .type = type, .msg = msg };
	return 0;
}

/* Every message of an open file has its id as field 1. */
static uint32_t message_id(const ProtobufCMessage *msg)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field(msg->descriptor, 1);

	return f && f->type == PROTOBUF_C_TYPE_UINT32
		       ? *(const uint32_t *)((const char *)msg + f->offset)
		       : 0;
}

static int add_entries(struct examine *x, const struct image *image, struct error *err)
{
	const ProtobufCMessage *msg;
	const Img__FileEntry *e;
	size_t i, j;
	int r = 0;

	for (i = 0; r == 0 && i < image->n_entries; i++) {
		e = image_message(image, i);
		for (j = 0; e && j < ARRAY_SIZE(layouts) && layouts[j].type != e->type; j++)
			;
		if (!e || j == ARRAY_SIZE(layouts))
			continue;
		msg = *(ProtobufCMessage *const *)((const char *)e + layouts[j].offset);
		if (msg)
			r = add_file(x, e->type, e->id, msg, err);
		else
			r = examine_problem(x, "files.img", err, "the open file %u says nothing",
					    e->id);
	}
	return r;
}

static int make_files(struct examine *x, struct error *err)
{
	const struct image *image = image_find(&x->set, IMAGE_FILES, 0);
	const ProtobufCMessage *msg;
	size_t i, j;
	int r = 0;

	if (image)
		r = add_entries(x, image, err);
	for (i = 0; r == 0 && i < ARRAY_SIZE(layouts); i++) {
		image = layouts[i].kind == IMAGE_KIND_COUNT
				? NULL
				: image_find(&x->set, layouts[i].kind, 0);
		for (j = 0; image && r == 0 && j < image->n_entries; j++) {
			msg = image_message(image, j);
			if (msg)
				r = add_file(x, layouts[i].type, message_id(msg), msg, err);
		}
	}
	if (x->n_files)
		qsort(x->files, x->n_files, sizeof(*x->files), compare_ids);
	return r;
}

static int make_inodes(struct examine *x, struct error *err)
{
	size_t i;

	x->by_inode = arena_array(&x->arena, const struct examine_file *, x->n_files + 1);
	if (!x->by_inode)
		return error_nomem(err);
	for (i = 0; i < x->n_files; i++)
		if (x->files[i].type == IMG__FD_TYPES__UNIXSK)
			x->by_inode[x->n_by_inode++] = &x->files[i];
	qsort(x->by_inode, x->n_by_inode, sizeof(*x->by_inode), compare_inodes);
	return 0;
}

struct pipe_bytes {
	uint32_t id, bytes;
};

static int compare_pipes(const void *a, const void *b)
{
	const struct pipe_bytes *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* Data is kept by the pipe's id, which several open files share. */
static int note_pipe_data(struct examine *x, enum image_kind kind, Img__FdTypes type,
			  struct error *err)
{
	const struct image *image = image_find(&x->set, kind, 0);
	struct pipe_bytes *pipes, *found, key = { 0 };
	const Img__PipeData *d;
	size_t i, n = 0;

	if (!image)
		return 0;
	pipes = arena_array(&x->arena, struct pipe_bytes, image->n_entries + 1);
	if (!pipes)
		return error_nomem(err);
	for (i = 0; i < image->n_entries; i++) {
		d = image_message(image, i);
		if (d)
			pipes[n++] = (struct pipe_bytes){ d->pipe_id, d->bytes };
	}
	qsort(pipes, n, sizeof(*pipes), compare_pipes);
	for (i = 0; i < x->n_files; i++) {
		if (x->files[i].type != type)
			continue;
		key.id = type == IMG__FD_TYPES__PIPE
				 ? ((const Img__Pipe *)x->files[i].msg)->pipe_id
				 : ((const Img__Fifo *)x->files[i].msg)->pipe_id;
		found = bsearch(&key, pipes, n, sizeof(*pipes), compare_pipes);
		if (found)
			x->files[i].queue_bytes = found->bytes;
	}
	return 0;
}

static int note_queues(struct examine *x, struct error *err)
{
	const struct image *image = image_find(&x->set, IMAGE_SK_QUEUES, 0);
	const Img__RemapFilePath *remap;
	const Img__SkPacket *packet;
	struct examine_file *file;
	size_t i;
	int r;

	for (i = 0; image && i < image->n_entries; i++) {
		packet = image_message(image, i);
		file = packet ? find(x, packet->id_for) : NULL;
		if (!file)
			continue;
		file->queue_bytes += packet->length;
		file->queue_packets++;
	}
	image = image_find(&x->set, IMAGE_REMAP_FPATH, 0);
	for (i = 0; image && i < image->n_entries; i++) {
		remap = image_message(image, i);
		file = remap ? find(x, remap->orig_id) : NULL;
		if (file)
			file->deleted = true;
	}
	r = note_pipe_data(x, IMAGE_PIPES_DATA, IMG__FD_TYPES__PIPE, err);
	return r < 0 ? r : note_pipe_data(x, IMAGE_FIFO_DATA, IMG__FD_TYPES__FIFO, err);
}

static int make_task(struct examine *x, const Img__Pstree *node, struct examine_task *ret,
		     struct error *err)
{
	const Img__Core *core = image_single(&x->set, IMAGE_CORE, node->pid);
	uint32_t files_id;
	int r = 0;

	ret->node = node;
	ret->core = core;
	ret->ids = image_single(&x->set, IMAGE_IDS, node->pid);
	if (!ret->ids && core)
		ret->ids = core->ids;
	ret->mm = image_single(&x->set, IMAGE_MM, node->pid);
	ret->fs = image_single(&x->set, IMAGE_FS, node->pid);
	files_id = ret->ids ? ret->ids->files_id : node->pid;
	ret->fdinfo = image_find(&x->set, IMAGE_FDINFO, files_id);
	if (!core)
		r = examine_problem(x, "pstree.img", err, "process %u has no core image",
				    node->pid);
	return r;
}

static int make_tasks(struct examine *x, struct error *err)
{
	const struct image *image = image_find(&x->set, IMAGE_PSTREE, 0);
	const Img__Pstree *node;
	size_t i, n;
	int r = 0;

	if (!image || !image->n_entries)
		return examine_problem(x, "pstree.img", err,
				       "there is no process tree: this is no whole checkpoint");
	n = MIN(image->n_entries, (size_t)EXAMINE_TASKS_MAX);
	if (n < image->n_entries)
		r = examine_problem(x, "pstree.img", err, "only the first %zu processes are read",
				    n);
	x->tasks = arena_array(&x->arena, struct examine_task, n);
	if (!x->tasks)
		return error_nomem(err);
	for (i = 0; r == 0 && i < n; i++) {
		node = image_message(image, i);
		if (node)
			r = make_task(x, node, &x->tasks[x->n_tasks++], err);
	}
	return r;
}

static int note_holders(struct examine *x, struct error *err)
{
	const Img__Fdinfo *info;
	struct examine_file *file;
	size_t t, i;

	for (t = 0; t < x->n_tasks; t++)
		for (i = 0; (info = examine_fdinfo(&x->tasks[t], i)); i++) {
			if (x->n_fds >= EXAMINE_FDS_MAX)
				return examine_problem(x, "fdinfo", err,
						       "only the first %d descriptors are read",
						       EXAMINE_FDS_MAX);
			x->n_fds++;
			file = find(x, info->id);
			if (file && !file->holder) {
				file->holder = &x->tasks[t];
				file->holder_fd = info->fd;
			}
		}
	return 0;
}

static int make_tables(struct examine *x, struct error *err)
{
	int r;

	r = make_files(x, err);
	if (r == 0)
		r = make_inodes(x, err);
	if (r == 0)
		r = make_tasks(x, err);
	if (r == 0)
		r = note_holders(x, err);
	return r < 0 ? r : note_queues(x, err);
}

/* An archive whose images lie at the top, as when an image directory was packed by hand. */
static int load_top(struct examine *x, struct error *err)
{
	const struct tar_member *m;
	struct error why = ERROR_INIT;
	size_t i;
	int r;

	for (i = 0; i < x->archive.n_members; i++) {
		m = &x->archive.members[i];
		if (m->type != '0' || strchr(m->name, '/') || strcmp(m->name, "stats-dump") == 0)
			continue;
		r = image_parse(&x->set, m->name, archive_member_data(&x->archive, m), &why);
		if (r == -ENOMEM)
			return error_nomem(err);
		if (r < 0 && examine_problem(x, m->name, err, "%s", why.text) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int load_directory(struct examine *x, struct error *err)
{
	_cleanup_close_ int below = openat(x->dir_fd, IMAGES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct error why = ERROR_INIT;
	int r;

	r = image_set_load_dir(&x->set, below >= 0 ? below : x->dir_fd, &x->map, &why);
	if (r == -ENOMEM)
		return error_nomem(err);
	return r < 0 ? examine_problem(x, x->path, err, "%s", why.text) : 0;
}

static int load_archive(struct examine *x, struct error *err)
{
	size_t i;
	int r;

	r = archive_load_images(&x->archive, &x->set, err);
	if (r < 0)
		return r;
	for (i = 0; i < x->archive.n_members; i++)
		if (strncmp(x->archive.members[i].name, IMAGES, strlen(IMAGES)) == 0)
			return 0;
	return load_top(x, err);
}

int examine_load(struct examine *x, struct error *err)
{
	int r;

	r = x->dir_fd >= 0 ? load_directory(x, err) : load_archive(x, err);
	return r < 0 ? r : make_tables(x, err);
}
