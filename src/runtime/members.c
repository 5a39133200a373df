// SPDX-License-Identifier: Apache-2.0
/*
 * members: see members.h. A process that comes or goes while /proc is read is not an error: the
 * stop, which follows, looks again at everything below the roots found here.
 */
#include "runtime/members.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "kernel/ns.h"
#include "kernel/proc-cgroup.h"
#include "kernel/proc-stat.h"
#include "kernel/proc-tasks.h"
#include "kernel/proc.h"

#define INIT_SCOPE "/init.scope" /* where an init of systemd's kind puts itself */

struct container {
	struct ns_id pid_ns;
	struct proc_cgroups groups; /* of init, without those that its parent is in too */
};

struct candidate {
	pid_t pid, ppid;
};

static bool same_or_below(const char *path, const char *above)
{
	size_t len = strlen(above);

	return strncmp(path, above, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/*
 * The cgroups of init's parent: a shim, a monitor or a shell. What it shares with init is not the
 * container's alone, and others in there are none of ours. Nothing when it cannot be told.
 */
static struct proc_cgroups parent_groups(int proc_fd, struct arena *arena)
{
	struct proc_cgroups groups = { 0 };
	_cleanup_close_ int fd = -1;
	struct proc_stat stat;

	if (proc_stat_read(proc_fd, &stat, NULL) < 0 || stat.ppid <= 0 ||
	    proc_open(stat.ppid, &fd, NULL) < 0 || proc_cgroup_read(fd, arena, &groups, NULL) < 0)
		return (struct proc_cgroups){ 0 };
	return groups;
}

static bool has_group(const struct proc_cgroups *groups, int32_t hierarchy, const char *path)
{
	size_t i;

	for (i = 0; i < groups->n_cgroups; i++)
		if (groups->cgroups[i].hierarchy == hierarchy &&
		    strcmp(groups->cgroups[i].path, path) == 0)
			return true;
	return false;
}

static int describe_init(int proc_fd, struct arena *arena, struct container *ret, struct error *err)
{
	struct proc_cgroups all, parent;
	struct ns_set ns;
	char *tail, *path;
	size_t i;
	int r;

	r = ns_read(proc_fd, &ns, err);
	if (r == 0)
		r = proc_cgroup_read(proc_fd, arena, &all, err);
	if (r < 0)
		return r;
	parent = parent_groups(proc_fd, arena);
	ret->pid_ns = ns.id[NS_PID];
	ret->groups = (struct proc_cgroups){ all.cgroups, 0 };
	for (i = 0; i < all.n_cgroups; i++) {
		path = arena_strdup(arena, all.cgroups[i].path);
		if (!path)
			return error_nomem(err);
		tail = strlen(path) > strlen(INIT_SCOPE) ? path + strlen(path) - strlen(INIT_SCOPE)
							 : NULL;
		if (tail && strcmp(tail, INIT_SCOPE) == 0)
			*tail = '\0';
		if (strcmp(path, "/") == 0 || !*path ||
		    has_group(&parent, all.cgroups[i].hierarchy, path))
			continue;
		ret->groups.cgroups[ret->groups.n_cgroups] = all.cgroups[i];
		ret->groups.cgroups[ret->groups.n_cgroups++].path = path;
	}
	return 0;
}

static bool in_cgroups(const struct container *c, const struct proc_cgroups *groups)
{
	size_t i, j;

	for (i = 0; i < c->groups.n_cgroups; i++) {
		for (j = 0; j < groups->n_cgroups; j++)
			if (groups->cgroups[j].hierarchy == c->groups.cgroups[i].hierarchy)
				break;
		if (j == groups->n_cgroups ||
		    !same_or_below(groups->cgroups[j].path, c->groups.cgroups[i].path))
			return false;
	}
	return c->groups.n_cgroups > 0;
}

/* Returns 1 and the candidate when the process is in the container, 0 when not or gone. */
static int look_at(const struct container *c, pid_t pid, struct candidate *ret)
{
	_cleanup_(arena_deinit) struct arena scratch = ARENA_INIT;
	_cleanup_close_ int fd = -1;
	struct proc_cgroups groups;
	struct proc_stat stat;
	struct ns_set ns;

	if (proc_open(pid, &fd, NULL) < 0 || ns_read(fd, &ns, NULL) < 0 ||
	    !ns_same(ns.id[NS_PID], c->pid_ns))
		return 0;
	if (proc_cgroup_read(fd, &scratch, &groups, NULL) < 0 || !in_cgroups(c, &groups) ||
	    proc_stat_read(fd, &stat, NULL) < 0 || stat.state == 'Z')
		return 0;
	*ret = (struct candidate){ pid, stat.ppid };
	return 1;
}

static bool is_member(const struct candidate *list, size_t n, pid_t pid)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (list[i].pid == pid)
			return true;
	return false;
}

/* init and those whose parent is none of us: the others are found below them. */
static int tops(const struct candidate *list, size_t n, pid_t init, struct arena *arena,
		pid_t **ret, size_t *ret_n, struct error *err)
{
	pid_t *pids = arena_array(arena, pid_t, n + 1);
	size_t i, n_pids = 0;

	if (!pids)
		return error_nomem(err);
	pids[n_pids++] = init;
	for (i = 0; i < n; i++)
		if (list[i].pid != init && !is_member(list, n, list[i].ppid))
			pids[n_pids++] = list[i].pid;
	*ret = pids;
	*ret_n = n_pids;
	return 0;
}

int container_members(struct op *op, pid_t init, struct arena *arena, pid_t **ret, size_t *ret_n,
		      struct error *err)
{
	_cleanup_(arena_deinit) struct arena scratch = ARENA_INIT;
	_cleanup_closedir_ DIR *dir = NULL;
	_cleanup_close_ int init_fd = -1;
	struct candidate *list = NULL, one;
	struct container c = { 0 };
	struct dirent *entry;
	size_t n = 0;
	pid_t pid;
	int r;

	r = proc_open(init, &init_fd, err);
	if (r == 0)
		r = describe_init(init_fd, &scratch, &c, err);
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	dir = opendir("/proc");
	if (!dir)
		return error_errno(err, errno, "cannot list /proc");
	while ((entry = readdir(dir))) {
		pid = (pid_t)strtol(entry->d_name, NULL, 10);
		r = pid > 0 ? look_at(&c, pid, &one) : 0;
		if (!r)
			continue;
		list = arena_grow(&scratch, list, n, sizeof(*list));
		if (!list)
			return error_nomem(err);
		list[n++] = one;
	}
	op_debug(op, "container of pid %d: %zu processes in its cgroups", init, n);
	return tops(list, n, init, arena, ret, ret_n, err);
}
