// SPDX-License-Identifier: Apache-2.0
/*
 * process: see process.h. Command lines are read from the captured memory, as ps reads them from
 * the living: a process can have written there what it likes.
 */
#include "examine/process.h"

#include <stdlib.h>
#include <string.h>

#include "examine/file.h"
#include "examine/memory.h"
#include "examine/xlat.h"

#define PROCESS_COST 1024 /* bytes of what is told of any process */

/* The words between arg_start and arg_end; NULL when they were not captured. */
static json_object *command_line(struct examine *x, const Img__Mm *mm,
				 const struct memory_reader *memory)
{
	_cleanup_free_ unsigned char *text = malloc(PROCESS_ARGS_MAX);
	json_object *list;
	size_t n, i, len;

	if (!text || mm->mm_arg_end <= mm->mm_arg_start)
		return NULL;
	n = memory_read(memory, mm->mm_arg_start, text,
			MIN(mm->mm_arg_end - mm->mm_arg_start, (uint64_t)PROCESS_ARGS_MAX));
	if (!n || !examine_tell(x, n * 8))
		return NULL;
	list = json_object_new_array();
	for (i = 0; i < n; i += len + 1) {
		len = strnlen((const char *)text + i, n - i);
		json_object_array_add(list, json_bytes_text((struct bytes){ text + i, len }));
	}
	return list;
}

static json_object *numbers(const uint32_t *values, size_t n)
{
	json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < n; i++)
		json_object_array_add(list, json_object_new_uint64(values[i]));
	return list;
}

static json_object *credentials(const Img__Creds *c)
{
	const uint32_t uids[] = { c->uid, c->euid, c->suid, c->fsuid },
		       gids[] = { c->gid, c->egid, c->sgid, c->fsgid };
	json_object *o = json_object_new_object();

	json_object_object_add(o, "uids", numbers(uids, ARRAY_SIZE(uids)));
	json_object_object_add(o, "gids", numbers(gids, ARRAY_SIZE(gids)));
	json_object_object_add(o, "groups", numbers(c->groups, c->n_groups));
	json_object_object_add(o, "effective", xlat_capabilities_json(c->cap_eff, c->n_cap_eff));
	json_object_object_add(o, "permitted", xlat_capabilities_json(c->cap_prm, c->n_cap_prm));
	json_object_object_add(o, "inheritable", xlat_capabilities_json(c->cap_inh, c->n_cap_inh));
	json_object_object_add(o, "bounding", xlat_capabilities_json(c->cap_bnd, c->n_cap_bnd));
	json_object_object_add(o, "ambient", xlat_capabilities_json(c->cap_amb, c->n_cap_amb));
	json_put_number(o, "securebits", c->secbits);
	if (c->has_no_new_privs)
		json_put_bool(o, "no_new_privs", c->no_new_privs);
	json_put_text(o, "lsm_profile", c->lsm_profile);
	return o;
}

static void put_registers(json_object *o, const Img__Core *core)
{
	const Img__ThreadInfoX86 *info = core->thread_info;

	if (!info || !info->gpregs)
		return;
	json_put_number(o, "ip", info->gpregs->ip);
	json_put_number(o, "sp", info->gpregs->sp);
	if ((int64_t)info->gpregs->orig_ax >= 0)
		json_put_number(o, "syscall", info->gpregs->orig_ax);
}

static json_object *thread_json(struct examine *x, uint32_t tid)
{
	const Img__Core *core = image_single(&x->set, IMAGE_CORE, tid);
	const Img__ThreadCore *thread = core ? core->thread_core : NULL;
	const char *comm = thread && thread->comm ? thread->comm
			   : core && core->tc	  ? core->tc->comm
						  : NULL;
	json_object *o;

	if (!examine_tell(x, 256 + (comm ? strlen(comm) : 0)))
		return NULL;
	o = json_object_new_object();
	json_put_number(o, "tid", tid);
	json_put_text(o, "comm", comm);
	if (!core) {
		json_put_bool(o, "missing", true);
		return o;
	}
	put_registers(o, core);
	if (thread && thread->has_sched_policy)
		json_put_number(o, "sched_policy", thread->sched_policy);
	if (thread && thread->has_sched_nice)
		json_object_object_add(o, "nice", json_object_new_int(thread->sched_nice));
	if (thread && thread->signals_p)
		json_put_number(o, "pending_signals", thread->signals_p->n_signals);
	return o;
}

