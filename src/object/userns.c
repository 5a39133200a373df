// SPDX-License-Identifier: Apache-2.0
/*
 * userns: the id maps of a user namespace. Captured; a sandbox has none of its own yet.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "kernel/proc.h"
#include "kernel/scan.h"
#include "object/namespace-kinds.h"

#define MAP_MAX_BYTES ((size_t)64 << 10)
#define EXTENTS_MAX   340 /* the kernel's */

static int map_read(struct capture *cap, const char *name, Img__UidGidExtent ***ret, size_t *ret_n,
		    struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct arena *arena = &cap->set->arena;
	struct scan s, line;
	size_t n = 0;
	int r;

	r = proc_read(cap->root->proc_fd, name, MAP_MAX_BYTES, &text, err);
	if (r < 0)
		return r;
	*ret = arena_array(arena, Img__UidGidExtent *, EXTENTS_MAX);
	if (!*ret)
		return error_nomem(err);
	s = scan_of((struct bytes){ text.data, text.len });
	while (scan_line(&s, &line) && n < EXTENTS_MAX) {
		Img__UidGidExtent *e = img_new(cap->set, Img__UidGidExtent, uid_gid_extent);

		if (!e)
			return error_nomem(err);
		if (!scan_u32(&line, 10, &e->first) || !scan_u32(&line, 10, &e->lower_first) ||
		    !scan_u32(&line, 10, &e->count))
			return proc_malformed(err, name, "an extent");
		(*ret)[n++] = e;
	}
	*ret_n = n;
	return 0;
}

static int user_capture(struct capture *cap, const struct capture_ns *ns, struct error *err)
{
	Img__Userns *e = img_new(cap->set, Img__Userns, userns);
	int r;

	if (!e)
		return error_nomem(err);
	r = map_read(cap, "uid_map", &e->uid_map, &e->n_uid_map, err);
	if (r >= 0)
		r = map_read(cap, "gid_map", &e->gid_map, &e->n_gid_map, err);
	if (r < 0)
		return error_while(err, r, "reading the user namespace of process %d",
				   cap->root->pid);
	return image_add(cap->set, IMAGE_USERNS, ns->id, &e->base, (struct bytes){ 0 }, err);
}

static int user_restore(struct restore *rst, const struct sandbox_spec *spec, uint32_t id,
			struct error *err)
{
	const Img__Userns *e = image_single(rst->set, IMAGE_USERNS, id);

	if (e)
		restore_gap(rst, GAP_DEGRADED, "user namespace", 0, "id maps",
			    "the container had a user namespace, the sandbox has none: user 0 in "
			    "it is the "
			    "host's user 0, and files belong to the ids that the host saw");
	return 0;
}

const struct namespace_kind user_namespace_kind = {
	.name = "user",
	.kind = NS_USER,
	.clone_flag = CLONE_NEWUSER,
	.capture = user_capture,
	.restore = user_restore,
};
