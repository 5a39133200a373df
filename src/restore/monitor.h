/* SPDX-License-Identifier: Apache-2.0 */
/*
 * monitor: the keeper of a sandbox: its controller while it is built, its parent while it lives.
 *
 * A child of amber's. It stays until the sandbox ends, passes signals on to the root task, and
 * removes what a sandbox leaves outside of its namespaces.
 */
#pragma once

#include "restore/run.h"

/*
 * monitor_run - build the sandbox and keep it, in a process of our own (after fork).
 * @control: a socket to our parent: a byte to it says that the sandbox runs; a byte from it
 * detaches us, and is answered; its end without that is the end of the sandbox
 * @parent: who that is
 */
_Noreturn void monitor_run(struct run *run, int control, pid_t parent);
