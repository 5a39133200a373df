/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch-path: the name of a watched inode, found through its file handle.
 */
#pragma once

#include "kernel/proc-fdinfo.h"
#include "object/capture.h"

/*
 * watch_path - the name of an inode in the container.
 * *ret: in the set's arena; NULL when no name is found. Returns 0 or an error.
 * On overlays without nfs_export, whose handles nobody can open, the handle of the layer's inode
 * that stands inside is opened on the layer.
 */
int watch_path(struct capture *cap, const struct proc_fdinfo_watch *watch, const char **ret,
	       struct error *err) _must_check_;
