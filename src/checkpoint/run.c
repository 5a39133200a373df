// SPDX-License-Identifier: Apache-2.0
/*
 * run: checkpoint_run(). The steps of a capture, in order, each with what takes it back.
 *
 * Between `stop` and `resume` nothing may wait for anything but the tasks themselves. A failure at
 * any step undoes the earlier ones from the last to the first; the container always runs on.
 */
#include "checkpoint/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "checkpoint/run.h"
#include "kernel/proc-tasks.h"
#include "kernel/proc.h"
#include "object/file-facts.h"
#include "object/file-index.h"
#include "object/look.h"
#include "object/mount.h"
#include "object/namespace-kinds.h"
#include "object/shmem.h"
#include "object/socket.h"
#include "rootfs/rootfs.h"

#define DEPTH_MAX 64		 /* of the process tree, when memory is estimated */
#define GHOST_MAX (256ULL << 20) /* of one deleted file's content */

static int step_archive(struct checkpoint *c, struct error *err)
{
	int r = archive_writer_open(&c->archive, c->request->output, err);

	c->archive.no_digest = c->request->no_digest;
	c->archive.no_sync = c->request->no_sync;
	return r < 0 ? r : archive_add_dir(&c->archive, "checkpoint", err);
}

static void undo_archive(struct checkpoint *c)
{
	archive_writer_deinit(&c->archive);
}

/* Everything that can be looked at while the container runs. */
static int step_look(struct checkpoint *c, struct error *err)
{
	struct capture *cap = &c->cap;
	int r;

	cap->op = &c->op;
	cap->set = &c->set;
	cap->gaps = c->gaps;
	cap->tree = &c->tree;
	cap->ghost_max = GHOST_MAX;
	cap->next_id = 32; /* the numbers below stand for amber's own namespaces */
	cap->facts = &c->facts;
	cap->shmem = &c->shmem;
	cap->files = file_index_new();
	if (!cap->files)
		return error_nomem(err);
	r = proc_open(c->request->target.pids[0], &c->proc_fd, err);
	if (r < 0)
		return error_hint(err, r, "is the container still running?");
	r = checkpoint_identify_namespaces(c, err);
	if (r == 0)
		r = mount_index_look(cap, c->proc_fd, err);
	return r < 0 ? r : sock_index_new(cap, err);
}

static void undo_look(struct checkpoint *c)
{
	struct capture *cap = &c->cap;
	enum ns_kind kind;

	for (kind = 0; kind < NS_KINDS; kind++)
		if (cap->ns[kind].fd >= 0)
			close(cap->ns[kind].fd);
	look_free(cap->look);
	ipc_look_free(cap->ipc);
	sock_index_free(cap->sockets);
	mount_index_free(cap->mounts);
	shmem_list_deinit(&c->shmem);
	file_facts_deinit(&c->facts);
	file_index_free(cap->files);
	if (cap->root_dir >= 0)
		close(cap->root_dir);
	if (c->proc_fd >= 0)
		close(c->proc_fd);
}

static int step_rootfs(struct checkpoint *c, struct error *err)
{
	struct error local = ERROR_INIT;

	if (c->cap.ns[NS_MNT].own)
		return 0; /* the files are the host's own: no diff */
	if (rootfs_find(&c->op, c->request->target.pids[0], &c->rootfs, &local) == 0)
		return 0;
	op_info(&c->op, "no rootfs diff: %s", local.text);
	if (gap_add(c->gaps, GAP_DEGRADED, "rootfs", 0, c->request->target.rootfs, "%s",
		    local.text) < 0)
		return error_nomem(err);
	return 0;
}

static void undo_rootfs(struct checkpoint *c)
{
	rootfs_free(c->rootfs);
	c->rootfs = NULL;
}

