// SPDX-License-Identifier: Apache-2.0
/*
 * tasks: the process tree and everything of every task, in the stop.
 */
#include <errno.h>

#include "checkpoint/run.h"
#include "kernel/kcmp.h"
#include "object/fd-capture.h"
#include "object/socket.h"
#include "object/task-capture.h"

/* Tasks by one part of them (memory, descriptors...), in the kernel's order, each with its id. */
struct part_index {
	enum kcmp_what what;
	struct part {
		pid_t pid;
		uint32_t id;
	} * parts;
	size_t n;
};

/* The id of a part; *ret_new says whether this is the first task that has it. */
static int part_id(struct checkpoint *c, struct part_index *index, pid_t pid, uint32_t *ret,
		   bool *ret_new, struct error *err)
{
	size_t lo = 0, hi = index->n, mid;
	struct part *grown;
	int order, r;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		r = kcmp_task(pid, index->parts[mid].pid, index->what, &order, err);
		if (r < 0)
			return r;
		order = kcmp_order(order);
		if (order == 0) {
			*ret = index->parts[mid].id;
			*ret_new = false;
			return 0;
		}
		if (order < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	grown = arena_grow(&c->set.arena, index->parts, index->n, sizeof(*grown));
	if (!grown)
		return error_nomem(err);
	index->parts = grown;
	for (mid = index->n++; mid > lo; mid--)
		index->parts[mid] = index->parts[mid - 1];
	*ret = capture_next_id(&c->cap);
	*ret_new = true;
	index->parts[lo] = (struct part){ pid, *ret };
	return 0;
}

struct parts {
	struct part_index vm, files, fs, sighand;
};

static int capture_ids(struct checkpoint *c, struct task *task, struct parts *parts,
		       Img__TaskKobjIds **ret, bool *new_files, struct error *err)
{
	Img__TaskKobjIds *ids = img_new(&c->set, Img__TaskKobjIds, task_kobj_ids);
	bool is_new;
	int r;

	if (!ids)
		return error_nomem(err);
	r = part_id(c, &parts->vm, task->pid, &ids->vm_id, &is_new, err);
	if (r == 0 && !is_new &&
	    gap_add(c->gaps, GAP_DEGRADED, "task", task->ns_pid, "memory",
		    "shares its address space with another process (vfork or CLONE_VM); a restore "
		    "gives it a copy") < 0)
		r = error_nomem(err);
	if (r == 0)
		r = part_id(c, &parts->files, task->pid, &ids->files_id, new_files, err);
	if (r == 0)
		r = part_id(c, &parts->fs, task->pid, &ids->fs_id, &is_new, err);
	if (r == 0)
		r = part_id(c, &parts->sighand, task->pid, &ids->sighand_id, &is_new, err);
	if (r == 0)
		r = checkpoint_ns_ids(c, task, ids, err);
	if (r == 0)
		r = image_add(&c->set, IMAGE_IDS, (uint32_t)task->ns_pid, &ids->base,
			      (struct bytes){ 0 }, err);
	*ret = ids;
	return r;
}

/* Numbers of the innermost pid namespace: what the program sees. */
static int capture_pstree(struct checkpoint *c, struct task *task, struct error *err)
{
	Img__Pstree *item = img_new(&c->set, Img__Pstree, pstree);
	const struct proc_status *status = &task->status;
	size_t i;

	if (!item)
		return error_nomem(err);
	item->pid = (uint32_t)task->ns_pid;
	item->ppid = task->parent ? (uint32_t)task->parent->ns_pid : 0;
	item->pgid = status->n_ns ? (uint32_t)status->ns_pgid[status->n_ns - 1] : 0;
	item->sid = status->n_ns ? (uint32_t)status->ns_sid[status->n_ns - 1] : 0;
	item->threads = arena_array(&c->set.arena, uint32_t, MAX(task->n_threads, (size_t)1));
	if (!item->threads)
		return error_nomem(err);
	for (i = 0; i < task->n_threads; i++)
		item->threads[item->n_threads++] = (uint32_t)task->threads[i].ns_tid;
	if (!task->n_threads)
		item->threads[item->n_threads++] = item->pid; /* a zombie is its own only thread */
	return image_add(&c->set, IMAGE_PSTREE, 0, &item->base, (struct bytes){ 0 }, err);
}

static int capture_task(struct checkpoint *c, struct task *task, struct parts *parts,
			struct error *err)
{
	Img__TaskKobjIds *ids = NULL;
	Img__Core *core = NULL;
	Img__Mm *mm = NULL;
	bool new_files = false;
	int r;

	r = capture_pstree(c, task, err);
	if (r < 0)
		return r;
	if (task->state == TASK_ZOMBIE)
		return task_capture(&c->cap, task, NULL, &core, err);
	r = capture_ids(c, task, parts, &ids, &new_files, err);
	if (r == 0)
		r = checkpoint_capture_mm(c, task, &mm, err);
	if (r == 0)
		r = task_capture(&c->cap, task, mm, &core, err);
	if (r == 0)
		r = image_add(&c->set, IMAGE_MM, (uint32_t)task->ns_pid, &mm->base,
			      (struct bytes){ 0 }, err);
	if (r == 0)
		r = checkpoint_add_pages(c, task, mm, err);
	if (r == 0 && new_files)
		r = fd_capture_task(&c->cap, task, ids->files_id, err);
	return r;
}

int checkpoint_capture_tasks(struct checkpoint *c, struct error *err)
{
	struct parts parts = {
		.vm.what = KCMP_OF_VM,
		.files.what = KCMP_OF_FILES,
		.fs.what = KCMP_OF_FS,
		.sighand.what = KCMP_OF_SIGHAND,
	};
	struct task *task;
	char name[40];
	int r;

	foreach_task (task, &c->tree) {
		r = op_cancelled(&c->op, err);
		if (r == 0)
			r = capture_task(c, task, &parts, err);
		if (r < 0)
			return error_while(err, r, "capturing task %s",
					   task_name(task, name, sizeof(name)));
		c->result->n_tasks++;
		c->result->n_threads += task->n_threads;
	}
	r = fd_capture_finish(&c->cap, err);
	return r < 0 ? r : sock_index_finish(&c->cap, err);
}
