// SPDX-License-Identifier: Apache-2.0
/*
 * plan: who gives birth to whom. Never makes a system call; see plan.h for the story.
 */
#include "restore/plan.h"

#include <errno.h>
#include <stdio.h>

/* Is the number taken by a task or thread of the image, or by one of our own? */
static bool pid_used(const struct plan *plan, pid_t pid)
{
	const struct restore *rst = plan->rst;
	size_t i, j;

	if (pid == 1)
		return true;
	for (i = 0; i < rst->n_tasks; i++) {
		if (rst->tasks[i].pgid == pid || rst->tasks[i].sid == pid)
			return true;
		for (j = 0; j < rst->tasks[i].n_threads; j++)
			if (rst->tasks[i].threads[j].tid == pid)
				return true;
	}
	for (i = 0; i < plan->n_extra; i++)
		if (plan->extra[i].pid == pid)
			return true;
	return false;
}

/* Is it the number of a task or thread that will be there, or of a stand-in? */
static bool tid_used(const struct plan *plan, pid_t pid)
{
	const struct restore *rst = plan->rst;
	size_t i, j;

	for (i = 0; i < rst->n_tasks; i++)
		for (j = 0; j < rst->tasks[i].n_threads; j++)
			if (rst->tasks[i].threads[j].tid == pid)
				return true;
	for (i = 0; i < plan->n_extra; i++)
		if (plan->extra[i].pid == pid)
			return true;
	return plan->top->pid == pid;
}

static struct plan_node *extra_new(struct plan *plan, enum plan_kind kind, pid_t pid)
{
	struct plan_node *node = &plan->extra[plan->n_extra++];

	node->kind = kind;
	node->pid = pid;
	node->setsid = kind != PLAN_STEP;
	return node;
}

static struct plan_node *parent_of(const struct plan *plan, const struct plan_node *node)
{
	if (node->kind != PLAN_TASK || node == plan->top)
		return NULL;
	return node->task->parent ? &plan->nodes[node->task->parent->index] : plan->top;
}

static pid_t final_sid(const struct plan_node *node)
{
	return node->setsid ? node->pid : node->task->sid;
}

/* Is candidate the node itself, or born (so far) below it? A step below it would be a ring. */
static bool below(const struct plan *plan, const struct plan_node *candidate,
		  const struct plan_node *node)
{
	while (candidate && candidate != node)
		candidate = candidate->mother ? candidate->mother : parent_of(plan, candidate);
	return candidate;
}

/* Orphans come to pid 1, or to the nearest ancestor that has asked for them. */
static bool adopts(const struct plan *plan, const struct plan_node *node)
{
	const struct restore_task *task = node->task;

	return node == plan->top ||
	       (task && task->core->tc->has_child_subreaper && task->core->tc->child_subreaper);
}

/* Would an orphan of the node come to this adopter? */
static bool adopter_of(const struct plan *plan, const struct plan_node *node,
		       const struct plan_node *adopter)
{
	do
		node = node->mother ? node->mother : parent_of(plan, node);
	while (node && !adopts(plan, node));
	return node == adopter;
}

/* A mother for an orphan whose session is led by somebody else, alive or dead. */
static bool resolve_orphan(struct plan *plan, struct plan_node *node, struct plan_node *parent,
			   pid_t sid)
{
	struct restore_task *task = restore_task_find(plan->rst, sid);
	struct plan_node *leader = task ? &plan->nodes[task->index] : NULL;
	struct plan_node *mother = NULL;
	size_t i;

	if (leader && leader->setsid) {
		pid_t pid = 2;

		if (below(plan, leader, node) ||
		    (!adopts(plan, leader) && !adopter_of(plan, leader, parent)))
			return false;
		while (pid_used(plan, pid))
			pid++;
		mother = extra_new(plan, PLAN_STEP, pid);
		mother->mother = leader;
	} else if (!leader && sid > 0) {
		for (i = 0; i < plan->n_extra; i++)
			if (plan->extra[i].kind == PLAN_LEADER && plan->extra[i].pid == sid &&
			    plan->extra[i].mother == parent)
				mother = &plan->extra[i];
		if (!mother && !tid_used(plan, sid)) {
			mother = extra_new(plan, PLAN_LEADER, sid);
			mother->mother = parent;
		}
	}
	if (!mother)
		return false;
	node->mother = mother;
	return true;
}

/* Find a mother that can bear the node in a session; with stand_ins, dead relatives may be played.
 */
static bool resolve(struct plan *plan, struct plan_node *node, pid_t sid, bool stand_ins)
{
	struct plan_node *parent = parent_of(plan, node);

	if (node->has_born_sid)
		return node->born_sid == sid;
	if (!parent) /* pid 1: born in the session of whoever made the sandbox, 0 for those inside
		      */
		return sid == 0;

	/* What is most likely what really happened comes first. */
	if (final_sid(parent) == sid) {
		node->mother = parent;
	} else if (parent->setsid && resolve(plan, parent, sid, false)) {
		node->mother = parent;
		node->early = true;
	} else if (stand_ins && adopts(plan, parent) && resolve_orphan(plan, node, parent, sid)) {
		node->early = false;
	} else if (stand_ins && parent->setsid && resolve(plan, parent, sid, true)) {
		node->mother = parent;
		node->early = true;
	} else {
		return false;
	}
	node->has_born_sid = true;
	node->born_sid = sid;
	return true;
}