/* Memory of a process and its descendants, in bytes, as far as it can be told while they run. */
static uint64_t estimate(struct checkpoint *c, struct arena *arena, pid_t pid, unsigned int depth)
{
	_cleanup_close_ int proc_fd = -1;
	struct proc_numbers children = { 0 };
	struct proc_status status = { 0 };
	uint64_t sum = 0;
	size_t i;

	if (depth > DEPTH_MAX || proc_open(pid, &proc_fd, NULL) < 0)
		return 0;
	if (proc_status_read(proc_fd, arena, &status, NULL) == 0)
		sum = status.rss_anon + status.rss_shmem + status.vm_swap;
	if (proc_children_read(proc_fd, arena, &children, NULL) == 0)
		for (i = 0; i < children.n_values; i++)
			sum += estimate(c, arena, children.values[i], depth + 1);
	return sum;
}

static int step_estimate(struct checkpoint *c, struct error *err)
{
	_cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
	size_t i;

	(void)err;
	for (i = 0; i < c->request->target.n_pids; i++)
		c->memory_estimate += estimate(c, &arena, c->request->target.pids[i], 0);
	c->memory_estimate += c->memory_estimate / 16;
	return 0;
}

/* The last before memory is tracked, so that it is not old when the tasks stop. */
static int step_tasks(struct checkpoint *c, struct error *err)
{
	return look_new(&c->cap, c->request->target.pids, c->request->target.n_pids, err);
}

static int step_stop(struct checkpoint *c, struct error *err)
{
	struct task_stop_options options = {
		.roots = c->request->target.pids,
		.n_roots = c->request->target.n_pids,
	};
	int r;

	r = task_tree_stop(&c->op, &options, &c->tree, err);
	if (r < 0)
		return r;
	clock_gettime(CLOCK_REALTIME, &c->stopped);
	op_debug(&c->op, "%zu tasks stand", c->tree.n_tasks);
	return 0;
}

static void undo_stop(struct checkpoint *c)
{
	task_tree_deinit(&c->tree);
}