static json_object *threads_json(struct examine *x, const Img__Pstree *node)
{
	json_object *list = json_object_new_array(), *o;
	size_t i;

	for (i = 0; i < node->n_threads; i++) {
		o = thread_json(x, node->threads[i]);
		if (!o)
			break;
		json_object_array_add(list, o);
	}
	return list;
}

static json_object *memory_json(const Img__Mm *mm, const struct memory_reader *memory)
{
	json_object *o = json_object_new_object();
	uint64_t size = 0;
	size_t i;

	for (i = 0; i < mm->n_vmas; i++)
		if (mm->vmas[i]->end > mm->vmas[i]->start)
			size += mm->vmas[i]->end - mm->vmas[i]->start;
	json_put_number(o, "mappings", mm->n_vmas);
	json_put_number(o, "virtual_bytes", size);
	json_put_number(o, "captured_bytes", memory->captured);
	if (memory->elsewhere)
		json_put_number(o, "parent_bytes", memory->elsewhere);
	return o;
}

static int put_memory(struct examine *x, const struct examine_task *task, json_object *o,
		      struct error *err)
{
	_cleanup_(memory_reader_deinit) struct memory_reader memory = MEMORY_READER_INIT;
	json_object *words;
	int r;

	if (!task->mm)
		return 0;
	r = memory_reader_open(x, task, false, &memory, err);
	if (r < 0)
		return r;
	words = command_line(x, task->mm, &memory);
	if (words)
		json_object_object_add(o, "command_line", words);
	json_put_text(o, "exe", examine_file_path(x, task->mm->exe_file_id));
	json_object_object_add(o, "memory", memory_json(task->mm, &memory));
	if (memory.damaged)
		r = examine_problem(x, "pagemap", err,
				    "pages of process %u are missing or contradict their map",
				    task->node->pid);
	return r;
}

static void put_core(const Img__Core *core, json_object *o)
{
	const Img__TaskCore *tc = core->tc;
	const Img__ThreadCore *thread = core->thread_core;

	if (tc) {
		json_put_text(o, "comm", tc->comm);
		json_object_object_add(o, "state", xlat_json(xlat_task_states, tc->task_state));
		if (tc->task_state == 6 || tc->task_state == 2)
			json_put_number(o, "exit_code", tc->exit_code);
		if (tc->has_oom_score_adj)
			json_object_object_add(o, "oom_score_adj",
					       json_object_new_int(tc->oom_score_adj));
		if (tc->signals_s)
			json_put_number(o, "pending_signals", tc->signals_s->n_signals);
	}
	if (thread && thread->creds)
		json_object_object_add(o, "credentials", credentials(thread->creds));
	if (thread && thread->has_seccomp_mode)
		json_put_text(o, "seccomp",
			      thread->seccomp_mode == IMG__SECCOMP_MODE__filter	  ? "filter"
			      : thread->seccomp_mode == IMG__SECCOMP_MODE__strict ? "strict"
										  : "disabled");
}

static int process_json(struct examine *x, const struct examine_task *task, json_object *o,
			struct error *err)
{
	const Img__Pstree *node = task->node;
	int r;

	json_put_number(o, "pid", node->pid);
	json_put_number(o, "ppid", node->ppid);
	json_put_number(o, "pgid", node->pgid);
	json_put_number(o, "sid", node->sid);
	if (task->core)
		put_core(task->core, o);
	r = put_memory(x, task, o, err);
	if (r < 0)
		return r;
	if (task->fs) {
		json_put_text(o, "cwd", examine_file_path(x, task->fs->cwd_id));
		json_put_text(o, "root", examine_file_path(x, task->fs->root_id));
		if (task->fs->has_umask)
			json_put_number(o, "umask", task->fs->umask);
	}
	json_object_object_add(o, "threads", threads_json(x, node));
	json_object_object_add(o, "files", file_table_json(x, task));
	return 0;
}

json_object *process_list_json(struct examine *x)
{
	json_object *list = json_object_new_array(), *o;
	const struct examine_task *task;
	size_t i;

	for (i = 0; list && i < x->n_tasks; i++) {
		task = &x->tasks[i];
		if (!examine_tell(x,
				  PROCESS_COST + (task->core ? protobuf_c_message_get_packed_size(
								       &task->core->base)
							     : 0)))
			break;
		o = json_object_new_object();
		json_object_array_add(list, o);
		if (process_json(x, task, o, NULL) < 0) {
			json_object_put(list);
			return NULL;
		}
	}
	return list;
}
