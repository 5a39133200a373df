// SPDX-License-Identifier: Apache-2.0
/*
 * eventpoll: epoll instances and what they watch, both directions.
 *
 * epoll remembers a file and the number it had when it was added. The image has the number under
 * which the file is open now in the task that owns the instance; fdinfo tells inodes, and where
 * those do not decide (anonymous inodes, pipes) kcmp does. A watched file that no descriptor of the
 * task leads to any more can still deliver events: that is a gap.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sysmacros.h>

#include "kernel/kcmp.h"
#include "kernel/proc-fdinfo.h"
#include "object/fd-capture.h"
#include "object/fd-kinds.h"
#include "object/file-index.h"
#include "object/fown.h"

static bool eventpoll_match(const struct fd_facts *facts)
{
	return strcmp(facts->link, "anon_inode:[eventpoll]") == 0;
}

static uint32_t slot_sdev(const struct file_slot *slot)
{
	return (major(slot->dev) << 20) | minor(slot->dev);
}

static bool slot_inode_fits(const struct file_slot *slot, const struct proc_fdinfo_tfd *tfd)
{
	return !tfd->has_file || (slot->ino == tfd->ino && slot_sdev(slot) == tfd->sdev);
}

/* A socket's inode is its own; the others share theirs, or have two ends under one. */
static bool slot_inode_decides(const struct file_slot *slot, const struct proc_fdinfo_tfd *tfd)
{
	return tfd->has_file &&
	       (slot->type == IMG__FD_TYPES__INETSK || slot->type == IMG__FD_TYPES__UNIXSK ||
		slot->type == IMG__FD_TYPES__NETLINKSK || slot->type == IMG__FD_TYPES__PACKETSK);
}

/* How many earlier targets were added under the same number? kcmp wants to know which one is meant.
 */
static unsigned tfd_offset(const struct proc_fdinfo *info, size_t at)
{
	unsigned offset = 0;
	size_t i;

	for (i = 0; i < at; i++)
		offset += info->tfds[i].tfd == info->tfds[at].tfd;
	return offset;
}

static bool tfd_numbers_repeat(const struct proc_fdinfo *info, size_t at)
{
	/* fdinfo lists the tree in the order of files, so equal numbers need not be neighbours. */
	size_t i;

	for (i = 0; i < info->n_tfds; i++)
		if (i != at && info->tfds[i].tfd == info->tfds[at].tfd)
			return true;
	return false;
}

static bool slot_is_target(const struct fd_facts *facts, const struct file_slot *slot, size_t at,
			   unsigned offset)
{
	const struct proc_fdinfo_tfd *tfd = &facts->info->tfds[at];
	int same;

	return kcmp_epoll(facts->task->pid, slot->fd, facts->task->pid, facts->fd, tfd->tfd, offset,
			  &same, NULL) == 0 &&
	       same == 0;
}

static const struct file_slot *slot_by_number(const struct file_slot *slots, size_t n, int fd)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (slots[middle].fd == fd)
			return &slots[middle];
		if (slots[middle].fd < fd)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* The descriptor that leads to a watched file today, NULL when none does. */
static const struct file_slot *target_slot(struct capture *cap, const struct fd_facts *facts,
					   size_t at)
{
	const struct proc_fdinfo_tfd *tfd = &facts->info->tfds[at];
	const struct file_slot *slots, *slot;
	unsigned offset;
	size_t i, n;

	slots = file_index_slots(cap->files, &n);
	slot = slot_by_number(slots, n, tfd->tfd);
	if (slot && slot_inode_fits(slot, tfd) && slot_inode_decides(slot, tfd))
		return slot;
	offset = tfd_numbers_repeat(facts->info, at) ? tfd_offset(facts->info, at) : 0;
	if (slot && slot_inode_fits(slot, tfd) && slot_is_target(facts, slot, at, offset))
		return slot;
	for (i = 0; i < n; i++)
		if (slots[i].fd != tfd->tfd && slot_inode_fits(&slots[i], tfd) &&
		    slot_is_target(facts, &slots[i], at, offset))
			return &slots[i];
	return NULL;
}

