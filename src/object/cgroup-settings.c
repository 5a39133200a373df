// SPDX-License-Identifier: Apache-2.0
/*
 * cgroup-settings: permissions and limits of the container's control groups, as a record and for
 * stock CRIU, which needs some of them to make the groups again.
 *
 * Reads where this host mounts its hierarchies; the container notices nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "kernel/proc-mountinfo.h"
#include "object/namespace-kinds.h"

#define VALUE_MAX    1023 /* longer ones stock CRIU would cut */
#define SETTINGS_MAX 32	  /* of one group */

static const struct {
	const char *controller; /* "" = version 2, "*" = every version 1 hierarchy */
	const char *file;
} settings[] = {
	{ "cpu", "cpu.shares" },
	{ "cpu", "cpu.cfs_period_us" },
	{ "cpu", "cpu.cfs_quota_us" },
	{ "cpu", "cpu.rt_period_us" },
	{ "cpu", "cpu.rt_runtime_us" },
	{ "memory", "memory.limit_in_bytes" },
	{ "memory", "memory.memsw.limit_in_bytes" },
	{ "memory", "memory.swappiness" },
	{ "memory", "memory.soft_limit_in_bytes" },
	{ "memory", "memory.use_hierarchy" },
	{ "cpuset", "cpuset.cpus" },
	{ "cpuset", "cpuset.mems" },
	{ "cpuset", "cpuset.memory_migrate" },
	{ "cpuset", "cpuset.cpu_exclusive" },
	{ "cpuset", "cpuset.mem_exclusive" },
	{ "cpuset", "cpuset.mem_hardwall" },
	{ "cpuset", "cpuset.memory_spread_page" },
	{ "cpuset", "cpuset.memory_spread_slab" },
	{ "cpuset", "cpuset.sched_load_balance" },
	{ "cpuset", "cpuset.sched_relax_domain_level" },
	{ "blkio", "blkio.weight" },
	{ "net_cls", "net_cls.classid" },
	{ "pids", "pids.max" },
	{ "devices", "devices.list" },
	{ "*", "cgroup.clone_children" },
	{ "*", "notify_on_release" },
	{ "", "cpu.weight" },
	{ "", "cpu.max" },
	{ "", "memory.min" },
	{ "", "memory.low" },
	{ "", "memory.high" },
	{ "", "memory.max" },
	{ "", "memory.swap.max" },
	{ "", "pids.max" },
	{ "", "cpuset.cpus" },
	{ "", "cpuset.mems" },
	{ "", "io.max" },
};

static Img__CgroupPerms *perms_of(struct image_set *set, const struct stat *st)
{
	Img__CgroupPerms *perms = img_new(set, Img__CgroupPerms, cgroup_perms);

	if (perms) {
		perms->mode = st->st_mode;
		perms->uid = st->st_uid;
		perms->gid = st->st_gid;
	}
	return perms;
}

static bool has_name(const Img__CgController *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->n_cnames; i++)
		if (!strcmp(c->cnames[i], name) || (name[0] == '*' && c->cnames[i][0]))
			return true;
	return false;
}

/* Settings that are not there, or that say nothing, are left out. */
static int setting_add(struct image_set *set, int group, const char *file, Img__CgroupDir *dir,
		       struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	Img__CgroupProp *prop;
	struct stat st;

	if (fstatat(group, file, &st, 0) < 0 ||
	    fd_read_file(group, file, VALUE_MAX, &text, NULL) < 0 ||
	    dir->n_properties == SETTINGS_MAX)
		return 0;
	while (text.len && text.data[text.len - 1] == '\n')
		text.data[--text.len] = '\0';
	prop = img_new(set, Img__CgroupProp, cgroup_prop);
	if (!prop)
		return error_nomem(err);
	prop->name = arena_strdup(&set->arena, file);
	prop->value = arena_memdup(&set->arena, text.data, text.len);
	prop->perms = perms_of(set, &st);
	if (!prop->name || !prop->value || !prop->perms)
		return error_nomem(err);
	dir->properties[dir->n_properties++] = prop;
	return 0;
}

/* Where this host shows the hierarchy whole. */
static int hierarchy_open(const struct proc_mounts *mounts, const Img__CgController *c)
{
	const struct proc_mount *m;
	const char *found;
	size_t i, len;

	for (i = 0; i < mounts->n_mounts; i++) {
		m = &mounts->mounts[i];
		if (strcmp(m->fstype, *c->cnames[0] ? "cgroup" : "cgroup2") != 0 ||
		    strcmp(m->root, "/") != 0)
			continue;
		found = strstr(m->super_options, c->cnames[0]);
		len = strlen(c->cnames[0]);
		if (!len || (found && (found[len] == ',' || !found[len]) &&
			     (found == m->super_options || found[-1] == ',')))
			return open(m->mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	return -1;
}

static int group_describe(struct image_set *set, int hierarchy, const Img__CgController *c,
			  Img__CgroupDir *dir, struct error *err)
{
	_cleanup_close_ int group =
		openat(hierarchy, dir->dir_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	size_t i;
	int r = 0;

	if (group < 0 || fstat(group, &st) < 0)
		return 0; /* gone with its tasks */
	dir->dir_perms = perms_of(set, &st);
	dir->properties = arena_array(&set->arena, Img__CgroupProp *, SETTINGS_MAX);
	if (!dir->dir_perms || !dir->properties)
		return error_nomem(err);
	for (i = 0; r == 0 && i < ARRAY_SIZE(settings); i++)
		if (has_name(c, settings[i].controller))
			r = setting_add(set, group, settings[i].file, dir, err);
	return r;
}

int cgroup_describe(struct image_set *set, struct error *err)
{
	Img__Cgroup *e = image_single(set, IMAGE_CGROUP, 0);
	_cleanup_close_ int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct arena arena = ARENA_INIT;
	struct proc_mounts mounts;
	size_t i, k;
	int r = 0;

	if (!e || self < 0 || proc_mountinfo_read(self, &arena, &mounts, NULL) < 0) {
		arena_deinit(&arena);
		return 0;
	}
	for (i = 0; r == 0 && i < e->n_controllers; i++) {
		Img__CgController *c = e->controllers[i];
		_cleanup_close_ int hierarchy = c->n_cnames ? hierarchy_open(&mounts, c) : -1;

		for (k = 0; r == 0 && hierarchy >= 0 && k < c->n_dirs; k++)
			r = group_describe(set, hierarchy, c, c->dirs[k], err);
	}
	arena_deinit(&arena);
	return r;
}
