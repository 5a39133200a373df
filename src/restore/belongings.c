// SPDX-License-Identifier: Apache-2.0
/*
 * belongings: what a newborn task puts in order by itself, in plain C, before it becomes a puppet.
 *
 * Its address space is still amber's and its privileges are whole. Memory, threads, registers and
 * the loss of privileges come later, from outside.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/rseq.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "kernel/proc-maps.h"
#include "kernel/proc.h"
#include "memory/hole.h"
#include "memory/space.h"
#include "restore/birth.h"

#define HOLE_LOW 0x10000000ULL /* above what mmap_min_addr and old programs use */
#ifndef RSEQ_SIG
#define RSEQ_SIG 0x53053053
#endif

/* Symbols of the C library: where it has registered its area with the kernel. */
extern const ptrdiff_t __rseq_offset;
extern const unsigned int __rseq_size;

static int take_descriptors(struct run *run, struct restore_task *task, struct error *err)
{
	struct restore *rst = &run->rst;
	const Img__Fdinfo *info;
	size_t i;

	if (close_range(0, (unsigned int)rst->fd_base - 1, 0) < 0)
		return error_errno(err, errno, "closing descriptors");
	for (i = 0; (info = restore_task_fdinfo(task, i)); i++) {
		struct restore_file *file = restore_file_find(rst, info->id);
		int cloexec = info->flags & FD_CLOEXEC ? O_CLOEXEC : 0;

		if (!file)
			return error_set(err, ERROR_INPUT, EINVAL,
					 "descriptor %u refers to file %u, which the images lack",
					 info->fd, info->id);
		if (file->fd >= 0 && dup3(file->fd, (int)info->fd, cloexec) < 0)
			return error_errno(err, errno, "making descriptor %u", info->fd);
	}
	return 0;
}

/* Once for each description: its first descriptor here stands for all. */
static int attach_descriptors(struct run *run, struct restore_task *task, struct error *err)
{
	struct restore *rst = &run->rst;
	_cleanup_free_ bool *done = calloc(rst->n_files + 1, sizeof(*done));
	const Img__Fdinfo *info;
	size_t i;
	int r;

	if (!done)
		return error_nomem(err);
	for (i = 0; (info = restore_task_fdinfo(task, i)); i++) {
		struct restore_file *file = restore_file_find(rst, info->id);

		if (file->fd < 0 || !file->kind->attach || done[file - rst->files])
			continue;
		done[file - rst->files] = true;
		r = file->kind->attach(rst, task, file->entry, (int)info->fd, err);
		if (r < 0)
			return error_while(err, r, "descriptor %u (%s)", info->fd,
					   file->kind->name);
	}
	return 0;
}

static int revive_kinds(struct run *run, struct restore_task *task, struct error *err)
{
	size_t i;
	int r;

	for (i = 0; task_kinds[i]; i++) {
		if (!task_kinds[i]->revive)
			continue;
		r = task_kinds[i]->revive(&run->rst, task, err);
		if (r < 0)
			return error_while(err, r, "restoring %s", task_kinds[i]->name);
	}
	return 0;
}

/* The kernel would write to the C library's area whenever the task is moved to another processor.
 */
static void leave_rseq(void)
{
	char *area = (char *)__builtin_thread_pointer() + __rseq_offset;
	unsigned int size = MAX(__rseq_size, 32U);

	if (__rseq_size)
		(void)syscall(SYS_rseq, area, size, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

/* Room for scripts and the vdso that is free in both address spaces. */
static int make_room(struct run *run, struct restore_task *task, struct error *err)
{
	_cleanup_close_ int self = openat(run->fd_proc, "self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct board_slot *slot = &run->board->slots[task->index];
	struct arena arena = ARENA_INIT;
	struct hole_range *taken;
	struct proc_maps maps;
	size_t i, n = 0;
	uint64_t at;
	int r;

	if (self < 0)
		return error_errno(err, errno, "opening /proc/self");
	r = proc_maps_read(self, PROC_MAPS_ONLY, &arena, &maps, err);
	if (r < 0)
		goto out;
	taken = arena_array(&arena, struct hole_range, maps.n_vmas + task->mm->n_vmas);
	if (!taken) {
		r = error_nomem(err);
		goto out;
	}
	for (i = 0; i < maps.n_vmas; i++)
		taken[n++] = (struct hole_range){ maps.vmas[i].start, maps.vmas[i].end };
	for (i = 0; i < task->mm->n_vmas; i++)
		taken[n++] =
			(struct hole_range){ task->mm->vmas[i]->start, task->mm->vmas[i]->end };
	r = hole_find(taken, n, SPACE_AREA_SIZE + SPACE_PARK_SIZE, HOLE_LOW, RESTORE_ADDRESS_END,
		      &at, err);
	if (r < 0)
		goto out;

	if (mmap((void *)(uintptr_t)at, SPACE_AREA_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED ||
	    mprotect((void *)(uintptr_t)at, AMBER_PAGE_SIZE, PROT_READ | PROT_EXEC) < 0)
		r = error_errno(err, errno, "mapping the scratch area at %#llx",
				(unsigned long long)at);
	slot->area = at;
	slot->park = at + SPACE_AREA_SIZE;
out:
	arena_deinit(&arena);
	return r;
}

/* A table that is shared is put in order by the eldest; meanwhile nobody else may open anything. */
static int own_descriptors(struct run *run, const struct plan_node *node, struct error *err)
{
	uint32_t *done = &run->board->slots[node->task->index].fds_done;
	int r = 0;

	if (node->share_files)
		board_flag_wait(&run->board->slots[node->mother->task->index].fds_done);
	else
		r = take_descriptors(run, node->task, err);
	if (r >= 0)
		board_flag_raise(done);
	if (r >= 0 && !node->share_files)
		r = attach_descriptors(run, node->task, err);
	return r;
}

int belongings_take(struct run *run, const struct plan_node *node, struct error *err)
{
	struct restore_task *task = node->task;
	int r;

	r = own_descriptors(run, node, err);
	if (r < 0)
		return r;
	r = revive_kinds(run, task, err);
	if (r < 0)
		return r;
	leave_rseq();
	return make_room(run, task, err);
}
