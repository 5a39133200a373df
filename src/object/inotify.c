// SPDX-License-Identifier: Apache-2.0
/*
 * inotify: watches, both directions.
 *
 * fdinfo names a watched inode by its file handle. watch-path.c makes a name of it, without which a
 * watch cannot come back in a sandbox, whose inodes are others. Watch numbers are kept: programs
 * have them in their tables. Events that nobody has read yet are lost, and a gap says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

#include "kernel/proc-fdinfo.h"
#include "object/fd-capture.h"
#include "object/fd-kinds.h"
#include "object/fown.h"
#include "object/watch-path.h"

#ifndef INOTIFY_IOC_SETNEXTWD
#define INOTIFY_IOC_SETNEXTWD _IOW('I', 0, int32_t)
#endif

/* What a program may ask for; the kernel keeps bits of its own in the same word. */
#define WATCH_MASK (IN_ALL_EVENTS | IN_UNMOUNT | IN_EXCL_UNLINK | IN_ONESHOT)

/* Attempts to reach a watch number on kernels that cannot set the next one. */
#define WATCH_TRIES 65536

static bool inotify_match(const struct fd_facts *facts)
{
	return strcmp(facts->link, "anon_inode:inotify") == 0 ||
	       strcmp(facts->link, "anon_inode:[inotify]") == 0;
}

static Img__Fh *handle_message(struct image_set *set, const struct proc_fdinfo_handle *handle)
{
	const size_t words = IMG__FH_SIZES__min_entries;
	Img__Fh *fh = img_new(set, Img__Fh, fh);

	if (!fh)
		return NULL;
	fh->bytes = handle->len;
	fh->type = handle->type;
	fh->handle = arena_array(&set->arena, uint64_t, words);
	if (!fh->handle)
		return NULL;
	fh->n_handle = words;
	memcpy(fh->handle, handle->bytes, MIN((size_t)handle->len, words * sizeof(uint64_t)));
	return fh;
}

static int watch_capture(struct capture *cap, const struct fd_facts *facts,
			 const struct proc_fdinfo_watch *watch, Img__InotifyFile *ify,
			 struct error *err)
{
	Img__InotifyWd *wd;
	const char *path;
	int r;

	r = watch_path(cap, watch, &path, err);
	if (r < 0)
		return r;
	if (!path)
		return fd_gap(cap, facts, GAP_DEGRADED, "inotify", 0, err,
			      "watch %d: no name was found for inode %llu of device %u:%u",
			      watch->wd, (unsigned long long)watch->ino, watch->sdev >> 20,
			      watch->sdev & 0xfffff);
	wd = img_new(cap->set, Img__InotifyWd, inotify_wd);
	if (!wd)
		return error_nomem(err);
	wd->id = facts->id;
	wd->i_ino = watch->ino;
	wd->mask = watch->mask;
	wd->ignored_mask = watch->ignored_mask;
	wd->s_dev = watch->sdev;
	wd->wd = watch->wd;
	wd->f_handle = handle_message(cap->set, &watch->handle);
	if (!wd->f_handle)
		return error_nomem(err);
	wd->f_handle->path = arena_strdup(&cap->set->arena, path);
	if (!wd->f_handle->path)
		return error_nomem(err);
	ify->wd[ify->n_wd++] = wd;
	return 0;
}

static int inotify_capture(struct capture *cap, const struct fd_facts *facts, Img__FileEntry *entry,
			   struct error *err)
{
	Img__InotifyFile *ify = img_new(cap->set, Img__InotifyFile, inotify_file);
	int unread = 0, r;
	size_t i;

	if (!ify)
		return error_nomem(err);
	ify->id = facts->id;
	ify->flags = facts->flags & ~O_CLOEXEC;
	r = fown_capture(cap, facts, &ify->fown, err);
	if (r < 0)
		return r;
	ify->wd = arena_array(&cap->set->arena, Img__InotifyWd *, facts->info->n_watches + 1);
	if (!ify->wd)
		return error_nomem(err);
	for (i = 0; i < facts->info->n_watches; i++) {
		r = watch_capture(cap, facts, &facts->info->watches[i], ify, err);
		if (r < 0)
			return r;
	}
	entry->ify = ify;
	if (ioctl(facts->dup, FIONREAD, &unread) == 0 && unread > 0)
		return fd_gap(cap, facts, GAP_DEGRADED, "inotify", 0, err,
			      "%d bytes of events that were not read yet are lost in a restored "
			      "copy",
			      unread);
	return 0;
}

static int inotify_open(struct restore *rst, Img__FileEntry *entry, int *ret_fd, struct error *err)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (!entry->ify)
		return error_set(err, ERROR_INPUT, EBADMSG, "inotify instance %u has no content",
				 entry->id);
	fd = inotify_init1(IN_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "cannot make an inotify instance");
	r = file_params_restore(fd, entry->ify->flags, entry->ify->fown, err);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Add a watch so that it gets the number it had. Returns the number it got, or -errno. */
static int watch_add(int fd, const char *path, uint32_t mask, int32_t number)
{
	int i, got;

	if (ioctl(fd, INOTIFY_IOC_SETNEXTWD, number) == 0) {
		got = inotify_add_watch(fd, path, mask);
		return got < 0 ? -errno : got;
	}
	for (i = 0; i < WATCH_TRIES; i++) {
		got = inotify_add_watch(fd, path, mask);
		if (got < 0)
			return -errno;
		if (got >= number)
			return got;
		(void)inotify_rm_watch(fd, got);
	}
	return -ERANGE;
}

/* Descriptions are all open by now: opening them shows in no queue. */
static int inotify_connect(struct restore *rst, Img__FileEntry *entry, int fd, struct error *err)
{
	const Img__InotifyFile *ify = entry->ify;
	size_t i;

	for (i = 0; i < ify->n_wd; i++) {
		const Img__InotifyWd *wd = ify->wd[i];
		const char *path = wd->f_handle ? wd->f_handle->path : NULL;
		char subject[32];
		int r = -ENOENT;

		if (path)
			r = watch_add(fd, path, wd->mask & WATCH_MASK, wd->wd);
		if (r == (int)wd->wd)
			continue;
		(void)snprintf(subject, sizeof(subject), "watch %u", wd->wd);
		if (r < 0)
			restore_gap(rst, GAP_DEGRADED, "inotify", 0, subject,
				    "%s cannot be watched: %s", path ? path : "an unnamed inode",
				    strerror(-r));
		else
			restore_gap(rst, GAP_DEGRADED, "inotify", 0, subject,
				    "the watch of %s has number %d now", path, r);
	}
	return 0;
}

static int inotify_attach(struct restore *rst, struct restore_task *task, Img__FileEntry *entry,
			  int fd, struct error *err)
{
	return fown_attach(rst, task, entry->ify->fown, fd, err);
}

const struct fd_kind inotify_kind = {
	.name = "inotify",
	.type = IMG__FD_TYPES__INOTIFY,
	.match = inotify_match,
	.capture = inotify_capture,
	.open = inotify_open,
	.connect = inotify_connect,
	.attach = inotify_attach,
};
