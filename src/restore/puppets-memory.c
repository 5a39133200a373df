// SPDX-License-Identifier: Apache-2.0
/*
 * puppets-memory: how each mapping of the image is made, decided here, done by memory/space.
 *
 * A mapping that amber cannot bring back becomes a note where the program can live without it, and
 * an error where its contents would be a lie.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "memory/space.h"
#include "memory/vma.h"
#include "restore/anon.h"
#include "restore/puppets.h"

/* The descriptor of a file in every task, -1 when it could not be opened. */
static int file_fd(struct run *run, uint32_t id)
{
	struct restore_file *file = restore_file_find(&run->rst, id);
	size_t i = file ? (size_t)(file - run->rst.files) : 0;

	return file && run->board->file_open[i] ? run->rst.fd_base + (int)i : -1;
}

/* The access mode with which pid 1 opened a file, -1 = not known. */
static int file_access(struct run *run, uint32_t id)
{
	const struct restore_file *file = restore_file_find(&run->rst, id);

	if (file && file->entry->memfd)
		return (int)(file->entry->memfd->flags & O_ACCMODE);
	if (file && file->entry->reg)
		return (int)(file->entry->reg->flags & O_ACCMODE);
	return -1;
}

static void vma_gap(struct run *run, const struct restore_task *task, const Img__Vma *vma,
		    const char *why)
{
	char subject[64];

	(void)snprintf(subject, sizeof(subject), "mapping %llx-%llx",
		       (unsigned long long)vma->start, (unsigned long long)vma->end);
	restore_gap(&run->rst, GAP_DEGRADED, "vma", task->pid, subject, "%s", why);
}

/* How one mapping of the image is to be made. */
static int vma_plan(struct run *run, const struct restore_task *task, const Img__Vma *vma,
		    struct space_vma *ret, struct error *err)
{
	int access;

	*ret = (struct space_vma){ .kind = SPACE_SKIP, .fd = -1 };
	if (vma->status & (VMA_STATUS_VSYSCALL | VMA_STATUS_VDSO | VMA_STATUS_VVAR |
			   VMA_STATUS_GUARD | VMA_STATUS_UPROBES))
		return 0;
	if (vma->status & (VMA_STATUS_AIORING | VMA_STATUS_SHSTK)) {
		vma_gap(run, task, vma,
			vma->status & VMA_STATUS_AIORING ? "rings of Linux AIO are not restored"
							 : "shadow stacks are not restored");
		return 0;
	}
	if (!(vma->status & VMA_STATUS_REGULAR)) {
		vma_gap(run, task, vma, "amber does not know this kind of mapping");
		return 0;
	}
	if (vma->status & VMA_STATUS_SYSVIPC) {
		*ret = (struct space_vma){ .kind = SPACE_SYSV, .sysv_id = (int)vma->shmid };
		return 0;
	}
	if (anon_is(vma)) {
		*ret = (struct space_vma){ .kind = SPACE_FILE, .fd = anon_fd(run, vma->shmid) };
		return 0;
	}
	if (vma->status & (VMA_STATUS_FILE_PRIVATE | VMA_STATUS_FILE_SHARED | VMA_STATUS_MEMFD |
			   VMA_STATUS_SOCKET)) {
		*ret = (struct space_vma){ .kind = SPACE_FILE,
					   .fd = file_fd(run, (uint32_t)vma->shmid) };
		if (ret->fd < 0)
			return error_set(
				err, ERROR_INPUT, ENOENT,
				"task %d maps file %llu at %#llx, which could not be opened",
				task->pid, (unsigned long long)vma->shmid,
				(unsigned long long)vma->start);
		access = file_access(run, (uint32_t)vma->shmid);
		ret->reopen = vma->has_fdflags && access >= 0 &&
			      access != (int)(vma->fdflags & O_ACCMODE);
		return 0;
	}
	ret->kind = SPACE_ANON;
	return 0;
}