static void plan_sessions(struct plan *plan)
{
	struct restore *rst = plan->rst;
	size_t i;

	for (i = 0; i < rst->n_tasks; i++) {
		struct plan_node *node = &plan->nodes[i];
		char subject[32];

		if (node->setsid || resolve(plan, node, node->task->sid, true) || node == plan->top)
			continue;
		node->no_session = true;
		node->mother = parent_of(plan, node);
		(void)snprintf(subject, sizeof(subject), "session %d", node->task->sid);
		restore_gap(rst, GAP_DEGRADED, "session", node->pid, subject,
			    "no living relative can give birth in it; the task gets its parent's");
	}
	for (i = 0; i < rst->n_tasks; i++)
		if (!plan->nodes[i].mother)
			plan->nodes[i].mother = parent_of(plan, &plan->nodes[i]);
}

static void plan_groups(struct plan *plan)
{
	struct restore *rst = plan->rst;
	size_t i, j;

	for (i = 0; i < rst->n_tasks; i++) {
		struct plan_node *node = &plan->nodes[i];
		pid_t pgid = node->task->pgid;
		bool known = false;

		if (node->setsid || pgid == 0 || node->no_session) {
			node->group = PLAN_GROUP_KEEP;
			continue;
		}
		if (pgid == node->pid) {
			node->group = PLAN_GROUP_LEAD;
			continue;
		}
		node->group = PLAN_GROUP_JOIN;
		if (restore_task_find(rst, pgid))
			continue;
		for (j = 0; j < plan->n_extra; j++) /* alive in those born of the stand-in */
			known |= plan->extra[j].kind == PLAN_LEADER && plan->extra[j].pid == pgid;
		for (j = 0; j < i; j++)
			known |= plan->nodes[j].group == PLAN_GROUP_REVIVE &&
				 rst->tasks[j].pgid == pgid;
		if (known)
			continue;
		if (!tid_used(plan, pgid)) {
			node->group = PLAN_GROUP_REVIVE;
			continue;
		}
		node->group = PLAN_GROUP_KEEP;
		restore_gap(rst, GAP_DEGRADED, "group", node->pid, "process group",
			    "its leader is dead and its number %d is a thread's now", pgid);
	}
}

static void share_gap(struct plan *plan, const struct plan_node *node, const char *what)
{
	restore_gap(plan->rst, GAP_DEGRADED, "sharing", node->pid, what,
		    "was shared with a task that is not its parent; it becomes a copy");
}

/* What two processes share must be shared from birth on. */
static void plan_sharing(struct plan *plan)
{
	struct restore *rst = plan->rst;
	size_t i, j;

	for (i = 0; i < rst->n_tasks; i++) {
		struct plan_node *node = &plan->nodes[i];
		const struct plan_node *mother = node->mother;
		const Img__TaskKobjIds *ids = node->task->ids, *other;
		bool files = false, fs = false, vm = false;

		if (!ids)
			continue;
		if (mother && mother->kind == PLAN_TASK && mother->task->ids) {
			node->share_files = mother->task->ids->files_id == ids->files_id;
			node->share_fs = mother->task->ids->fs_id == ids->fs_id;
		}
		for (j = 0; j < i; j++) {
			other = rst->tasks[j].ids;
			files |= other && other->files_id == ids->files_id;
			fs |= other && other->fs_id == ids->fs_id;
			vm |= other && other->vm_id == ids->vm_id;
		}
		if (files && !node->share_files)
			share_gap(plan, node, "descriptor table");
		if (fs && !node->share_fs)
			share_gap(plan, node, "working directory");
		if (vm)
			restore_gap(rst, GAP_DEGRADED, "sharing", node->pid, "address space",
				    "was shared with another process; it becomes a copy");
	}
}

/* Children into their mothers' lists: early ones first is the mother's business. */
static void plan_link(struct plan_node *node)
{
	struct plan_node *mother = node->mother;

	if (!mother)
		return;
	if (mother->last)
		mother->last->next = node;
	else
		mother->first = node;
	mother->last = node;
}

int plan_make(struct restore *rst, struct plan *ret, struct error *err)
{
	struct plan plan = { .rst = rst };
	size_t i;

	/* At most one stand-in or step for each task, and init. */
	plan.nodes = arena_array(&rst->set->arena, struct plan_node, rst->n_tasks);
	plan.extra = arena_array(&rst->set->arena, struct plan_node, rst->n_tasks + 1);
	if (!plan.nodes || !plan.extra)
		return error_nomem(err);

	for (i = 0; i < rst->n_tasks; i++) {
		struct restore_task *task = &rst->tasks[i];

		plan.nodes[i].kind = PLAN_TASK;
		plan.nodes[i].task = task;
		plan.nodes[i].pid = task->pid;
		plan.nodes[i].setsid = task->sid == task->pid;
	}
	plan.top = rst->tasks[0].pid == 1 ? &plan.nodes[0] : extra_new(&plan, PLAN_INIT, 1);

	plan_sessions(&plan);
	plan_groups(&plan);
	plan_sharing(&plan);
	for (i = 0; i < rst->n_tasks; i++)
		plan_link(&plan.nodes[i]);
	for (i = 0; i < plan.n_extra; i++)
		plan_link(&plan.extra[i]);
	*ret = plan;
	return 0;
}
