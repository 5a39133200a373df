// SPDX-License-Identifier: Apache-2.0
/*
 * eventfd: a counter behind a descriptor, both directions.
 *
 * The smallest kind there is, and the one to copy when adding another (docs/HOWTO_ADD_A_KIND.md).
 * fdinfo tells the counter, so the counter is never read: reading would reset it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>

#include "kernel/proc-fdinfo.h"
#include "object/fd-kinds.h"
#include "object/fown.h"

static bool eventfd_match(const struct fd_facts *facts)
{
	return strcmp(facts->link, "anon_inode:[eventfd]") == 0;
}

/*
 * A semaphore and a plain counter differ in what read() takes. The image has no field for it: the
 * bit goes into flags, where it is one of the access mode, which stock CRIU does not look at.
 */
static int eventfd_capture(struct capture *cap, const struct fd_facts *facts, Img__FileEntry *entry,
			   struct error *err)
{
	Img__EventfdFile *efd = img_new(cap->set, Img__EventfdFile, eventfd_file);
	int r;

	if (!efd)
		return error_nomem(err);
	efd->id = facts->id;
	efd->flags = facts->flags & ~O_CLOEXEC;
	efd->counter = facts->info->eventfd.count;
	r = fown_capture(cap, facts, &efd->fown, err);
	if (r < 0)
		return r;
	entry->efd = efd;
	if (facts->info->eventfd.has_semaphore && facts->info->eventfd.semaphore)
		efd->flags |= EFD_SEMAPHORE;
	return 0;
}

static int eventfd_open(struct restore *rst, Img__FileEntry *entry, int *ret_fd, struct error *err)
{
	const Img__EventfdFile *efd = entry->efd;
	_cleanup_close_ int fd = -1;
	uint64_t rest;
	int r;

	if (!efd)
		return error_set(err, ERROR_INPUT, EBADMSG, "eventfd %u has no content", entry->id);
	fd = eventfd(MIN(efd->counter, (uint64_t)UINT32_MAX),
		     EFD_CLOEXEC | EFD_NONBLOCK | (efd->flags & EFD_SEMAPHORE));
	if (fd < 0)
		return error_errno(err, errno, "cannot make an eventfd");
	/* eventfd() takes 32 bits; the rest is added as any writer would. */
	rest = efd->counter - MIN(efd->counter, (uint64_t)UINT32_MAX);
	if (rest && write(fd, &rest, sizeof(rest)) != sizeof(rest))
		return error_errno(err, errno, "cannot set the counter of eventfd %u", entry->id);
	r = file_params_restore(fd, efd->flags, efd->fown, err);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int eventfd_attach(struct restore *rst, struct restore_task *task, Img__FileEntry *entry,
			  int fd, struct error *err)
{
	return fown_attach(rst, task, entry->efd->fown, fd, err);
}

const struct fd_kind eventfd_kind = {
	.name = "eventfd",
	.type = IMG__FD_TYPES__EVENTFD,
	.match = eventfd_match,
	.capture = eventfd_capture,
	.open = eventfd_open,
	.attach = eventfd_attach,
};
