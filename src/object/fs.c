// SPDX-License-Identifier: Apache-2.0
/*
 * fs: working directory, root directory and umask of a task, both directions.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "object/file-index.h"
#include "object/reg-file.h"
#include "object/task-kinds.h"

/* A directory that cannot be named becomes the root: every task must have one. */
static int fs_directory(struct capture *cap, struct task *task, const char *link, uint32_t *ret_id,
			struct error *err)
{
	int r = reg_file_capture(cap, task, task->proc_fd, link, O_RDONLY, ret_id, err);

	if (r != CAPTURE_GAP)
		return r;
	return reg_file_capture(cap, cap->root, cap->root->proc_fd, "root", O_RDONLY, ret_id, err);
}

static int fs_take(struct capture *cap, struct task_capture *tc, struct script *s, void *state,
		   struct error *err)
{
	Img__Fs *fs;
	int r;

	if (tc->task->state == TASK_ZOMBIE)
		return 0;
	fs = img_new(cap->set, Img__Fs, fs);
	if (!fs)
		return error_nomem(err);
	r = fs_directory(cap, tc->task, "cwd", &fs->cwd_id, err);
	if (r == 0)
		r = fs_directory(cap, tc->task, "root", &fs->root_id, err);
	if (r < 0)
		return r;
	if (r == CAPTURE_GAP)
		return error_set(err, ERROR_SYSTEM, EIO,
				 "process %d has no root directory that the container can name",
				 (int)tc->task->pid);
	if (tc->task->status.has_umask) {
		fs->has_umask = true;
		fs->umask = tc->task->status.umask;
	}
	return image_add(cap->set, IMAGE_FS, tc->task->ns_pid, &fs->base, (struct bytes){ 0 }, err);
}

/* A descriptor of a directory entry: the one opened for all tasks, or one by its name. */
static int fs_open(struct restore *rst, uint32_t id, int *ret_fd, struct error *err)
{
	const struct restore_file *file = restore_file_find(rst, id);

	if (!file || !file->entry->reg)
		return error_set(err, ERROR_INPUT, EBADMSG, "directory %u is not in the images",
				 id);
	if (file->fd >= 0) {
		*ret_fd = fcntl(file->fd, F_DUPFD_CLOEXEC, rst->fd_base);
		if (*ret_fd >= 0)
			return 0;
	}
	return reg_file_open(rst, file->entry->reg, ret_fd, err);
}

static int fs_enter(struct restore *rst, struct restore_task *task, uint32_t id, bool root,
		    struct error *err)
{
	_cleanup_close_ int fd = -1;
	const struct restore_file *file = restore_file_find(rst, id);
	int r;

	if (root && file && file->entry->reg && strcmp(file->entry->reg->name, "/") == 0)
		return 0;
	r = fs_open(rst, id, &fd, err);
	if (r < 0)
		return r;
	if (r == 0 && fchdir(fd) == 0 && (!root || chroot(".") == 0))
		return 0;
	if (root)
		return error_errno(err, errno, "cannot make %s the root of process %d",
				   file->entry->reg->name, (int)task->pid);
	restore_gap(rst, GAP_DEGRADED, "cwd", task->pid, file->entry->reg->name,
		    "cannot be the working directory: %s", strerror(errno));
	return chdir("/") < 0 ? error_errno(err, errno, "cannot enter /") : 0;
}

static int fs_revive(struct restore *rst, struct restore_task *task, struct error *err)
{
	const Img__Fs *fs = task->fs;
	int r;

	if (!fs)
		return 0;
	r = fs_enter(rst, task, fs->root_id, true, err);
	if (r == 0)
		r = fs_enter(rst, task, fs->cwd_id, false, err);
	if (r == 0 && fs->has_umask)
		umask(fs->umask);
	return r;
}

const struct task_kind fs_kind = {
	.name = "fs",
	.take = fs_take,
	.revive = fs_revive,
};
