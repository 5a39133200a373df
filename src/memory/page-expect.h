/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page-expect: before the first round: which pages an address space will most likely have in the
 * end.
 *
 * A guess that costs time only where it is wrong: it decides for what room is kept in the archive,
 * not what is in it.
 */
#pragma once

#include "kernel/proc-maps.h"
#include "memory/page-store.h"

/*
 * page_expect - tell a space of the store all pages of its own that the process has now.
 * @proc_fd: /proc/<pid>
 * @maps: its mappings
 */
int page_expect(struct page_space *space, int proc_fd, const struct proc_maps *maps,
		struct error *err) _must_check_;
