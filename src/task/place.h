/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place: where in somebody's address space something of ours may lie for a moment.
 *
 * Only looks. All threads of the task stand.
 */
#pragma once

#include "kernel/proc-maps.h"
#include "task/task.h"

/* place_in_hole - a page-aligned address for size bytes where nothing lies and nothing will grow, 0
 * = none. */
uint64_t place_in_hole(const struct proc_maps *maps, size_t size);

/*
 * place_on_stack - room bytes of stack that hold nothing.
 * Below the thread's stack pointer, where that is surely a stack; else at the far end of the main
 * stack, where it has never been. Returns the address behind them, 0 = there are none.
 */
uint64_t place_on_stack(const struct thread *thread, const struct proc_maps *maps, size_t room);
