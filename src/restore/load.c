// SPDX-License-Identifier: Apache-2.0
/*
 * load: from an image set to the tasks, threads and files of a restore. Never touches the kernel.
 */
#include "restore/load.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "kernel/ns.h"
#include "memory/vma.h"

static int bad(struct error *err, const char *what, uint32_t id)
{
	return error_set(err, ERROR_INPUT, EINVAL, "the images cannot be restored: %s (%u)", what,
			 id);
}

const Img__Fdinfo *restore_task_fdinfo(const struct restore_task *task, size_t i)
{
	return task->fdinfo ? image_message(task->fdinfo, i) : NULL;
}

static int compare_pids(const void *a, const void *b)
{
	const pid_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Every pid and tid exactly once, and none that the kernel could not give. */
static int check_pids(struct restore *rst, struct error *err)
{
	_cleanup_free_ pid_t *pids = NULL;
	size_t i, j, n = 0, total = 0;

	for (i = 0; i < rst->n_tasks; i++)
		total += MAX(rst->tasks[i].n_threads, (size_t)1);
	pids = calloc(total, sizeof(*pids));
	if (!pids)
		return error_nomem(err);

	for (i = 0; i < rst->n_tasks; i++) {
		const struct restore_task *task = &rst->tasks[i];

		if (!task->n_threads)
			pids[n++] = task->pid;
		for (j = 0; j < task->n_threads; j++)
			pids[n++] = task->threads[j].tid;
	}
	qsort(pids, n, sizeof(*pids), compare_pids);
	for (i = 0; i < n; i++) {
		if (pids[i] <= 0 || pids[i] >= RESTORE_PID_MAX)
			return bad(err, "a pid is out of range", (uint32_t)pids[i]);
		if (i && pids[i] == pids[i - 1])
			return bad(err, "two tasks have the same pid", (uint32_t)pids[i]);
	}
	return 0;
}

static int load_threads(struct restore *rst, struct restore_task *task, struct error *err)
{
	const Img__Pstree *item = task->item;
	size_t i, found = 1, n = item->n_threads ? item->n_threads : 1;

	if (n > RESTORE_THREADS_MAX)
		return bad(err, "a task has too many threads", item->pid);
	task->threads = arena_array(&rst->set->arena, struct restore_thread, n);
	if (!task->threads)
		return error_nomem(err);
	/* Stock criu writes uninitialised numbers as the threads of zombies. */
	if (task->zombie)
		n = 1;
	task->n_threads = n;
	task->threads[0] = (struct restore_thread){ .tid = task->pid, .core = task->core };

	if (task->zombie)
		return 0;
	/* In any order in the image; here the leader comes first. */
	for (i = 0; i < item->n_threads; i++) {
		struct restore_thread *thread = &task->threads[found];

		if (item->threads[i] == item->pid)
			continue;
		if (found == n)
			return bad(err, "the leader of a task is not among its threads", item->pid);
		found++;
		thread->tid = (pid_t)item->threads[i];
		thread->core = image_single(rst->set, IMAGE_CORE, item->threads[i]);
		if (!thread->core || !thread->core->thread_info || !thread->core->thread_core)
			return bad(err, "the registers of a thread are missing", item->threads[i]);
	}
	return found == n ? 0 : bad(err, "a task has its leader twice", item->pid);
}

/* Mappings ascending, whole pages, below the end of user addresses (but for vsyscall's). */
static int check_mm(const struct restore_task *task, struct error *err)
{
	const Img__Mm *mm = task->mm;
	uint64_t last = 0;
	size_t i;

	for (i = 0; i < mm->n_vmas; i++) {
		const Img__Vma *vma = mm->vmas[i];

		if (vma->status & (VMA_STATUS_VSYSCALL | VMA_STATUS_GUARD))
			continue;
		if ((vma->start | vma->end) % AMBER_PAGE_SIZE || vma->start >= vma->end ||
		    vma->end > RESTORE_ADDRESS_END)
			return bad(err, "a mapping has impossible bounds", (uint32_t)task->pid);
		if (vma->start < last)
			return bad(err, "mappings overlap", (uint32_t)task->pid);
		last = vma->end;
	}
	return 0;
}

static int load_memory(struct restore *rst, struct restore_task *task, struct error *err)
{
	uint32_t pid = task->item->pid;

	task->mm = image_single(rst->set, IMAGE_MM, pid);
	if (!task->mm)
		return bad(err, "the memory map of a task is missing", pid);
	task->pagemap = image_find(rst->set, IMAGE_PAGEMAP, pid);
	if (!task->pagemap || !task->pagemap->n_entries)
		return bad(err, "the pagemap of a task is missing", pid);
	task->fs = image_single(rst->set, IMAGE_FS, pid);
	if (!task->fs)
		return bad(err, "the working directory of a task is missing", pid);
	if (!task->core->thread_info || !task->core->thread_core)
		return bad(err, "the registers of a task are missing", pid);
	if (task->core->mtype != IMG__CORE__MARCH__X86_64)
		return bad(err, "the images are of another machine architecture", pid);
	if (task->core->thread_info->gpregs->has_mode &&
	    task->core->thread_info->gpregs->mode == IMG__USER_X86_REGS_MODE__COMPAT)
		return bad(err, "32-bit tasks cannot be restored yet", pid);
	return check_mm(task, err);
}

static int load_task(struct restore *rst, struct restore_task *task, Img__Pstree *item,
		     struct error *err)
{
	const Img__Inventory *inventory = image_single(rst->set, IMAGE_INVENTORY, 0);
	uint32_t state;
	int r;

	task->item = item;
	task->pid = (pid_t)item->pid;
	task->ppid = (pid_t)item->ppid;
	task->pgid = (pid_t)item->pgid;
	task->sid = (pid_t)item->sid;
	if (task->pgid < 0 || task->pgid >= RESTORE_PID_MAX || task->sid < 0 ||
	    task->sid >= RESTORE_PID_MAX)
		return bad(err, "a session or group is out of range", item->pid);
	task->core = image_single(rst->set, IMAGE_CORE, item->pid);
	if (!task->core || !task->core->tc)
		return bad(err, "the core image of a task is missing", item->pid);
	state = task->core->tc->task_state;
	task->zombie = state == TASK_STATE_DEAD || state == TASK_STATE_ZOMBIE;

	r = load_threads(rst, task, err);
	if (r < 0 || task->zombie)
		return r;

	task->ids = image_single(rst->set, IMAGE_IDS, item->pid);
	if (!task->ids)
		task->ids = task->core->ids;
	if (!task->ids)
		return bad(err, "the object ids of a task are missing", item->pid);
	task->fdinfo = image_find(rst->set, IMAGE_FDINFO,
				  inventory->has_fdinfo_per_id && inventory->fdinfo_per_id
					  ? task->ids->files_id
					  : item->pid);
	return load_memory(rst, task, err);
}

static int load_tasks(struct restore *rst, struct error *err)
{
	const struct image *pstree = image_find(rst->set, IMAGE_PSTREE, 0);
	size_t i, n = pstree ? pstree->n_entries : 0;
	int r;

	if (!n || n > RESTORE_TASKS_MAX)
		return bad(err, "the process tree is missing or too large", (uint32_t)n);
	rst->tasks = arena_array(&rst->set->arena, struct restore_task, n);
	if (!rst->tasks)
		return error_nomem(err);

	for (i = 0; i < n; i++) {
		rst->n_tasks = i;
		r = load_task(rst, &rst->tasks[i], image_message(pstree, i), err);
		if (r < 0)
			return r;
		rst->tasks[i].index = i;
		/* Parents come first in the image; the root has none in it. */
		if (i) {
			rst->tasks[i].parent = restore_task_find(rst, rst->tasks[i].ppid);
			if (!rst->tasks[i].parent)
				return bad(err, "the parent of a task is missing",
					   rst->tasks[i].item->pid);
		}
	}
	rst->n_tasks = n;
	if (rst->tasks[0].zombie)
		return bad(err, "the root task is dead", rst->tasks[0].item->pid);
	return check_pids(rst, err);
}

static int compare_files(const void *a, const void *b)
{
	const struct restore_file *x = a, *y = b;

	return (x->entry->id > y->entry->id) - (x->entry->id < y->entry->id);
}

static int load_files(struct restore *rst, struct error *err)
{
	const struct image *files = image_find(rst->set, IMAGE_FILES, 0);
	size_t i, j, n = files ? files->n_entries : 0;
	uint32_t top = 2;

	rst->files = arena_array(&rst->set->arena, struct restore_file, n + 1);
	if (!rst->files)
		return error_nomem(err);
	rst->n_files = n;
	for (i = 0; i < n; i++) {
		rst->files[i].entry = image_message(files, i);
		rst->files[i].kind = fd_kind_of(rst->files[i].entry->type);
		rst->files[i].fd = -1;
	}
	if (n)
		qsort(rst->files, n, sizeof(*rst->files), compare_files);
	for (i = 1; i < n; i++)
		if (rst->files[i].entry->id == rst->files[i - 1].entry->id)
			return bad(err, "two files have the same id", rst->files[i].entry->id);

	for (i = 0; i < rst->n_tasks; i++) {
		const Img__Fdinfo *info;

		for (j = 0; (info = restore_task_fdinfo(&rst->tasks[i], j)); j++) {
			if (info->fd >= RESTORE_FD_MAX)
				return bad(err, "a descriptor number is out of range", info->fd);
			top = MAX(top, info->fd);
		}
	}
	rst->fd_base = (int)top + 1;
	return 0;
}

static void load_namespaces(struct restore *rst)
{
	static const struct {
		enum image_kind kind;
		uint32_t flag;
	} kinds[] = {
		{ IMAGE_MOUNTPOINTS, CLONE_NEWNS }, { IMAGE_NETNS, CLONE_NEWNET },
		{ IMAGE_UTSNS, CLONE_NEWUTS },	    { IMAGE_IPC_VAR, CLONE_NEWIPC },
		{ IMAGE_USERNS, CLONE_NEWUSER },    { IMAGE_TIMENS, CLONE_NEWTIME },
	};
	const Img__TaskKobjIds *ids = rst->tasks[0].ids;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (rst->set->images[kinds[i].kind])
			rst->ns_mask |= kinds[i].flag;
	if (rst->tasks[0].pid == 1)
		rst->ns_mask |= CLONE_NEWPID;
	if (ids->has_mnt_ns_id)
		rst->mountpoints = image_find(rst->set, IMAGE_MOUNTPOINTS, ids->mnt_ns_id);
}

int restore_load(struct restore *rst, struct error *err)
{
	int r;

	if (!image_single(rst->set, IMAGE_INVENTORY, 0))
		return bad(err, "inventory.img is missing or damaged", 0);
	r = load_tasks(rst, err);
	if (r < 0)
		return r;
	r = load_files(rst, err);
	if (r < 0)
		return r;
	load_namespaces(rst);
	return 0;
}
