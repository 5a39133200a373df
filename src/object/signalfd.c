// SPDX-License-Identifier: Apache-2.0
/*
 * signalfd: signals as something to read, both directions. Only the mask is its own: the signals
 * pend in the tasks and are captured there.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

#include "kernel/proc-fdinfo.h"
#include "object/fd-kinds.h"
#include "object/fown.h"

static bool signalfd_match(const struct fd_facts *facts)
{
	return strcmp(facts->link, "anon_inode:[signalfd]") == 0;
}

static int signalfd_capture(struct capture *cap, const struct fd_facts *facts,
			    Img__FileEntry *entry, struct error *err)
{
	Img__Signalfd *sgfd = img_new(cap->set, Img__Signalfd, signalfd);

	if (!sgfd)
		return error_nomem(err);
	sgfd->id = facts->id;
	sgfd->flags = facts->flags & ~O_CLOEXEC;
	sgfd->sigmask = facts->info->sigmask;
	entry->sgfd = sgfd;
	return fown_capture(cap, facts, &sgfd->fown, err);
}

static int signalfd_open(struct restore *rst, Img__FileEntry *entry, int *ret_fd, struct error *err)
{
	const Img__Signalfd *sgfd = entry->sgfd;
	_cleanup_close_ int fd = -1;
	uint64_t mask;
	int r;

	if (!sgfd)
		return error_set(err, ERROR_INPUT, EBADMSG, "signalfd %u has no content",
				 entry->id);
	mask = sgfd->sigmask;
	/* The kernel's mask has 8 bytes, the C library's sigset_t has more. */
	fd = syscall(SYS_signalfd4, -1, &mask, sizeof(mask), SFD_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "cannot make a signalfd");
	r = file_params_restore(fd, sgfd->flags, sgfd->fown, err);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int signalfd_attach(struct restore *rst, struct restore_task *task, Img__FileEntry *entry,
			   int fd, struct error *err)
{
	return fown_attach(rst, task, entry->sgfd->fown, fd, err);
}

const struct fd_kind signalfd_kind = {
	.name = "signalfd",
	.type = IMG__FD_TYPES__SIGNALFD,
	.match = signalfd_match,
	.capture = signalfd_capture,
	.open = signalfd_open,
	.attach = signalfd_attach,
};
