// SPDX-License-Identifier: Apache-2.0
/*
 * file: see file.h. One row of the table is all that is known here of a kind; sockets are told in
 * socket.c.
 */
#include "examine/file.h"

#include <stdio.h>
#include <string.h>

#include "examine/socket.h"
#include "examine/xlat.h"

#define FILE_COST 256 /* bytes of what is told of any descriptor */

/* Fills in what a kind has; what it says in one line is appended to target. */
typedef int describe_fn(const struct examine *x, const struct examine_file *file, json_object *o,
			struct buf *target);

static int describe_reg(const struct examine *x, const struct examine_file *file, json_object *o,
			struct buf *target)
{
	const Img__RegFile *m = (const Img__RegFile *)file->msg;

	(void)x;
	json_put_text(o, "path", m->name);
	json_object_object_add(o, "flags", xlat_open_flags_json(m->flags));
	json_put_number(o, "pos", m->pos);
	if (m->has_size)
		json_put_number(o, "size", m->size);
	if (m->has_mode)
		json_put_number(o, "mode", m->mode);
	if (m->has_mnt_id)
		json_object_object_add(o, "mount_id", json_object_new_int(m->mnt_id));
	json_put_bool(o, "deleted", file->deleted);
	return buf_printf(target, NULL, "%s%s", m->name, file->deleted ? " (deleted)" : "");
}

static int describe_pipe(const struct examine *x, const struct examine_file *file, json_object *o,
			 struct buf *target)
{
	const Img__Pipe *m = (const Img__Pipe *)file->msg;

	(void)x;
	json_put_number(o, "pipe_id", m->pipe_id);
	json_object_object_add(o, "flags", xlat_open_flags_json(m->flags));
	json_put_number(o, "queued_bytes", file->queue_bytes);
	return buf_printf(target, NULL, "pipe:[%u]", m->pipe_id);
}

static int describe_fifo(const struct examine *x, const struct examine_file *file, json_object *o,
			 struct buf *target)
{
	const Img__Fifo *m = (const Img__Fifo *)file->msg;
	const char *path = examine_file_path(x, m->has_regf_id ? m->regf_id : m->id);

	json_put_number(o, "pipe_id", m->pipe_id);
	json_put_text(o, "path", path);
	json_put_number(o, "queued_bytes", file->queue_bytes);
	return buf_printf(target, NULL, "%s", path ? path : "fifo");
}

static int describe_eventfd(const struct examine *x, const struct examine_file *file,
			    json_object *o, struct buf *target)
{
	const Img__EventfdFile *m = (const Img__EventfdFile *)file->msg;

	(void)x;
	json_object_object_add(o, "flags", xlat_open_flags_json(m->flags));
	json_put_number(o, "counter", m->counter);
	return buf_printf(target, NULL, "count %llu", (unsigned long long)m->counter);
}

static int describe_eventpoll(const struct examine *x, const struct examine_file *file,
			      json_object *o, struct buf *target)
{
	const Img__EventpollFile *m = (const Img__EventpollFile *)file->msg;
	json_object *list = json_object_new_array(), *item;
	size_t i;

	(void)x;
	for (i = 0; i < m->n_tfd; i++) {
		item = json_object_new_object();
		json_put_number(item, "fd", m->tfd[i]->tfd);
		json_put_number(item, "events", m->tfd[i]->events);
		json_put_number(item, "data", m->tfd[i]->data);
		json_object_array_add(list, item);
	}
	json_object_object_add(o, "watches", list);
	return buf_printf(target, NULL, "watches %zu descriptors", m->n_tfd);
}

static int describe_inotify(const struct examine *x, const struct examine_file *file,
			    json_object *o, struct buf *target)
{
	const Img__InotifyFile *m = (const Img__InotifyFile *)file->msg;
	json_object *list = json_object_new_array(), *item;
	size_t i;

	(void)x;
	for (i = 0; i < m->n_wd; i++) {
		item = json_object_new_object();
		json_put_number(item, "wd", m->wd[i]->wd);
		json_put_number(item, "mask", m->wd[i]->mask);
		json_put_number(item, "inode", m->wd[i]->i_ino);
		json_put_text(item, "path", m->wd[i]->f_handle->path);
		json_object_array_add(list, item);
	}
	json_object_object_add(o, "watches", list);
	return buf_printf(target, NULL, "watches %zu files", m->n_wd);
}

static int describe_fanotify(const struct examine *x, const struct examine_file *file,
			     json_object *o, struct buf *target)
{
	const Img__FanotifyFile *m = (const Img__FanotifyFile *)file->msg;

	(void)x;
	json_put_number(o, "marks", m->n_mark);
	return buf_printf(target, NULL, "%zu marks", m->n_mark);
}

