// SPDX-License-Identifier: Apache-2.0
/*
 * fd-capture: what a task's descriptors point at, each description given to its kind once.
 *
 * Everything is seen through duplicates (pidfd_getfd) and /proc. No call here moves a file
 * position, changes a flag, or reads from a description.
 */
#include "object/fd-capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

#include "kernel/proc-fdinfo.h"
#include "kernel/proc-tasks.h"
#include "object/fd-gather.h"
#include "object/fd-kinds.h"
#include "object/file-index.h"

int fd_gap(struct capture *cap, const struct fd_facts *facts, enum gap_effect effect,
	   const char *kind, int outcome, struct error *err, const char *fmt, ...)
{
	char subject[512], reason[512];
	va_list args;

	if (facts->fd >= 0)
		(void)snprintf(subject, sizeof(subject), "fd %d (%.400s)", facts->fd, facts->link);
	else
		(void)snprintf(subject, sizeof(subject), "%.500s", facts->link);
	va_start(args, fmt);
	(void)vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	if (gap_add(cap->gaps, effect, kind, facts->task ? facts->task->ns_pid : 0, subject, "%s",
		    reason) < 0)
		return error_nomem(err);
	return outcome;
}

int fd_facts_gather(struct task *task, int fd, struct arena *arena, struct fd_facts *ret,
		    struct error *err)
{
	return fd_gather(NULL, task, fd, -1, arena, ret, err);
}

static const struct fd_kind *kind_of(const struct fd_facts *facts)
{
	size_t i;

	for (i = 0; fd_kinds[i]; i++)
		if (fd_kinds[i]->match && fd_kinds[i]->match(facts))
			return fd_kinds[i];
	return NULL;
}

/* A new description goes to its kind. */
static int capture_new(struct capture *cap, const struct fd_facts *facts,
		       const struct fd_kind *kind, struct error *err)
{
	Img__FileEntry *entry;
	int r;

	if (!kind)
		return fd_gap(cap, facts, GAP_DEGRADED, "file", CAPTURE_GAP, err,
			      "amber does not know this kind of file; the restored program finds "
			      "the descriptor closed");
	entry = img_new(cap->set, Img__FileEntry, file_entry);
	if (!entry)
		return error_nomem(err);
	entry->type = kind->type;
	entry->id = facts->id;
	r = kind->capture(cap, facts, entry, err);
	if (r)
		return r;
	return file_index_add(cap, entry, err);
}

int fd_capture_facts(struct capture *cap, struct fd_facts *facts, uint32_t *ret_id,
		     Img__FdTypes *ret_type, struct error *err)
{
	const struct fd_kind *kind = kind_of(facts);
	Img__FileEntry *entry;
	int r;

	r = file_index_find(cap, facts, &facts->id, err);
	if (r < 0)
		return r;
	if (r == 0) {
		r = capture_new(cap, facts, kind, err);
		if (r)
			return r;
	}
	entry = file_captured(cap, facts->id);
	if (!entry)
		return CAPTURE_GAP;
	*ret_id = entry->id;
	*ret_type = entry->type;
	return 0;
}

/* The descriptors of the task that is being captured. */
struct fd_walk {
	struct capture *cap;
	struct task *task;
	struct arena arena;
	struct proc_numbers fds;
	struct fd_gatherer *gatherer;
	struct file_slot *slots;
	size_t n_slots;
	struct later {
		size_t slot, at; /* index in slots and in fds */
	} * later;		 /* whose kind looks at the others */
	size_t n_later;
};

static void fd_walk_deinit(struct fd_walk *walk)
{
	fd_gatherer_free(walk->gatherer);
	arena_deinit(&walk->arena);
}

/* A descriptor that cannot be looked at is a gap; the loss of something general is an error. */
static int walk_failed(struct fd_walk *walk, int fd, int r, struct error *err)
{
	char reason[ERROR_TEXT_MAX];
	struct fd_facts facts = { .task = walk->task, .fd = fd, .dup = -1, .link = "?" };

	if (r == -ENOMEM || r == -ESRCH || r == -EPERM || r == -EMFILE || r == -ENFILE)
		return r;
	(void)snprintf(reason, sizeof(reason), "%s", err ? err->text : strerror(-r));
	error_clear(err);
	return fd_gap(walk->cap, &facts, GAP_DEGRADED, "file", 0, err, "%s", reason);
}

/* Did an earlier descriptor of this task lead to the description that the last one leads to? */
static bool walk_has(const struct fd_walk *walk, uint32_t id)
{
	size_t i;

	for (i = 0; i + 1 < walk->n_slots; i++)
		if (walk->slots[i].id == id)
			return true;
	return false;
}

/* Kinds that look at other descriptors: epoll at what it watches, a timer at who watches it. */
static bool walk_waits(Img__FdTypes type)
{
	return type == IMG__FD_TYPES__EVENTPOLL || type == IMG__FD_TYPES__TIMERFD;
}

/* First look: whose it is. New descriptions are captured at once, except those that wait.
 */
