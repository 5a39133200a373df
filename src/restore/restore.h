/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore: an image set becomes running tasks in a sandbox of their own.
 *
 * The sandbox has new namespaces of every kind and a root directory that nobody else sees. All or
 * nothing: a restore that fails leaves no process, mount, cgroup or file behind, and the error
 * names the object. What can be left out without lying becomes a note in the result.
 */
#pragma once

#include "restore/request.h"

#define RESTORE_RESULT_INIT ((struct restore_result){ .control = -1 })

/* restore_result_deinit - also ends a sandbox that was neither detached nor waited for. */
void restore_result_deinit(struct restore_result *result);

/*
 * restore_run - bring an image set up in a sandbox.
 * Returns 0 once its tasks run, or a negative errno with nothing left behind. From then on the
 * sandbox lives and dies with this process, until restore_detach(). The caller must be
 * single-threaded: it is forked without exec. Children of the caller: the monitor only.
 */
int restore_run(struct op *op, const struct restore_request *req, struct restore_result *ret,
		struct error *err) _must_check_;

/* restore_detach - let the sandbox outlive this process, from this instant on. Call it when its
 * user has been told of it. */
int restore_detach(const struct restore_result *result, struct error *err) _must_check_;

/*
 * restore_wait - wait until a sandbox that was not detached has ended and is cleaned away.
 * Signals that end us by default (INT, TERM, HUP) should be blocked by the caller: they are taken
 * here and passed on to the sandbox's root task. *ret_status: as wait() gives it for the root task.
 */
int restore_wait(struct op *op, const struct restore_result *result, int *ret_status,
		 struct error *err) _must_check_;
