/* SPDX-License-Identifier: Apache-2.0 */
/*
 * namespace-kinds: the rows of namespace_kinds[], one file each (mount.h and net.h have their own).
 */
#pragma once

#include "object/namespace.h"

extern const struct namespace_kind uts_namespace_kind;
extern const struct namespace_kind ipc_namespace_kind;
extern const struct namespace_kind cgroup_namespace_kind;
extern const struct namespace_kind pid_namespace_kind;
extern const struct namespace_kind time_namespace_kind;
extern const struct namespace_kind user_namespace_kind;

/* ipc_restore - the restoring half of ipc_namespace_kind: ipcns-restore.c. */
int ipc_restore(struct restore *rst, const struct sandbox_spec *spec, uint32_t id,
		struct error *err) _must_check_;

/* ipc_look_free - what ipc_namespace_kind's look has made ready. NULL is accepted. */
void ipc_look_free(struct ipc_look *look);

/*
 * cgroup_capture - cgroup.img: where every task stands in every hierarchy. For containers that
 * share the host's cgroup namespace too, so the walker of namespaces is not enough; does nothing
 * when the image is there already. The cores captured so far learn the number of their set
 * (ThreadCore.cg_set). Set 1 stands for amber's own place and is not in the image.
 */
int cgroup_capture(struct capture *cap, struct error *err) _must_check_;

/* cgroup_describe - permissions and limits of these groups into cgroup.img. Has time until after
 * the thaw. */
int cgroup_describe(struct image_set *set, struct error *err) _must_check_;

/*
 * timens_capture - the clocks as the container's tasks read them now, into timens-<id>.
 * @id: 0 when the container shares the host's time namespace, as stock CRIU has it
 */
int timens_capture(struct capture *cap, uint32_t id, struct error *err) _must_check_;