static int walk_one(struct fd_walk *walk, size_t at, struct error *err)
{
	const struct fd_facts *taken;
	const struct fd_kind *kind;
	struct file_slot *slot;
	struct fd_facts facts;
	bool new_description;
	int r;

	r = fd_gatherer_take(walk->gatherer, at, &taken, err);
	if (r)
		return r < 0 ? walk_failed(walk, walk->fds.values[at], r, err) : 0;
	facts = *taken;
	kind = kind_of(&facts);
	r = file_index_find(walk->cap, &facts, &facts.id, err);
	if (r < 0)
		return r;

	slot = &walk->slots[walk->n_slots++];
	*slot = (struct file_slot){ .fd = facts.fd,
				    .dev = facts.st.st_dev,
				    .ino = facts.st.st_ino,
				    .flags = facts.flags,
				    .id = facts.id,
				    .type = kind ? kind->type : IMG__FD_TYPES__UND };
	if (r == 0 && walk_waits(slot->type)) {
		walk->later[walk->n_later++] = (struct later){ slot - walk->slots, at };
		return 0;
	}
	new_description = r == 0;
	if (new_description)
		r = capture_new(walk->cap, &facts, kind, err);
	if (r < 0 || !facts.info->n_locks || !file_captured(walk->cap, facts.id))
		return r < 0 ? r : 0;
	return file_lock_capture(walk->cap, &facts, new_description, !walk_has(walk, facts.id),
				 err);
}

static int walk_later(struct fd_walk *walk, const struct later *later, struct error *err)
{
	const struct file_slot *slot = &walk->slots[later->slot];
	const struct fd_facts *taken;
	struct fd_facts facts;
	int r;

	r = fd_gatherer_take(walk->gatherer, later->at, &taken, err);
	if (r)
		return r < 0 ? r : 0;
	facts = *taken;
	facts.id = slot->id;
	r = capture_new(walk->cap, &facts, fd_kind_of(slot->type), err);
	return r < 0 ? r : 0;
}

static int walk_add_fdinfo(struct fd_walk *walk, const struct file_slot *slot, uint32_t files_id,
			   struct error *err)
{
	const Img__FileEntry *entry = file_captured(walk->cap, slot->id);
	Img__Fdinfo *info;

	if (!entry)
		return 0; /* the gap is recorded */
	info = img_new(walk->cap->set, Img__Fdinfo, fdinfo);
	if (!info)
		return error_nomem(err);
	info->id = entry->id;
	info->type = entry->type;
	info->fd = slot->fd;
	info->flags = slot->flags & O_CLOEXEC ? FD_CLOEXEC : 0;
	return image_add(walk->cap->set, IMAGE_FDINFO, files_id, &info->base, (struct bytes){ 0 },
			 err);
}

static int walk_all(struct fd_walk *walk, uint32_t files_id, struct error *err)
{
	struct proc_numbers *fds = &walk->fds;
	size_t i;
	int r;

	r = proc_fds_read(walk->task->proc_fd, &walk->arena, fds, err);
	if (r == 0)
		r = fd_gatherer_new(walk->cap->look, walk->task, fds->values, fds->n_values,
				    &walk->gatherer, err);
	if (r < 0)
		return r;
	walk->slots = arena_array(&walk->arena, struct file_slot, fds->n_values + 1);
	walk->later = arena_array(&walk->arena, struct later, fds->n_values + 1);
	if (!walk->slots || !walk->later)
		return error_nomem(err);
	for (i = 0; i < fds->n_values; i++) {
		r = walk_one(walk, i, err);
		if (r < 0)
			return error_while(err, r, "capturing descriptor %d", fds->values[i]);
	}
	file_index_set_slots(walk->cap->files, walk->slots, walk->n_slots);
	for (i = 0; i < 2 * walk->n_later; i++) {
		const struct later *later = &walk->later[i % walk->n_later];
		const struct file_slot *slot = &walk->slots[later->slot];

		/* First all that watch, then what may be watched. */
		if ((slot->type == IMG__FD_TYPES__EVENTPOLL) != (i < walk->n_later))
			continue;
		r = walk_later(walk, later, err);
		if (r < 0)
			return error_while(err, r, "capturing descriptor %d", slot->fd);
	}
	for (i = 0; i < walk->n_slots; i++) {
		r = walk_add_fdinfo(walk, &walk->slots[i], files_id, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int fd_capture_task(struct capture *cap, struct task *task, uint32_t files_id, struct error *err)
{
	_cleanup_(fd_walk_deinit) struct fd_walk walk = { .cap = cap, .task = task };
	int r;

	r = image_touch(cap->set, IMAGE_FDINFO, files_id, err);
	if (r < 0)
		return r;
	r = walk_all(&walk, files_id, err);
	file_index_set_slots(cap->files, NULL, 0);
	if (r < 0)
		return error_while(err, r, "capturing the descriptors of process %d",
				   (int)task->pid);
	return 0;
}

int fd_capture_finish(struct capture *cap, struct error *err)
{
	int r = pipe_capture_finish(cap, err);

	return r < 0 ? r : tty_capture_finish(cap, err);
}
