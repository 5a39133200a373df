// SPDX-License-Identifier: Apache-2.0
/*
 * find: see find.h.
 */
#include "runtime/find.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kernel/proc-stat.h"
#include "kernel/proc-status.h"
#include "kernel/proc.h"
#include "runtime/engine.h"
#include "runtime/members.h"

#define PREFIX_MIN 4 /* characters of an id that may stand for the whole */

static bool runs(const struct container_state *state)
{
	_cleanup_close_ int fd = -1;
	struct proc_stat stat;

	if (state->pid <= 0 || proc_open(state->pid, &fd, NULL) < 0 ||
	    proc_stat_read(fd, &stat, NULL) < 0)
		return false;
	/* A pid that was given to another process since then is not the container. */
	if (state->start_time && stat.start_time != state->start_time)
		return false;
	return stat.state != 'Z' && stat.state != 'X';
}

static int no_such(const struct container_states *list, const char *name, struct error *err)
{
	_cleanup_buf_ struct buf hint = BUF_INIT;
	const struct container_state *s;
	int r, n = 0;

	r = error_set(err, ERROR_NOT_FOUND, ENOENT, "there is no container '%s'", name);
	for (s = list->states; s < list->states + list->n_states && hint.len < 300; s++)
		if (runs(s) && buf_printf(&hint, NULL, "%s%.12s%s%s%s", n++ ? ", " : "", s->id,
					  strcmp(s->name, s->id) != 0 ? " (" : "",
					  strcmp(s->name, s->id) != 0 ? s->name : "",
					  strcmp(s->name, s->id) != 0 ? ")" : "") < 0)
			return error_nomem(err);
	if (n)
		return error_hint(err, r, "running: %s", (char *)hint.data);
	if (list->denied)
		return error_hint(err, r, "%s cannot be read; run it with sudo", list->denied);
	return error_hint(err, r,
			  "no runtime's state (runc, crun, containerd, CRI-O, podman, "
			  "Docker) names a running container; use pid:N for a process");
}

enum match { MATCH_NONE, MATCH_PREFIX, MATCH_NAME, MATCH_ID };

static enum match match(const struct container_state *state, const char *name)
{
	if (strcmp(state->id, name) == 0)
		return MATCH_ID;
	if (strcmp(state->name, name) == 0)
		return MATCH_NAME;
	if (strlen(name) >= PREFIX_MIN && strncmp(state->id, name, strlen(name)) == 0)
		return MATCH_PREFIX;
	return MATCH_NONE;
}

/* The one container that fits best; of two that fit alike the one that runs. */
static int choose(const struct container_states *list, const char *runtime, const char *name,
		  const struct container_state **ret, struct error *err)
{
	const struct container_state *s, *best = NULL, *rival = NULL;
	enum match m, best_match = MATCH_NONE;

	for (s = list->states; s < list->states + list->n_states; s++) {
		if (runtime && strcmp(s->runtime, runtime) != 0)
			continue;
		m = match(s, name);
		if (m == MATCH_NONE || m < best_match)
			continue;
		if (m > best_match || (runs(s) && !runs(best))) {
			best = s;
			rival = NULL;
			best_match = m;
		} else if (runs(s) == runs(best)) {
			rival = s;
		}
	}
	if (!best)
		return no_such(list, name, err);
	if (rival)
		return error_hint(
			err,
			error_set(err, ERROR_USAGE, EEXIST,
				  "'%s' fits more than one container: %s (%s) and %s (%s)", name,
				  best->id, best->name, rival->id, rival->name),
			"give the id whole");
	if (!runs(best))
		return error_hint(err,
				  error_set(err, ERROR_NOT_FOUND, ESRCH,
					    "the container %s (%s) does not run", best->id,
					    best->name),
				  "its state is in %s", best->file);
	*ret = best;
	return 0;
}

/* A checkpoint stops its target: it must not stop who takes it. */
static int not_above_us(pid_t target, struct error *err)
{
	pid_t pid = getpid();
	struct proc_stat stat;

	while (pid > 0) {
		_cleanup_close_ int fd = -1;

		if (pid == target)
			return error_hint(err,
					  error_set(err, ERROR_USAGE, EINVAL,
						    "amber itself runs below pid %d", target),
					  "run amber outside of what it is to capture");
		if (proc_open(pid, &fd, NULL) < 0 || proc_stat_read(fd, &stat, NULL) < 0)
			break;
		pid = stat.ppid;
	}
	return 0;
}

