// SPDX-License-Identifier: Apache-2.0
/*
 * track-kind: see track.h. Which tracker does what; the trackers themselves are in the files
 * beside.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "memory/track-impl.h"

#define ROOM_REGIONS 4096

enum track_kind track_probe(void)
{
	if (track_uffd_probe())
		return TRACK_UFFD_WP;
	return track_soft_dirty_probe() ? TRACK_SOFT_DIRTY : TRACK_NONE;
}

int track_open(struct op *op, enum track_kind kind, pid_t pid, int proc_fd, struct track **ret,
	       struct error *err)
{
	struct track *t = NULL;
	int r;

	if (kind == TRACK_NONE)
		return error_set(err, ERROR_SYSTEM, EOPNOTSUPP,
				 "this kernel does not tell which pages are written");
	t = calloc(1, sizeof(*t));
	if (!t)
		return error_nomem(err);
	*t = (struct track){
		.op = op, .kind = kind, .pid = pid, .proc_fd = proc_fd, .pagemap_fd = -1, .uffd = -1
	};
	r = pagemap_room_init(&t->room, ROOM_REGIONS, err);
	if (r == 0)
		r = pagemap_open(proc_fd, &t->pagemap_fd, err);
	if (r == 0 && kind == TRACK_UFFD_WP)
		r = track_uffd_open(t, err);
	if (r < 0) {
		track_close(&t);
		return error_while(err, r == -ENOENT ? -ESRCH : r, "tracking task %d", pid);
	}
	*ret = t;
	return 0;
}

int track_cover(struct track *t, const struct proc_maps *maps, struct error *err)
{
	int r = 0;

	if (t->kind == TRACK_UFFD_WP)
		r = track_uffd_cover(t, maps, err);
	return r < 0 ? error_while(err, r, "tracking task %d", t->pid) : 0;
}

int track_round(struct track *t, pagemap_fn *fn, void *arg, struct error *err)
{
	int r;

	r = t->kind == TRACK_UFFD_WP ? track_uffd_round(t, fn, arg, err)
				     : track_soft_dirty_round(t, fn, arg, err);
	if (r == 0)
		r = track_last_ready(t, err);
	return r < 0 ? error_while(err, r, "tracking task %d", t->pid) : 0;
}

int track_last(struct track *t, const struct page_run *ranges, size_t n_ranges, pagemap_fn *fn,
	       void *arg, struct error *err)
{
	int r;

	r = t->kind == TRACK_UFFD_WP ? track_last_scan(t, ranges, n_ranges, fn, arg, err)
				     : track_soft_dirty_last(t, ranges, n_ranges, fn, arg, err);
	return r < 0 ? error_while(err, r, "looking for written pages of task %d", t->pid) : 0;
}

uint64_t track_stood_ns(const struct track *t)
{
	return t->stood_ns;
}

void track_close(struct track **track)
{
	struct track *t = *track;

	*track = NULL;
	if (!t)
		return;
	track_last_deinit(t);
	track_uffd_close(t);
	if (t->pagemap_fd >= 0)
		close(t->pagemap_fd);
	pagemap_room_deinit(&t->room);
	page_list_deinit(&t->written);
	page_list_deinit(&t->steps);
	free(t->areas);
	free(t);
}