static int describe_signalfd(const struct examine *x, const struct examine_file *file,
			     json_object *o, struct buf *target)
{
	const Img__Signalfd *m = (const Img__Signalfd *)file->msg;

	(void)x;
	json_put_number(o, "mask", m->sigmask);
	return buf_printf(target, NULL, "mask 0x%llx", (unsigned long long)m->sigmask);
}

static int describe_timerfd(const struct examine *x, const struct examine_file *file,
			    json_object *o, struct buf *target)
{
	const Img__Timerfd *m = (const Img__Timerfd *)file->msg;
	const char *clock = xlat_name(xlat_clocks, m->clockid);

	(void)x;
	json_object_object_add(o, "clock", xlat_json(xlat_clocks, m->clockid));
	json_put_number(o, "ticks", m->ticks);
	json_put_number(o, "value_ns", m->vsec * 1000000000ULL + m->vnsec);
	json_put_number(o, "interval_ns", m->isec * 1000000000ULL + m->insec);
	return buf_printf(target, NULL, "%s, in %llu.%03llu s, every %llu.%03llu s",
			  clock ? clock : "clock", (unsigned long long)m->vsec,
			  (unsigned long long)m->vnsec / 1000000, (unsigned long long)m->isec,
			  (unsigned long long)m->insec / 1000000);
}

static int describe_tty(const struct examine *x, const struct examine_file *file, json_object *o,
			struct buf *target)
{
	const Img__TtyFile *m = (const Img__TtyFile *)file->msg;
	const struct image *infos = image_find(&x->set, IMAGE_TTY_INFO, 0);
	const char *path = m->has_regf_id ? examine_file_path(x, m->regf_id) : NULL;
	const Img__TtyInfo *info = NULL;
	size_t i;

	/* A checkpoint with more terminals than this has another purpose than being read. */
	for (i = 0; infos && i < MIN(infos->n_entries, (size_t)4096); i++) {
		info = image_message(infos, i);
		if (info && info->id == m->tty_info_id)
			break;
		info = NULL;
	}
	json_object_object_add(o, "flags", xlat_open_flags_json(m->flags));
	json_put_text(o, "path", path);
	if (info && info->pty)
		json_put_number(o, "pts", info->pty->index);
	if (info) {
		json_put_number(o, "session", info->sid);
		json_put_number(o, "foreground_group", info->pgrp);
	}
	if (path)
		return buf_printf(target, NULL, "%s", path);
	return info && info->pty ? buf_printf(target, NULL, "pts/%u", info->pty->index)
				 : buf_printf(target, NULL, "terminal");
}

static const Img__MemfdInode *memfd_inode(const struct examine *x, uint32_t id)
{
	const struct image *image = image_find(&x->set, IMAGE_MEMFD, 0);
	const Img__MemfdInode *inode;
	size_t i;

	for (i = 0; image && i < MIN(image->n_entries, (size_t)4096); i++) {
		inode = image_message(image, i);
		if (inode && inode->inode_id == id)
			return inode;
	}
	return NULL;
}

static int describe_memfd(const struct examine *x, const struct examine_file *file, json_object *o,
			  struct buf *target)
{
	const Img__MemfdFile *m = (const Img__MemfdFile *)file->msg;
	const Img__MemfdInode *inode = memfd_inode(x, m->inode_id);

	json_object_object_add(o, "flags", xlat_open_flags_json(m->flags));
	json_put_number(o, "pos", m->pos);
	if (!inode)
		return buf_printf(target, NULL, "memfd");
	json_put_text(o, "name", inode->name);
	json_put_number(o, "size", inode->size);
	json_put_number(o, "seals", inode->seals);
	return buf_printf(target, NULL, "memfd:%s", inode->name);
}

static int describe_ns(const struct examine *x, const struct examine_file *file, json_object *o,
		       struct buf *target)
{
	const Img__NsFile *m = (const Img__NsFile *)file->msg;
	const char *name = xlat_name(xlat_clone_namespaces, m->ns_cflag);

	(void)x;
	json_object_object_add(o, "namespace", xlat_json(xlat_clone_namespaces, m->ns_cflag));
	json_put_number(o, "namespace_id", m->ns_id);
	return buf_printf(target, NULL, "%s:[%u]", name ? name : "namespace", m->ns_id);
}

static int describe_pidfd(const struct examine *x, const struct examine_file *file, json_object *o,
			  struct buf *target)
{
	const Img__Pidfd *m = (const Img__Pidfd *)file->msg;