static int find_pid(const char *digits, struct arena *arena, struct checkpoint_target *ret,
		    struct error *err)
{
	_cleanup_close_ int fd = -1;
	struct proc_status status;
	pid_t *pids;
	char *end;
	long pid;
	int r;

	errno = 0;
	pid = strtol(digits, &end, 10);
	if (errno || *end || !isdigit((unsigned char)digits[0]) || pid <= 0 || pid > INT32_MAX)
		return error_set(err, ERROR_USAGE, EINVAL, "'%s' is no process id", digits);
	r = proc_open((pid_t)pid, &fd, NULL);
	if (r == 0)
		r = proc_status_read(fd, arena, &status, err);
	if (r == -ENOENT || r == -ESRCH)
		return error_set(err, ERROR_NOT_FOUND, ESRCH, "there is no process %ld", pid);
	if (r < 0)
		return r;
	if (status.tgid != pid)
		return error_hint(err,
				  error_set(err, ERROR_USAGE, EINVAL,
					    "%ld is a thread of process %d", pid, status.tgid),
				  "use pid:%d", status.tgid);
	if (status.kthread || (!status.has_mm && status.state != 'Z'))
		return error_set(err, ERROR_USAGE, EINVAL, "process %ld is a kernel thread", pid);
	if (status.state == 'Z')
		return error_set(err, ERROR_NOT_FOUND, ESRCH, "process %ld is dead already", pid);
	r = not_above_us((pid_t)pid, err);
	if (r < 0)
		return r;
	pids = arena_array(arena, pid_t, 1);
	if (!pids)
		return error_nomem(err);
	pids[0] = (pid_t)pid;
	*ret = (struct checkpoint_target){
		.pids = pids,
		.n_pids = 1,
		.runtime = "",
		.engine = "",
		.id = arena_printf(arena, "%ld", pid),
		.image_name = "",
		.image_ref = "",
		.created = "",
		.bundle = "",
		.rootfs = "",
	};
	ret->name = ret->id;
	return ret->id ? 0 : error_nomem(err);
}

int runtime_find_in(struct op *op, const struct runtime_world *world, const char *name,
		    struct arena *arena, struct checkpoint_target *ret, struct error *err)
{
	const struct container_state *found = NULL;
	struct container_states list;
	const char *runtime = NULL;
	pid_t *pids;
	size_t i, n;
	int r;

	if (strncmp(name, "pid:", 4) == 0)
		return find_pid(name + 4, arena, ret, err);
	if (strncmp(name, "runc:", 5) == 0 || strncmp(name, "crun:", 5) == 0) {
		runtime = name[0] == 'r' ? "runc" : "crun";
		name += 5;
	}
	if (!*name || strchr(name, '/'))
		return error_hint(err,
				  error_set(err, ERROR_USAGE, EINVAL,
					    "'%s' is no container's id or name", name),
				  "give pid:N, runc:ID, crun:ID, or a container's id or name");
	r = container_states_read(op, world, arena, &list, err);
	for (i = 0; r == 0 && i < list.n_states; i++)
		r = container_state_spec(world, arena, &list.states[i], err);
	if (r == 0)
		r = choose(&list, runtime, name, &found, err);
	if (r == 0)
		r = container_members(op, found->pid, arena, &pids, &n, err);
	for (i = 0; r == 0 && i < n; i++)
		r = not_above_us(pids[i], err);
	if (r < 0)
		return r;
	*ret = (struct checkpoint_target){
		.pids = pids,
		.n_pids = n,
		.runtime = found->runtime,
		.engine = found->engine,
		.id = found->id,
		.name = found->name,
		.image_name = found->image_name,
		.image_ref = found->image_ref,
		.created = found->created,
		.bundle = found->bundle,
		.rootfs = found->rootfs,
		.spec = found->spec,
	};
	return 0;
}
