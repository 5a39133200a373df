/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gadget: instructions of a task's own that we can borrow to make a call in it.
 *
 * Searched in the vdso and in mapped files, remembered by file, looked at again before each use.
 * Only reads memory.
 */
#pragma once

#include "kernel/proc-maps.h"
#include "task/arch.h"
#include "task/task.h"

/* Addresses in one task; 0 = there is none. */
struct gadgets {
	uint64_t at[ARCH_GADGETS];
};

/*
 * gadget_find - look for all kinds in one task.
 * @cache: created here when *cache is NULL, NULL = do not remember; freed by gadget_cache_free()
 * @maps: of this task
 * @avoid, @avoid_size: a range that is going to be unmapped (size 0 = none)
 * Not finding one is no error.
 */
int gadget_find(struct gadget_cache **cache, const struct task *task, const struct proc_maps *maps,
		uint64_t avoid, uint64_t avoid_size, struct gadgets *ret,
		struct error *err) _must_check_;

void gadget_cache_free(struct gadget_cache *cache);