	(void)x;
	json_object_object_add(o, "pid", json_object_new_int(m->nspid));
	return m->nspid < 0 ? buf_printf(target, NULL, "of a dead process")
			    : buf_printf(target, NULL, "of process %d", m->nspid);
}

static int describe_tun(const struct examine *x, const struct examine_file *file, json_object *o,
			struct buf *target)
{
	const Img__Tunfile *m = (const Img__Tunfile *)file->msg;

	(void)x;
	json_put_text(o, "device", m->netdev);
	return buf_printf(target, NULL, "%s", m->netdev ? m->netdev : "no device");
}

static int describe_bpf(const struct examine *x, const struct examine_file *file, json_object *o,
			struct buf *target)
{
	const Img__BpfmapFile *m = (const Img__BpfmapFile *)file->msg;

	(void)x;
	json_put_text(o, "name", m->map_name);
	json_put_number(o, "map_type", m->map_type);
	json_put_number(o, "max_entries", m->max_entries);
	return buf_printf(target, NULL, "%s", m->map_name);
}

static int describe_socket(const struct examine *x, const struct examine_file *file, json_object *o,
			   struct buf *target)
{
	json_put_number(o, "queued_bytes", file->queue_bytes);
	return socket_describe(x, file, NULL, target);
}

static int describe_nothing(const struct examine *x, const struct examine_file *file,
			    json_object *o, struct buf *target)
{
	(void)x, (void)file, (void)o;
	return buf_printf(target, NULL, "provided by whoever restores");
}

static const struct {
	Img__FdTypes type;
	describe_fn *describe;
} kinds[] = {
	{ IMG__FD_TYPES__REG, describe_reg },
	{ IMG__FD_TYPES__PIPE, describe_pipe },
	{ IMG__FD_TYPES__FIFO, describe_fifo },
	{ IMG__FD_TYPES__INETSK, describe_socket },
	{ IMG__FD_TYPES__UNIXSK, describe_socket },
	{ IMG__FD_TYPES__PACKETSK, describe_socket },
	{ IMG__FD_TYPES__NETLINKSK, describe_socket },
	{ IMG__FD_TYPES__EVENTFD, describe_eventfd },
	{ IMG__FD_TYPES__EVENTPOLL, describe_eventpoll },
	{ IMG__FD_TYPES__INOTIFY, describe_inotify },
	{ IMG__FD_TYPES__FANOTIFY, describe_fanotify },
	{ IMG__FD_TYPES__SIGNALFD, describe_signalfd },
	{ IMG__FD_TYPES__TIMERFD, describe_timerfd },
	{ IMG__FD_TYPES__TTY, describe_tty },
	{ IMG__FD_TYPES__MEMFD, describe_memfd },
	{ IMG__FD_TYPES__NS, describe_ns },
	{ IMG__FD_TYPES__PIDFD, describe_pidfd },
	{ IMG__FD_TYPES__TUNF, describe_tun },
	{ IMG__FD_TYPES__BPFMAP, describe_bpf },
	{ IMG__FD_TYPES__EXT, describe_nothing },
};

json_object *file_json(const struct examine *x, const struct examine_file *file)
{
	_cleanup_buf_ struct buf target = BUF_INIT;
	json_object *o = json_object_new_object();
	size_t i;

	if (!o)
		return NULL;
	json_put_number(o, "id", file->id);
	json_object_object_add(o, "kind", xlat_json(xlat_file_kinds, file->type));
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].type == file->type && kinds[i].describe(x, file, o, &target) == 0)
			json_put_text(o, "target", target.data ? (char *)target.data : "");
	return o;
}

json_object *file_table_json(struct examine *x, const struct examine_task *task)
{
	json_object *list = json_object_new_array(), *o;
	const struct examine_file *file;
	const Img__Fdinfo *info;
	size_t i;

	for (i = 0; i < EXAMINE_FDS_MAX && (info = examine_fdinfo(task, i)); i++) {
		file = examine_file_find(x, info->id);
		if (!examine_tell(
			    x,
			    FILE_COST + (file ? protobuf_c_message_get_packed_size(file->msg) : 0)))
			break;
		o = file ? file_json(x, file) : json_object_new_object();
		if (!file) {
			json_put_number(o, "id", info->id);
			json_object_object_add(o, "kind", xlat_json(xlat_file_kinds, info->type));
			json_put_text(o, "target", "missing in the images");
		}
		json_put_number(o, "fd", info->fd);
		json_put_bool(o, "cloexec", info->flags & 1);
		json_object_array_add(list, o);
	}
	return list;
}
