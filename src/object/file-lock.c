// SPDX-License-Identifier: Apache-2.0
/*
 * file-lock: flock, POSIX and OFD locks and leases, both directions.
 *
 * fdinfo says which descriptor holds a lock; nothing is ever tried on the file to find out. Locks
 * of a description are written once, with the first descriptor that leads to it; POSIX locks belong
 * to the task. A request that waits is not a lock: the call is made again by the task itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include "kernel/proc-fdinfo.h"
#include "object/fd-capture.h"
#include "object/fd-kinds.h"
#include "object/task-kinds.h"

/* Values of FileLock.flag and of the bit in FileLock.type, as in CRIU 4.2. */
#define LOCK_OF_POSIX  1
#define LOCK_OF_FLOCK  2
#define LOCK_OF_OFD    4
#define LOCK_OF_LEASE  8
#define LEASE_BREAKING 4

static uint32_t lock_flag(enum proc_lock_kind kind)
{
	switch (kind) {
	case PROC_LOCK_POSIX:
		return LOCK_OF_POSIX;
	case PROC_LOCK_FLOCK:
		return LOCK_OF_FLOCK;
	case PROC_LOCK_OFD:
		return LOCK_OF_OFD;
	case PROC_LOCK_LEASE:
		return LOCK_OF_LEASE;
	case PROC_LOCK_DELEG:
	case PROC_LOCK_OTHER:
		break;
	}
	return 0;
}

static uint32_t lock_type(enum proc_lock_access access)
{
	if (access == PROC_LOCK_READ)
		return F_RDLCK;
	return access == PROC_LOCK_WRITE ? F_WRLCK : F_UNLCK;
}

static int lock_add(struct capture *cap, const struct fd_facts *facts, const struct proc_lock *lock,
		    uint32_t flag, struct error *err)
{
	Img__FileLock *out = img_new(cap->set, Img__FileLock, file_lock);

	if (!out)
		return error_nomem(err);
	out->flag = flag;
	out->type = lock_type(lock->access);
	out->pid = facts->task->ns_pid;
	out->fd = facts->fd;
	out->start = lock->start;
	out->len = lock->end == UINT64_MAX ? 0 : lock->end - lock->start + 1;
	return image_add(cap->set, IMAGE_FILE_LOCKS, 0, &out->base, (struct bytes){ 0 }, err);
}

int file_lock_capture(struct capture *cap, const struct fd_facts *facts, bool new_description,
		      bool new_in_task, struct error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < facts->info->n_locks; i++) {
		const struct proc_lock *lock = &facts->info->locks[i];
		uint32_t flag = lock_flag(lock->kind);

		if (lock->blocked || !flag ||
		    !(flag == LOCK_OF_POSIX ? new_in_task : new_description))
			continue;
		if (flag == LOCK_OF_LEASE && lock->lease != PROC_LEASE_ACTIVE)
			r = fd_gap(cap, facts, GAP_DEGRADED, "lease", 0, err,
				   "a lease that is being broken is not captured");
		else
			r = lock_add(cap, facts, lock, flag, err);
	}
	return r;
}

static struct flock lock_range(const Img__FileLock *lock)
{
	return (struct flock){ .l_type = lock->type,
			       .l_whence = SEEK_SET,
			       .l_start = lock->start,
			       .l_len = lock->len };
}

static int lock_set(const Img__FileLock *lock)
{
	struct flock range = lock_range(lock);

	switch (lock->flag) {
	case LOCK_OF_FLOCK:
		return flock(lock->fd, (lock->type == F_RDLCK ? LOCK_SH : LOCK_EX) | LOCK_NB);
	case LOCK_OF_POSIX:
		return fcntl(lock->fd, F_SETLK, &range);
	case LOCK_OF_OFD:
		return fcntl(lock->fd, F_OFD_SETLK, &range);
	case LOCK_OF_LEASE:
		return fcntl(lock->fd, F_SETLEASE, (int)(lock->type & ~LEASE_BREAKING));
	default:
		errno = EINVAL;
		return -1;
	}
}

static int file_lock_revive(struct restore *rst, struct restore_task *task, struct error *err)
{
	const struct image *image = image_find(rst->set, IMAGE_FILE_LOCKS, 0);
	size_t i;

	for (i = 0; image && i < image->n_entries; i++) {
		const Img__FileLock *lock = image_message(image, i);
		char subject[32];

		if (!lock || lock->pid != task->pid || lock_set(lock) == 0)
			continue;
		(void)snprintf(subject, sizeof(subject), "fd %d", lock->fd);
		restore_gap(rst, GAP_DEGRADED, "file-lock", task->pid, subject,
			    "its lock cannot be taken again: %s", strerror(errno));
	}
	return 0;
}

/*
 * A task loses its POSIX locks of a file when it closes any descriptor of it, and it is about to
 * close those that all tasks got to choose from. So these come first, and the locks (that could be
 * had: see above) once more behind them.
 */
static int file_lock_revive_thread(struct restore *rst, struct restore_task *task, size_t thread,
				   struct script *s, struct error *err)
{
	const struct image *image = image_find(rst->set, IMAGE_FILE_LOCKS, 0);
	bool closed = false;
	size_t i;

	if (thread + 1 != task->n_threads)
		return 0;
	for (i = 0; image && i < image->n_entries; i++) {
		const Img__FileLock *lock = image_message(image, i);
		struct flock range;
		uint64_t addr;

		if (!lock || lock->pid != task->pid || lock->flag != LOCK_OF_POSIX)
			continue;
		if (!closed)
			(void)script_call(s, SYS_close_range, rst->fd_base, ~0U, 0);
		closed = true;
		range = lock_range(lock);
		addr = script_data(s, &range, sizeof(range));
		if (!addr)
			return error_nomem(err);
		(void)script_call(s, SYS_fcntl, lock->fd, F_SETLK, addr);
	}
	return 0;
}

const struct task_kind file_lock_kind = {
	.name = "file-locks",
	.revive = file_lock_revive,
	.revive_thread = file_lock_revive_thread,
};
