// SPDX-License-Identifier: Apache-2.0
/*
 * cgroupns: control groups: which tasks are where, as a record.
 *
 * A sandbox has a group of its own, made by the controller before the first task is born; the
 * groups of the images are never made on this host, and their limits are not applied.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "kernel/proc-cgroup.h"
#include "kernel/proc.h"
#include "object/namespace-kinds.h"
#include "object/ns-visit.h"

#define FIRST_SET 2 /* 1 is amber's own place */
#define SETS_MAX  1024

struct sets {
	struct capture *cap;
	struct proc_cgroups root_inside; /* of the root task, seen from its own cgroup namespace */
	struct proc_cgroups root_host;	 /* the same, seen from ours */
	Img__CgSet **sets;
	size_t n;
	struct arena arena;
};

static int read_inside(void *arg, struct error *err)
{
	struct sets *s = arg;

	return proc_cgroup_read(s->cap->root->proc_fd, &s->arena, &s->root_inside, err);
}

/* How much of a task's path is the root of the container's cgroup namespace. */
static size_t prefix_len(const struct sets *s, size_t i)
{
	const char *inside, *host;
	size_t a, b;

	if (i >= s->root_inside.n_cgroups || i >= s->root_host.n_cgroups)
		return 0;
	inside = s->root_inside.cgroups[i].path;
	if (!strcmp(inside, "/"))
		inside = "";
	host = s->root_host.cgroups[i].path;
	a = strlen(inside);
	b = strlen(host);
	return b >= a && !strcmp(host + b - a, inside) ? b - a : 0;
}

static bool set_same(const Img__CgSet *set, const struct proc_cgroups *now)
{
	size_t i;

	if (set->n_ctls != now->n_cgroups)
		return false;
	for (i = 0; i < now->n_cgroups; i++)
		if (strcmp(set->ctls[i]->name, now->cgroups[i].controllers) != 0 ||
		    strcmp(set->ctls[i]->path, now->cgroups[i].path) != 0)
			return false;
	return true;
}

/* The hierarchies come in the order of their names, which CRIU relies on. */
static void sort(struct proc_cgroups *groups)
{
	struct proc_cgroup t;
	size_t i, k;

	for (i = 1; i < groups->n_cgroups; i++)
		for (k = i; k > 0 && strcmp(groups->cgroups[k - 1].controllers,
					    groups->cgroups[k].controllers) > 0;
		     k--) {
			t = groups->cgroups[k];
			groups->cgroups[k] = groups->cgroups[k - 1];
			groups->cgroups[k - 1] = t;
		}
}

static Img__CgSet *set_add(struct sets *s, const struct proc_cgroups *groups)
{
	struct image_set *set = s->cap->set;
	Img__CgSet *e = img_new(set, Img__CgSet, cg_set);
	size_t i;

	s->sets = arena_grow(&set->arena, s->sets, s->n, sizeof(*s->sets));
	if (!e || !s->sets)
		return NULL;
	e->id = (uint32_t)(FIRST_SET + s->n);
	e->ctls = arena_array(&set->arena, Img__CgMember *, groups->n_cgroups);
	if (!e->ctls)
		return NULL;
	for (i = 0; i < groups->n_cgroups; i++) {
		Img__CgMember *m = img_new(set, Img__CgMember, cg_member);

		if (!m)
			return NULL;
		m->name = arena_strdup(&set->arena, groups->cgroups[i].controllers);
		m->path = arena_strdup(&set->arena, groups->cgroups[i].path);
		m->cgns_prefix = (uint32_t)prefix_len(s, i);
		m->has_cgns_prefix = m->cgns_prefix > 0;
		if (!m->name || !m->path)
			return NULL;
		e->ctls[e->n_ctls++] = m;
	}
	s->sets[s->n++] = e;
	return e;
}

/* Every core of the task that is in the images already. */
static void mark_cores(struct capture *cap, const struct task *task, uint32_t id)
{
	const struct thread *th;
	Img__Core *core;

	foreach_thread (th, task) {
		core = image_single(cap->set, IMAGE_CORE, (uint32_t)th->ns_tid);
		if (!core || !core->thread_core)
			continue;
		core->thread_core->has_cg_set = true;
		core->thread_core->cg_set = id;
	}
}

