// SPDX-License-Identifier: Apache-2.0
/*
 * namespaces: which namespaces the container lives in, their numbers in the image set, their
 * contents.
 *
 * A namespace that amber itself is in belongs to the host: it is numbered, never captured.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "checkpoint/run.h"
#include "kernel/proc.h"
#include "object/mount.h"
#include "object/namespace-kinds.h"

/* Ids of amber's own namespaces and tables in inventory.img; no captured thing may have them. */
#define OWN_IDS 16

#define IMAGE_FORMAT_VERSION 2 /* "v1.1": two magic words */
#define NETWORK_LOCK_SKIP    3 /* amber locks no packet filter */

int checkpoint_identify_namespaces(struct checkpoint *c, struct error *err)
{
	_cleanup_close_ int self = -1;
	struct ns_set own, set;
	enum ns_kind kind;
	struct capture_ns *ns;
	int r;

	r = proc_open(getpid(), &self, err);
	if (r == 0)
		r = ns_read(self, &own, err);
	if (r == 0)
		r = ns_read(c->proc_fd, &set, err);
	if (r < 0)
		return r;
	for (kind = 0; kind < NS_KINDS; kind++) {
		ns = &c->cap.ns[kind];
		ns->ino = set.id[kind].ino;
		ns->own = !ns->ino || ns_same(set.id[kind], own.id[kind]);
		ns->id = ns->own ? (uint32_t)kind + 1 : capture_next_id(&c->cap);
		if (!ns->ino)
			continue;
		r = ns_open(c->proc_fd, kind, &ns->fd, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Where the ids of namespaces stand in the message, by kind. */
static const struct {
	enum ns_kind kind;
	size_t has, id;
} id_fields[] = {
#define FIELD(kind, name)                                                                          \
	{                                                                                          \
		kind, offsetof(Img__TaskKobjIds, has_##name), offsetof(Img__TaskKobjIds, name)     \
	}
	FIELD(NS_PID, pid_ns_id),	FIELD(NS_NET, net_ns_id),   FIELD(NS_IPC, ipc_ns_id),
	FIELD(NS_UTS, uts_ns_id),	FIELD(NS_MNT, mnt_ns_id),   FIELD(NS_USER, user_ns_id),
	FIELD(NS_CGROUP, cgroup_ns_id), FIELD(NS_TIME, time_ns_id),
#undef FIELD
};

static void put_id(Img__TaskKobjIds *ids, size_t field, uint32_t id)
{
	*(protobuf_c_boolean *)((char *)ids + id_fields[field].has) = true;
	*(uint32_t *)((char *)ids + id_fields[field].id) = id;
}

int checkpoint_ns_ids(struct checkpoint *c, struct task *task, Img__TaskKobjIds *ids,
		      struct error *err)
{
	char subject[64];
	struct ns_set set;
	size_t i;
	int r;

	r = ns_read(task->proc_fd, &set, err);
	if (r < 0)
		return r;
	for (i = 0; i < ARRAY_SIZE(id_fields); i++) {
		const struct capture_ns *ns = &c->cap.ns[id_fields[i].kind];

		put_id(ids, i, ns->id);
		if (set.id[id_fields[i].kind].ino == ns->ino || !set.id[id_fields[i].kind].ino)
			continue;
		snprintf(subject, sizeof(subject), "%s namespace %llu",
			 ns_kind_name(id_fields[i].kind),
			 (unsigned long long)set.id[id_fields[i].kind].ino);
		r = gap_add(
			c->gaps, GAP_DEGRADED, "namespace", task->ns_pid, subject,
			"the task has a namespace of its own inside the container; in a restore "
			"it shares the container's");
		if (r < 0)
			return error_nomem(err);
	}
	return 0;
}

int checkpoint_inventory(struct checkpoint *c, struct error *err)
{
	Img__Inventory *inv = img_new(&c->set, Img__Inventory, inventory);
	Img__TaskKobjIds *own = img_new(&c->set, Img__TaskKobjIds, task_kobj_ids);
	struct timespec up;
	size_t i;
	int r;

	if (!inv || !own)
		return error_nomem(err);
	r = mount_contents_finish(&c->cap, err);
	if (r == 0)
		r = cgroup_describe(&c->set, err);
	if (r < 0)
		return r;
	inv->img_version = IMAGE_FORMAT_VERSION;
	inv->has_fdinfo_per_id = inv->fdinfo_per_id = true;
	inv->has_ns_per_id = inv->ns_per_id = true;
	inv->has_root_cg_set = image_find(&c->set, IMAGE_CGROUP, 0) != NULL;
	inv->root_cg_set = 1;
	inv->has_lsmtype = true;
	inv->lsmtype = IMG__LSMTYPE__NO_LSM;
	inv->has_network_lock_method = true;
	inv->network_lock_method = NETWORK_LOCK_SKIP;
	clock_gettime(CLOCK_BOOTTIME, &up);
	inv->has_dump_uptime = true;
	inv->dump_uptime = (uint64_t)up.tv_sec * 1000000 + (uint64_t)up.tv_nsec / 1000;
	/* Ids equal to the root task's mean: the container shares this namespace with the host. */
	own->vm_id = own->files_id = own->fs_id = own->sighand_id = OWN_IDS;
	for (i = 0; i < ARRAY_SIZE(id_fields); i++)
		put_id(own, i, (uint32_t)id_fields[i].kind + 1);
	inv->root_ids = own;
	return image_add(&c->set, IMAGE_INVENTORY, 0, &inv->base, (struct bytes){ 0 }, err);
}

static int capture_namespaces(struct checkpoint *c, bool early, struct error *err)
{
	const struct namespace_kind *kind;
	const struct capture_ns *ns;
	size_t i;
	int r = 0;

	for (i = 0; (kind = namespace_kinds[i]); i++) {
		ns = &c->cap.ns[kind->kind];
		if (ns->own)
			continue;
		if (early && kind->look)
			r = kind->look(&c->cap, ns, c->proc_fd, err);
		if (r == 0 && kind->capture && kind->early == early)
			r = kind->capture(&c->cap, ns, err);
		if (r < 0)
			return error_while(err, r, "capturing the %s namespace", kind->name);
	}
	return 0;
}

int checkpoint_capture_namespaces_early(struct checkpoint *c, struct error *err)
{
	return capture_namespaces(c, true, err);
}

int checkpoint_capture_namespaces(struct checkpoint *c, struct error *err)
{
	int r = capture_namespaces(c, false, err);

	/* These are the container's although it may share the namespace with the host. */
	if (r == 0)
		r = cgroup_capture(&c->cap, err);
	if (r == 0 && c->cap.ns[NS_TIME].own)
		r = timens_capture(&c->cap, 0, err);
	return r;
}
