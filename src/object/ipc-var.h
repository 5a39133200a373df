/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipc-var: the limits of an IPC namespace: files of /proc/sys that show the namespace of who opens
 * them.
 */
#pragma once

#include "object/capture.h"
#include "object/restore.h"

/* ipc_var_read - inside of the namespace: all values as opaque bytes for ipc_var_take(). */
int ipc_var_read(struct buf *out, struct error *err) _must_check_;

/* ipc_var_take - those bytes into ipcns-var-<id>. */
int ipc_var_take(struct capture *cap, uint32_t id, struct bytes values,
		 struct error *err) _must_check_;

/* ipc_var_restore - inside of the sandbox's namespace, with a /proc that shows its sysctls. What
 * cannot be set is a note. */
void ipc_var_restore(struct restore *rst, const Img__IpcVar *var);

/* ipc_next_id - make the next object of a type ("msg", "sem", "shm") get this id. 0 or -errno. */
int ipc_next_id(const char *type, uint32_t id) _must_check_;
