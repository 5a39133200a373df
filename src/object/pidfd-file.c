// SPDX-License-Identifier: Apache-2.0
/*
 * pidfd-file: processes as descriptors, both directions.
 *
 * The process must be one of the container's. Since its copy is born after descriptions are opened,
 * attach() puts the real descriptor in place; one of a process that is dead is made at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kernel/proc-fdinfo.h"
#include "object/fd-capture.h"
#include "object/fd-kinds.h"
#include "object/fown.h"

static bool pidfd_match(const struct fd_facts *facts)
{
	return strcmp(facts->link, "anon_inode:[pidfd]") == 0 ||
	       strncmp(facts->link, "pidfd:[", 7) == 0;
}

/* A thread's number in the container, for pidfds of threads; else the process's. */
static pid_t pidfd_target(struct capture *cap, pid_t pid)
{
	struct task *task = task_find(cap->tree, pid);
	struct thread *thread;

	if (task)
		return task->ns_pid;
	foreach_task (task, cap->tree)
		foreach_thread (thread, task)
			if (thread->tid == pid)
				return thread->ns_tid;
	return 0;
}

static int pidfd_capture(struct capture *cap, const struct fd_facts *facts, Img__FileEntry *entry,
			 struct error *err)
{
	Img__Pidfd *pidfd = img_new(cap->set, Img__Pidfd, pidfd);
	pid_t pid = facts->info->pidfd.pid;

	if (!pidfd)
		return error_nomem(err);
	pidfd->id = facts->id;
	pidfd->ino = facts->st.st_ino;
	pidfd->flags = facts->flags & ~(O_CLOEXEC | O_RDWR);
	pidfd->nspid = -1;
	if (pid != -1) {
		pidfd->nspid = pidfd_target(cap, pid);
		if (pidfd->nspid <= 0)
			return fd_gap(cap, facts, GAP_DEGRADED, "pidfd", CAPTURE_GAP, err,
				      "its process %d is outside of the container", (int)pid);
	}
	entry->pidfd = pidfd;
	return fown_capture(cap, facts, &pidfd->fown, err);
}

/* A pidfd of a child that is dead and waited for. */
static int pidfd_of_dead(struct error *err)
{
	int fd = -1;
	struct clone_args args = { .flags = CLONE_PIDFD, .pidfd = (uintptr_t)&fd };
	pid_t pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		syscall(SYS_exit_group, 0);
	if (pid < 0)
		return error_errno(err, errno, "cannot make a process for a dead one's pidfd");
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	return fd;
}

static int pidfd_open_file(struct restore *rst, Img__FileEntry *entry, int *ret_fd,
			   struct error *err)
{
	const Img__Pidfd *pidfd = entry->pidfd;
	int fd;

	if (!pidfd)
		return error_set(err, ERROR_INPUT, EBADMSG, "pidfd %u has no content", entry->id);
	if (pidfd->nspid == -1) {
		fd = pidfd_of_dead(err);
		if (fd < 0)
			return fd;
		*ret_fd = fd;
		return file_params_restore(fd, pidfd->flags, pidfd->fown, err);
	}
	fd = open("/proc", O_PATH | O_CLOEXEC); /* a place holder */
	if (fd < 0)
		return error_errno(err, errno, "cannot open /proc");
	*ret_fd = fd;
	return 0;
}

static int pidfd_attach(struct restore *rst, struct restore_task *task, Img__FileEntry *entry,
			int fd, struct error *err)
{
	const Img__Pidfd *pidfd = entry->pidfd;
	_cleanup_close_ int real = -1;
	char subject[32];
	int r, flags;

	flags = fcntl(fd, F_GETFL);
	if (flags >= 0 && flags & O_PATH) {
		real = syscall(SYS_pidfd_open, pidfd->nspid, pidfd->flags & (O_NONBLOCK | O_EXCL));
		if (real < 0) {
			(void)snprintf(subject, sizeof(subject), "fd %d", fd);
			restore_gap(rst, GAP_DEGRADED, "pidfd", task->pid, subject,
				    "process %d cannot be opened: %s", pidfd->nspid,
				    strerror(errno));
			return RESTORE_GAP;
		}
		r = restore_file_replace(task, entry->id, real, err);
		if (r == 0)
			r = file_params_restore(fd, pidfd->flags, pidfd->fown, err);
		if (r < 0)
			return r;
	}
	return fown_attach(rst, task, pidfd->fown, fd, err);
}

const struct fd_kind pidfd_kind = {
	.name = "pidfd",
	.type = IMG__FD_TYPES__PIDFD,
	.match = pidfd_match,
	.capture = pidfd_capture,
	.open = pidfd_open_file,
	.attach = pidfd_attach,
};
