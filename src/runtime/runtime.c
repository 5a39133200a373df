// SPDX-License-Identifier: Apache-2.0
/*
 * runtime: see runtime.h. The looking is done in find.c.
 */
#include "runtime/runtime.h"

#include <stdlib.h>

#include "runtime/find.h"

int runtime_find(struct op *op, const char *name, struct arena *arena,
		 struct checkpoint_target *ret, struct error *err)
{
	const struct runtime_world world = { "", secure_getenv("XDG_RUNTIME_DIR") };

	return runtime_find_in(op, &world, name, arena, ret, err);
}