static int target_capture(struct capture *cap, const struct fd_facts *facts, size_t at,
			  Img__EventpollFile *epfd, struct error *err)
{
	const struct proc_fdinfo_tfd *tfd = &facts->info->tfds[at];
	const struct file_slot *slot = target_slot(cap, facts, at);
	Img__EventpollTfd *out;

	if (!slot)
		return fd_gap(cap, facts, GAP_DEGRADED, "epoll", 0, err,
			      "it watches a file that was added as descriptor %d and is open in no "
			      "descriptor of the process now",
			      tfd->tfd);
	/* An instance may watch another, or itself by way of others, that is captured after it. */
	if (slot->type != IMG__FD_TYPES__EVENTPOLL && !file_captured(cap, slot->id))
		return fd_gap(cap, facts, GAP_DEGRADED, "epoll", 0, err,
			      "it watches descriptor %d, which is not captured", slot->fd);
	out = img_new(cap->set, Img__EventpollTfd, eventpoll_tfd);
	if (!out)
		return error_nomem(err);
	out->id = facts->id;
	out->tfd = slot->fd;
	out->events = tfd->events;
	out->data = tfd->data;
	if (tfd->has_file) {
		out->has_dev = out->has_inode = out->has_pos = true;
		out->dev = tfd->sdev;
		out->inode = tfd->ino;
		out->pos = tfd->pos;
	}
	epfd->tfd[epfd->n_tfd++] = out;
	return 0;
}

static int eventpoll_capture(struct capture *cap, const struct fd_facts *facts,
			     Img__FileEntry *entry, struct error *err)
{
	Img__EventpollFile *epfd = img_new(cap->set, Img__EventpollFile, eventpoll_file);
	size_t i;
	int r;

	if (!epfd)
		return error_nomem(err);
	/* Numbers of what it watches mean nothing without the task that added them. */
	if (!facts->task || facts->task->pid == getpid())
		return fd_gap(cap, facts, GAP_DEGRADED, "epoll", CAPTURE_GAP, err,
			      "an epoll instance in flight between processes");
	epfd->id = facts->id;
	epfd->flags = facts->flags & ~O_CLOEXEC;
	r = fown_capture(cap, facts, &epfd->fown, err);
	if (r < 0)
		return r;
	epfd->tfd = arena_array(&cap->set->arena, Img__EventpollTfd *, facts->info->n_tfds + 1);
	if (!epfd->tfd)
		return error_nomem(err);
	for (i = 0; i < facts->info->n_tfds; i++) {
		r = target_capture(cap, facts, i, epfd, err);
		if (r < 0)
			return r;
	}
	entry->epfd = epfd;
	return 0;
}

static int eventpoll_open(struct restore *rst, Img__FileEntry *entry, int *ret_fd,
			  struct error *err)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (!entry->epfd)
		return error_set(err, ERROR_INPUT, EBADMSG, "epoll instance %u has no content",
				 entry->id);
	fd = epoll_create1(EPOLL_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "cannot make an epoll instance");
	r = file_params_restore(fd, entry->epfd->flags, entry->epfd->fown, err);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int eventpoll_attach(struct restore *rst, struct restore_task *task, Img__FileEntry *entry,
			    int fd, struct error *err)
{
	const Img__EventpollFile *epfd = entry->epfd;
	size_t i;

	/* Numbers of targets are those of one task. */
	for (i = 0; restore_file_first_task(rst, entry->id, NULL) == task && i < epfd->n_tfd; i++) {
		const Img__EventpollTfd *tfd = epfd->tfd[i];
		struct epoll_event event = { .events = tfd->events, .data.u64 = tfd->data };
		char subject[48];

		if (epoll_ctl(fd, EPOLL_CTL_ADD, tfd->tfd, &event) == 0 || errno == EEXIST)
			continue;
		(void)snprintf(subject, sizeof(subject), "fd %d", fd);
		restore_gap(rst, GAP_DEGRADED, "epoll", task->pid, subject,
			    "descriptor %u cannot be watched again: %s", tfd->tfd, strerror(errno));
	}
	return fown_attach(rst, task, epfd->fown, fd, err);
}

const struct fd_kind eventpoll_kind = {
	.name = "epoll",
	.type = IMG__FD_TYPES__EVENTPOLL,
	.match = eventpoll_match,
	.capture = eventpoll_capture,
	.open = eventpoll_open,
	.attach = eventpoll_attach,
};