/*
 * Is the code of the image's vdso another than that of this kernel? Its functions' addresses are in
 * the program's tables. Images without its pages cannot tell.
 */
static bool vdso_changed(struct run *run, const struct restore_task *task)
{
	const struct puppet *puppet = run->puppets[task->index];
	unsigned char there[AMBER_PAGE_SIZE], here[AMBER_PAGE_SIZE];
	struct arena arena = ARENA_INIT;
	struct fill_plan plan;
	struct fill_run part;
	bool changed = false;
	size_t i, from = 0;
	uint64_t at = 0;

	/* With descriptors of ours this time. */
	if (fill_plan_make(task->pagemap, run->req->pages, run->req->n_pages, "", &arena, &plan,
			   NULL) < 0)
		goto out;
	for (i = 0; i < task->mm->n_vmas && !changed; i++) {
		const Img__Vma *vma = task->mm->vmas[i];

		if (!(vma->status & VMA_STATUS_VDSO))
			continue;
		while (!changed && fill_plan_clip(&plan, vma->start, vma->end, &from, &at, &part)) {
			/* Page by page, as far as the first that differs. */
			at = part.vaddr + AMBER_PAGE_SIZE;
			changed = fd_pread_all(plan.file->fd, there, sizeof(there),
					       (off_t)part.offset, NULL) < 0 ||
				  task_read(&puppet->task, part.vaddr, here, sizeof(here), NULL) <
					  0 ||
				  memcmp(there, here, sizeof(here)) != 0;
		}
	}
out:
	arena_deinit(&arena);
	return changed;
}

static int memory_of(struct run *run, struct restore_task *task, struct error *err)
{
	struct board_slot *slot = &run->board->slots[task->index];
	struct arena arena = ARENA_INIT;
	struct space_vma *vmas;
	struct space space = {
		.op = run->rst.op,
		.puppet = run->puppets[task->index],
		.area = slot->area,
		.area_size = SPACE_AREA_SIZE,
		.park = slot->park,
		.mm = task->mm,
		.proc_fd = run->fd_proc,
		.exe_fd = file_fd(run, task->mm->exe_file_id),
		.pid = task->pid,
	};
	char name[32];
	size_t i;
	int r = 0;

	vmas = arena_array(&arena, struct space_vma, task->mm->n_vmas + 1);
	if (!vmas)
		return error_nomem(err);
	for (i = 0; r >= 0 && i < task->mm->n_vmas; i++)
		r = vma_plan(run, task, task->mm->vmas[i], &vmas[i], err);
	space.vmas = vmas;
	(void)snprintf(name, sizeof(name), "task %d", task->pid);
	if (r >= 0)
		r = fill_plan_make(task->pagemap, run->pages, run->req->n_pages, name, &arena,
				   &space.fill, err);
	if (r >= 0)
		r = space_build(&space, err);
	arena_deinit(&arena);
	if (r < 0)
		return r;
	if (space.exe_fd < 0)
		restore_gap(&run->rst, GAP_DEGRADED, "exe", task->pid, "/proc/self/exe",
			    "the executable could not be opened; the link names amber");
	if (space.vdso_differs || vdso_changed(run, task))
		restore_gap(&run->rst, GAP_DEGRADED, "vdso", task->pid, "[vdso]",
			    "this kernel's differs from the checkpoint's: calls that read clocks "
			    "may jump astray");
	return 0;
}

int puppets_memory(struct run *run, struct error *err)
{
	size_t i;
	int r;

	for (i = 0; i < run->rst.n_tasks; i++) {
		if (!run->puppets[i])
			continue;
		op_progress(run->rst.op, "restoring memory, tasks", i, run->rst.n_tasks);
		r = memory_of(run, &run->rst.tasks[i], err);
		if (r < 0)
			return r;
	}
	op_progress_end(run->rst.op);
	return 0;
}