/* The root task as it stands, and what is named through it. */
static int step_root(struct checkpoint *c, struct error *err)
{
	struct capture *cap = &c->cap;

	cap->root = task_find(&c->tree, c->request->target.pids[0]);
	if (!cap->root || cap->root->state == TASK_ZOMBIE)
		return error_hint(err,
				  error_set(err, ERROR_NOT_FOUND, ESRCH, "process %d has ended",
					    c->request->target.pids[0]),
				  "is the container still running?");
	cap->root_dir = openat(cap->root->proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (cap->root_dir < 0)
		return error_errno(err, errno, "cannot open the root directory of task %d",
				   cap->root->pid);
	return mount_index_new(cap, err);
}

static int step_resume(struct checkpoint *c, struct error *err)
{
	int r = c->request->stop ? task_tree_kill(&c->tree, err) : task_tree_resume(&c->tree, err);

	clock_gettime(CLOCK_REALTIME, &c->resumed);
	if (!c->tree.resumed_ns) /* killed, not resumed: the stand ends here */
		c->tree.resumed_ns = clock_ns();
	c->result->freeze_ns = c->tree.resumed_ns - c->tree.stopping_ns;
	c->result->max_freeze_kept =
		!c->request->max_freeze_ns || c->result->freeze_ns <= c->request->max_freeze_ns;
	return r;
}

static int step_untrack(struct checkpoint *c, struct error *err)
{
	(void)err;
	checkpoint_precopy_end(c);
	return 0;
}

static int step_files(struct checkpoint *c, struct error *err)
{
	return file_facts_finish(&c->facts, &c->set, &c->op, c->cap.root_dir, err);
}

static int step_hash_start(struct checkpoint *c, struct error *err)
{
	return archive_hash_start(&c->archive, &c->op, err);
}

static int step_hash(struct checkpoint *c, struct error *err)
{
	return archive_hash_reserved(&c->archive, &c->op, err);
}

static int step_finish(struct checkpoint *c, struct error *err)
{
	int r = archive_finish(&c->archive, err);

	c->result->archive_bytes = c->archive.pos;
	return r;
}

static const struct checkpoint_step {
	const char *name; /* what goes on, for messages */
	int (*run)(struct checkpoint *c, struct error *err);
	void (*undo)(struct checkpoint *c); /* also after success: lets go of what the step holds */
} steps[] = {
	{ "preparing the archive", step_archive, undo_archive },
	{ "looking at the container", step_look, undo_look },
	{ "finding the root file system", step_rootfs, undo_rootfs },
	{ "capturing the network", checkpoint_capture_namespaces_early, NULL },
	{ "copying files", checkpoint_copy_rootfs, checkpoint_rootfs_free },
	{ "looking at the tasks", step_tasks, NULL },
	{ "estimating memory", step_estimate, NULL },
	{ "copying memory in rounds", checkpoint_precopy, checkpoint_precopy_free },
	{ "following files", checkpoint_follow_rootfs, NULL },
	{ "stopping the container", step_stop, undo_stop },
	{ "looking at its root task", step_root, NULL },
	{ "noting standard streams", checkpoint_note_stdio, NULL },
	{ "capturing tasks", checkpoint_capture_tasks, NULL },
	{ "capturing namespaces", checkpoint_capture_namespaces, NULL },
	{ "copying files that changed", checkpoint_recopy_rootfs, NULL },
	{ "planning memory", checkpoint_plan_pages, NULL },
	{ "planning shared memory", checkpoint_plan_shmem, NULL },
	{ "copying memory", checkpoint_copy_pages, checkpoint_pages_free },
	{ "resuming the container", step_resume, NULL },
	/* From here on the container runs. */
	{ "ending the tracking", step_untrack, NULL },
	{ "putting memory in order", checkpoint_settle_pages, NULL },
	{ "beginning to hash memory", step_hash_start, NULL },
	{ "looking at mappings again", checkpoint_review_mms, NULL },
	{ "describing the checkpoint", checkpoint_inventory, NULL },
	{ "identifying files", step_files, NULL },
	{ "writing images", checkpoint_write_images, NULL },
	{ "writing the rootfs diff", checkpoint_write_rootfs, NULL },
	{ "hashing memory", step_hash, NULL },
	{ "writing metadata", checkpoint_write_metadata, NULL },
	{ "writing the record", checkpoint_write_record, NULL },
	{ "finishing the archive", step_finish, NULL },
};

static int run_steps(struct checkpoint *c, struct error *err)
{
	size_t i, done;
	uint64_t before;
	int r = 0;

	for (i = 0; i < ARRAY_SIZE(steps) && r == 0; i++) {
		before = clock_ns();
		r = op_cancelled(&c->op, err);
		if (r == 0)
			r = steps[i].run(c, err);
		op_debug(&c->op, "%s: %.3f ms", steps[i].name, (double)(clock_ns() - before) / 1e6);
	}
	/* A step that failed half-way lets go of what it has, like the others. */
	for (done = i; done-- > 0;)
		if (steps[done].undo)
			steps[done].undo(c);
	return r;
}

int checkpoint_run(struct op *op, const struct checkpoint_request *request,
		   struct checkpoint_result *ret, struct error *err)
{
	struct checkpoint c = {
		.op = *op,
		.request = request,
		.result = ret,
		.set = IMAGE_SET_INIT,
		.tree = TASK_TREE_INIT,
		.archive = ARCHIVE_WRITER_INIT,
		.facts = FILE_FACTS_INIT,
		.shmem = SHMEM_LIST_INIT,
		.cap.root_dir = -1,
		.proc_fd = -1,
		.started_ns = clock_ns(),
	};
	enum ns_kind kind;
	int r;

	*ret = (struct checkpoint_result){ .path = request->output, .gaps = GAP_LIST_INIT };
	for (kind = 0; kind < NS_KINDS; kind++)
		c.cap.ns[kind].fd = -1;
	c.gaps = &ret->gaps;
	c.op.log_buf = &c.log;
	clock_gettime(CLOCK_REALTIME, &c.started);
	op_info(&c.op, "checkpoint of %s to %s", request->target.id, request->output);

	r = run_steps(&c, err);
	ret->restorable = gap_list_restorable(c.gaps);
	ret->wall_ns = clock_ns() - c.started_ns;
	image_set_deinit(&c.set);
	buf_deinit(&c.log);
	return r;
}

void checkpoint_result_deinit(struct checkpoint_result *result)
{
	gap_list_deinit(&result->gaps);
}