static int task_add(struct sets *s, const struct task *task, struct error *err)
{
	struct proc_cgroups groups;
	Img__CgSet *set = NULL;
	size_t i;
	int r;

	if (task->state == TASK_ZOMBIE || task->state == TASK_GONE)
		return 0;
	r = proc_cgroup_read(task->proc_fd, &s->arena, &groups, err);
	if (r < 0)
		return r;
	sort(&groups);
	for (i = 0; i < s->n && !set; i++)
		if (set_same(s->sets[i], &groups))
			set = s->sets[i];
	if (!set && s->n < SETS_MAX) {
		set = set_add(s, &groups);
		if (!set)
			return error_nomem(err);
	}
	if (set)
		mark_cores(s->cap, task, set->id);
	return 0;
}

static int split_names(struct arena *arena, const char *names, Img__CgController *c)
{
	size_t len;
	char *name;

	do {
		len = strcspn(names, ",");
		c->cnames = arena_grow(arena, c->cnames, c->n_cnames, sizeof(*c->cnames));
		name = arena_memdup(arena, names, len);
		if (!c->cnames || !name)
			return -ENOMEM;
		c->cnames[c->n_cnames++] = name;
		names += len + (names[len] == ',');
	} while (*names);
	return 0;
}

/* The group's directory, with what cgroup_describe() may not find any more. */
static Img__CgroupDir *dir_of(struct capture *cap, const Img__CgMember *m)
{
	Img__CgroupDir *dir = img_new(cap->set, Img__CgroupDir, cgroup_dir);

	if (!dir)
		return NULL;
	dir->dir_name = arena_strdup(&cap->set->arena, m->path + (m->path[0] == '/'));
	dir->dir_perms = img_new(cap->set, Img__CgroupPerms, cgroup_perms);
	if (!dir->dir_name || !dir->dir_perms)
		return NULL;
	dir->dir_perms->mode = S_IFDIR | 0755;
	return dir;
}

static int controllers_add(struct sets *s, Img__Cgroup *e, struct error *err)
{
	struct arena *arena = &s->cap->set->arena;
	const Img__CgSet *first = s->sets[0];
	size_t i;

	e->controllers = arena_array(arena, Img__CgController *, first->n_ctls);
	if (!e->controllers)
		return error_nomem(err);
	for (i = 0; i < first->n_ctls; i++) {
		Img__CgController *c = img_new(s->cap->set, Img__CgController, cg_controller);

		if (!c || split_names(arena, first->ctls[i]->name, c) < 0)
			return error_nomem(err);
		c->has_is_threaded = true;
		c->is_threaded = *first->ctls[i]->name != '\0'; /* version 1 places threads */
		c->dirs = arena_array(arena, Img__CgroupDir *, 1);
		if (!c->dirs)
			return error_nomem(err);
		c->dirs[0] = dir_of(s->cap, first->ctls[i]);
		if (!c->dirs[0])
			return error_nomem(err);
		c->n_dirs = *c->dirs[0]->dir_name ? 1 : 0;
		e->controllers[e->n_controllers++] = c;
	}
	return 0;
}

static void sets_deinit(struct sets *s)
{
	arena_deinit(&s->arena);
}

static int look_inside(struct sets *s, struct error *err)
{
	int r;

	if (s->cap->ns[NS_CGROUP].own)
		return 0;
	r = ns_visit(s->cap, 1U << NS_CGROUP, read_inside, s, err);
	if (r >= 0)
		r = proc_cgroup_read(s->cap->root->proc_fd, &s->arena, &s->root_host, err);
	sort(&s->root_inside);
	sort(&s->root_host);
	return r;
}

int cgroup_capture(struct capture *cap, struct error *err)
{
	_cleanup_(sets_deinit) struct sets s = { .cap = cap };
	Img__Cgroup *e = img_new(cap->set, Img__Cgroup, cgroup);
	struct task *task;
	int r;

	if (!e)
		return error_nomem(err);
	if (image_find(cap->set, IMAGE_CGROUP, 0))
		return 0;
	r = look_inside(&s, err);
	if (r < 0)
		return error_while(err, r, "reading the cgroups of process %d", cap->root->pid);
	foreach_task (task, cap->tree) {
		r = task_add(&s, task, err);
		if (r < 0)
			return error_while(err, r, "reading the cgroups of process %d", task->pid);
	}
	if (!s.n)
		return 0;
	r = controllers_add(&s, e, err);
	e->sets = s.sets;
	e->n_sets = s.n;
	return r < 0 ? r : image_add(cap->set, IMAGE_CGROUP, 0, &e->base, (struct bytes){ 0 }, err);
}

static int cgroup_ns_capture(struct capture *cap, const struct capture_ns *ns, struct error *err)
{
	return cgroup_capture(cap, err);
}

const struct namespace_kind cgroup_namespace_kind = {
	.name = "cgroup",
	.kind = NS_CGROUP,
	.clone_flag = CLONE_NEWCGROUP,
	.capture = cgroup_ns_capture,
};
