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

#define BATCH ((size_t)32)

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

/* What is known of a task before its session. */
struct entry {
	struct task *task;
	Img__Mm *mm; /* NULL for zombies */
	Img__TaskKobjIds *ids;
	bool new_vm, new_files;
};

/* Tasks whose sessions are held at the same time. */
struct batch {
	struct entry entries[BATCH];
	size_t n;
};

static int capture_ids(struct checkpoint *c, struct task *task, struct parts *parts,
		       struct entry *entry, struct error *err)
{
	Img__TaskKobjIds *ids = img_new(&c->set, Img__TaskKobjIds, task_kobj_ids);
	bool is_new;
	int r;

	if (!ids)
		return error_nomem(err);
	entry->ids = ids;
	r = part_id(c, &parts->vm, task->pid, &ids->vm_id, &entry->new_vm, err);
	if (r == 0 && !entry->new_vm &&
	    gap_add(c->gaps, GAP_DEGRADED, "task", task->ns_pid, "memory",
		    "shares its address space with another process (vfork or CLONE_VM); a restore "
		    "gives it a copy") < 0)
		r = error_nomem(err);
	if (r == 0)
		r = part_id(c, &parts->files, task->pid, &ids->files_id, &entry->new_files, err);
	if (r == 0)
		r = part_id(c, &parts->fs, task->pid, &ids->fs_id, &is_new, err);
	if (r == 0)
		r = part_id(c, &parts->sighand, task->pid, &ids->sighand_id, &is_new, err);
	if (r == 0)
		r = checkpoint_ns_ids(c, task, ids, err);
	if (r == 0)
		r = image_add(&c->set, IMAGE_IDS, (uint32_t)task->ns_pid, &ids->base,
			      (struct bytes){ 0 }, err);
	return r;
}

static int look_at_task(struct checkpoint *c, struct task *task, struct parts *parts,
			struct entry *ret, struct error *err)
{
	int r;

	*ret = (struct entry){ .task = task, .new_vm = true };
	r = capture_pstree(c, task, err);
	if (r < 0 || task->state == TASK_ZOMBIE)
		return r;
	r = capture_ids(c, task, parts, ret, err);
	return r < 0 ? r : checkpoint_capture_mm(c, task, &ret->mm, err);
}

/* Memory and descriptors, after the sessions: those have filled the mm message. */
static int finish_task(struct checkpoint *c, const struct entry *entry, struct error *err)
{
	struct task *task = entry->task;
	int r;

	if (task->state == TASK_ZOMBIE)
		return 0;
	r = image_add(&c->set, IMAGE_MM, (uint32_t)task->ns_pid, &entry->mm->base,
		      (struct bytes){ 0 }, err);
	if (r == 0)
		r = checkpoint_add_pages(c, task, entry->mm, err);
	if (r == 0 && entry->new_files)
		r = fd_capture_task(&c->cap, task, entry->ids->files_id, err);
	return r;
}

static int while_capturing(const struct task *task, int r, struct error *err)
{
	char name[40];

	if (r < 0)
		return error_while(err, r, "capturing task %s",
				   task_name(task, name, sizeof(name)));
	return 0;
}

static int capture_batch(struct checkpoint *c, struct batch *batch, struct error *err)
{
	struct task *tasks[BATCH];
	Img__Mm *mms[BATCH];
	size_t i, n = batch->n;
	int r;

	batch->n = 0;
	for (i = 0; i < n; i++) {
		tasks[i] = batch->entries[i].task;
		mms[i] = batch->entries[i].mm;
	}
	r = op_cancelled(&c->op, err);
	if (r == 0 && n)
		r = task_capture(&c->cap, tasks, mms, n, err);
	for (i = 0; r == 0 && i < n; i++)
		r = while_capturing(tasks[i], finish_task(c, &batch->entries[i], err), err);
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
	struct batch batch = { .n = 0 };
	struct entry entry;
	struct task *task;
	int r = 0;

	foreach_task (task, &c->tree) {
		r = while_capturing(task, look_at_task(c, task, &parts, &entry, err), err);
		/* Two sessions in one address space would look for the same hole. */
		if (r == 0 && (batch.n == BATCH || !entry.new_vm))
			r = capture_batch(c, &batch, err);
		if (r < 0)
			return r;
		batch.entries[batch.n++] = entry;
		c->result->n_tasks++;
		c->result->n_threads += task->n_threads;
	}
	r = capture_batch(c, &batch, err);
	if (r == 0)
		r = fd_capture_finish(&c->cap, err);
	return r < 0 ? r : sock_index_finish(&c->cap, err);
}
