// SPDX-License-Identifier: Apache-2.0
/*
 * pidns: the pid namespace. The numbers of its tasks are in pstree.img and the cores; nothing else
 * of it can be seen or has to be made: the sandbox's first task is born in a new one.
 */
#include <sched.h>

#include "object/namespace-kinds.h"

static int pid_restore(struct restore *rst, const struct sandbox_spec *spec, uint32_t id,
		       struct error *err)
{
	const Img__Pidns *e = image_single(rst->set, IMAGE_PIDNS, id);

	if (e && e->ext_key)
		restore_gap(rst, GAP_COSMETIC, "pid namespace", 0, e->ext_key,
			    "was another's (the pod's, perhaps): the sandbox has one of its own");
	return 0;
}

const struct namespace_kind pid_namespace_kind = {
	.name = "pid",
	.kind = NS_PID,
	.clone_flag = CLONE_NEWPID,
	.restore = pid_restore,
};
