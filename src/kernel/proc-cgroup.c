// SPDX-License-Identifier: Apache-2.0
/*
 * proc-cgroup: /proc/PID/cgroup. Never looks at the cgroup file systems themselves.
 */
#include "kernel/proc-cgroup.h"

#include <errno.h>
#include <string.h>

#include "kernel/proc.h"
#include "kernel/scan.h"

#define DELETED " (deleted)"

/* "hierarchy:controllers:path"; a path may hold colons. */
static int parse_line(struct scan s, struct proc_cgroup *cgroup, struct arena *arena,
		      struct error *err)
{
	const char *colon;
	struct scan controllers;

	if (!scan_i32(&s, &cgroup->hierarchy) || !scan_lit(&s, ":"))
		return proc_malformed(err, "cgroup", "hierarchy");
	colon = scan_done(&s) ? NULL : memchr(s.at, ':', scan_left(&s));
	if (!colon)
		return proc_malformed(err, "cgroup", "controllers");
	controllers = (struct scan){ s.at, colon };
	s.at = colon + 1;
	if (scan_left(&s) > strlen(DELETED) &&
	    memcmp(s.end - strlen(DELETED), DELETED, strlen(DELETED)) == 0) {
		cgroup->deleted = true;
		s.end -= strlen(DELETED);
	}
	cgroup->controllers = scan_str(arena, &controllers);
	cgroup->path = scan_str(arena, &s);
	return cgroup->controllers && cgroup->path ? 0 : error_nomem(err);
}

int proc_cgroup_parse(struct bytes text, struct arena *arena, struct proc_cgroups *ret,
		      struct error *err)
{
	struct scan s = scan_of(text), line;
	struct proc_cgroups groups = { 0 };
	int r;

	while (scan_line(&s, &line)) {
		if (groups.n_cgroups >= PROC_CGROUP_MAX)
			return proc_too_many(err, "cgroup hierarchies", PROC_CGROUP_MAX);
		groups.cgroups = arena_grow(arena, groups.cgroups, groups.n_cgroups,
					    sizeof(*groups.cgroups));
		if (!groups.cgroups)
			return error_nomem(err);
		r = parse_line(line, &groups.cgroups[groups.n_cgroups], arena, err);
		if (r < 0)
			return r;
		groups.n_cgroups++;
	}
	*ret = groups;
	return 0;
}

int proc_cgroup_read(int proc_fd, struct arena *arena, struct proc_cgroups *ret, struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	int r;

	r = proc_read(proc_fd, "cgroup", PROC_CGROUP_MAX_BYTES, &text, err);
	if (r < 0)
		return r;
	return proc_cgroup_parse((struct bytes){ text.data, text.len }, arena, ret, err);
}
