// SPDX-License-Identifier: Apache-2.0
/*
 * fown: signal owners and status flags of open files, both directions.
 *
 * The owner is asked through our duplicate, so its pid is in our numbering and must be translated:
 * an image never holds a pid of the host.
 */
#include "object/fown.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "object/fd-capture.h"

#ifndef F_GETOWNER_UIDS
#define F_GETOWNER_UIDS 17
#endif

/* What F_SETFL can change; the rest of the flags belongs to open(). */
#define FLAGS_SETTABLE (O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME)

Img__Fown *fown_none(struct image_set *set)
{
	return img_new(set, Img__Fown, fown);
}

pid_t capture_pid(struct capture *cap, pid_t pid)
{
	struct task *task = pid > 0 ? task_find(cap->tree, pid) : NULL;

	return task ? task->ns_pid : 0;
}

/* A group or session whose leader has left lives on in its members, and their status names it. */
static pid_t number_in_member(struct task *task, bool session)
{
	_cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
	struct proc_status status;

	if (proc_status_read(task->proc_fd, &arena, &status, NULL) < 0 || !status.n_ns)
		return 0;
	return session ? status.ns_sid[status.n_ns - 1] : status.ns_pgid[status.n_ns - 1];
}

pid_t capture_pgid(struct capture *cap, pid_t pgid)
{
	pid_t leader = capture_pid(cap, pgid);
	struct task *task;

	if (leader || pgid <= 0)
		return leader;
	foreach_task (task, cap->tree)
		if (task->pgid == pgid)
			return number_in_member(task, false);
	return 0;
}

pid_t capture_sid(struct capture *cap, pid_t sid)
{
	pid_t leader = capture_pid(cap, sid);
	struct task *task;

	if (leader || sid <= 0)
		return leader;
	foreach_task (task, cap->tree)
		if (task->sid == sid)
			return number_in_member(task, true);
	return 0;
}

int fown_capture(struct capture *cap, const struct fd_facts *facts, Img__Fown **ret,
		 struct error *err)
{
	struct f_owner_ex owner = { 0 };
	Img__Fown *fown;
	uint32_t uids[2];
	int signo;
	pid_t pid;

	fown = fown_none(cap->set);
	if (!fown)
		return error_nomem(err);
	*ret = fown;
	if (facts->dup < 0 || (facts->flags & O_PATH))
		return 0;

	signo = fcntl(facts->dup, F_GETSIG);
	if (signo > 0)
		fown->signum = signo;
	if (fcntl(facts->dup, F_GETOWN_EX, &owner) < 0 || owner.pid == 0)
		return 0;

	pid = owner.type == F_OWNER_PGRP ? capture_pgid(cap, owner.pid)
					 : capture_pid(cap, owner.pid);
	if (pid <= 0)
		return fd_gap(cap, facts, GAP_COSMETIC, "file-owner", 0, err,
			      "its signals go to process %d, outside of the container",
			      (int)owner.pid);
	if (fcntl(facts->dup, F_GETOWNER_UIDS, uids) == 0) {
		fown->uid = uids[0];
		fown->euid = uids[1];
	}
	fown->pid_type = owner.type;
	fown->pid = pid;
	return 0;
}

int file_params_restore(int fd, uint32_t flags, const Img__Fown *fown, struct error *err)
{
	int now;

	now = fcntl(fd, F_GETFL);
	if (now < 0)
		return error_errno(err, errno, "cannot read the flags of descriptor %d", fd);
	if (now & O_PATH)
		return 0;
	if ((now ^ flags) & FLAGS_SETTABLE) {
		now = (now & ~FLAGS_SETTABLE) | (flags & FLAGS_SETTABLE);
		if (fcntl(fd, F_SETFL, now) < 0)
			return error_errno(err, errno, "cannot set flags 0%o of descriptor %d", now,
					   fd);
	}
	if (fown && fown->signum && fcntl(fd, F_SETSIG, (int)fown->signum) < 0)
		return error_errno(err, errno, "cannot set signal %u of descriptor %d",
				   fown->signum, fd);
	return 0;
}

/* Does a task have a descriptor of this description? */
static const Img__Fdinfo *task_descriptor(const struct restore_task *task, uint32_t id)
{
	size_t i;

	if (!task->fdinfo)
		return NULL;
	for (i = 0; i < task->fdinfo->n_entries; i++) {
		const Img__Fdinfo *info = image_message(task->fdinfo, i);

		if (info && info->id == id)
			return info;
	}
	return NULL;
}

struct restore_task *restore_file_first_task(struct restore *rst, uint32_t id, int *ret_fd)
{
	struct restore_task *found = NULL;
	size_t i;

	for (i = 0; i < rst->n_tasks; i++) {
		struct restore_task *task = &rst->tasks[i];
		const Img__Fdinfo *info;

		if (found && found->pid < task->pid)
			continue;
		info = task_descriptor(task, id);
		if (!info)
			continue;
		found = task;
		if (ret_fd)
			*ret_fd = info->fd;
	}
	return found;
}

int restore_file_replace(const struct restore_task *task, uint32_t id, int fd, struct error *err)
{
	size_t i;

	for (i = 0; task->fdinfo && i < task->fdinfo->n_entries; i++) {
		const Img__Fdinfo *info = image_message(task->fdinfo, i);
		int cloexec;

		if (!info || info->id != id)
			continue;
		cloexec = info->flags & FD_CLOEXEC ? O_CLOEXEC : 0;
		if (dup3(fd, info->fd, cloexec) < 0)
			return error_errno(err, errno, "cannot replace descriptor %u", info->fd);
	}
	return 0;
}

/* The kernel records the credentials of whoever sets an owner and checks them when it signals. */
static int fown_set(int fd, const Img__Fown *fown)
{
	struct f_owner_ex owner = { .type = fown->pid_type, .pid = fown->pid };
	uid_t ruid, euid, suid;
	int r = 0;

	if (getresuid(&ruid, &euid, &suid) < 0)
		return -errno;
	if (syscall(SYS_setresuid, fown->uid, fown->euid, suid) < 0)
		return -errno;
	if (fcntl(fd, F_SETOWN_EX, &owner) < 0)
		r = -errno;
	if (syscall(SYS_setresuid, ruid, euid, suid) < 0)
		return -errno;
	return r;
}

int fown_attach(struct restore *rst, struct restore_task *task, const Img__Fown *fown, int fd,
		struct error *err)
{
	char subject[64];
	int r;

	if (!fown || !fown->pid)
		return 0;
	r = fown_set(fd, fown);
	if (r >= 0)
		return 0;
	/* Not born yet, and it will come by here itself? */
	if (r == -ESRCH && (pid_t)fown->pid != task->pid && restore_task_find(rst, fown->pid))
		return 0;
	snprintf(subject, sizeof(subject), "fd %d", fd);
	restore_gap(rst, GAP_DEGRADED, "file-owner", task->pid, subject,
		    "its signals cannot be sent to process %u: %s", fown->pid, strerror(-r));
	error_clear(err);
	return RESTORE_GAP;
}
