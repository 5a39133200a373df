// SPDX-License-Identifier: Apache-2.0
/*
 * kinds: the tables of everything that amber can capture and bring back.
 *
 * Adding a kind is adding a file and a row here (docs/HOWTO_ADD_A_KIND.md). Order matters and is
 * explained where it does.
 */
#include "object/capture.h"
#include "object/namespace.h"

const struct fd_kind *const fd_kinds[] = {
	NULL,
};

const struct task_kind *const task_kinds[] = {
	NULL,
};

const struct namespace_kind *const namespace_kinds[] = {
	NULL,
};

const struct fd_kind *fd_kind_of(Img__FdTypes type)
{
	size_t i;

	for (i = 0; fd_kinds[i]; i++)
		if (fd_kinds[i]->type == type)
			return fd_kinds[i];
	return NULL;
}

uint32_t capture_next_id(struct capture *cap)
{
	return ++cap->next_id;
}
