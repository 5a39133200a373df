/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reg-file: regular files, directories and devices that have a path, named or unlinked.
 *
 * Serves descriptors, and everything else that holds a file: mappings, the executable, working and
 * root directories.
 */
#pragma once

#include "object/capture.h"
#include "object/restore.h"

/*
 * reg_file_capture - the FileEntry of a file that is reached through a /proc link.
 * @task: whose link it is, for gaps and for its root
 * @procfd, @link: as for openat(): e.g. task->proc_fd and "exe", "cwd", "map_files/..."
 * @flags: O_* of the (imagined) descriptor, as a restore should open it
 * Descriptions found so are shared: the same file and flags give the same id. The content of a
 * deleted file is captured as a ghost; size, and build-id or SHA-256, are recorded. A memfd (a
 * mapped one, say) becomes a MEMFD entry: file_captured() tells by the entry's type. *ret_id: the
 * FileEntry's id. Returns 0, CAPTURE_GAP, or an error.
 */
int reg_file_capture(struct capture *cap, struct task *task, int procfd, const char *link,
		     uint32_t flags, uint32_t *ret_id, struct error *err) _must_check_;

/* reg_file_capture_facts - an entry of its own for the name of something that another kind captures
 * (a FIFO, a terminal). Returns as reg_file_capture(). */
int reg_file_capture_facts(struct capture *cap, const struct fd_facts *facts, uint32_t *ret_id,
			   struct error *err) _must_check_;

/*
 * reg_file_open - open a REG entry in the sandbox (root task, mounts in place).
 * The flags are the entry's. Returns 0, RESTORE_GAP, or an error; *ret_fd is the caller's.
 */
int reg_file_open(struct restore *rst, const Img__RegFile *reg, int *ret_fd,
		  struct error *err) _must_check_;

extern const struct fd_kind reg_file_kind;
