/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ghost: the content of a file that has no name any more but is still open or mapped.
 */
#pragma once

#include "object/capture.h"
#include "object/restore.h"

/*
 * ghost_capture - the ghost-file image of an inode, and the remap-fpath entry that ties reg_id to
 * it. One ghost is written for each inode, however many entries lead to it. The content is copied
 * to memory now (the program may change it after the thaw) and borrowed by the set until
 * file_index_free().
 * @facts: st, link and dup (any access mode, O_PATH too)
 * @reg_id: id of the RegFile
 * Returns 0, CAPTURE_GAP (recorded: too large, or unreadable), or an error.
 */
int ghost_capture(struct capture *cap, const struct fd_facts *facts, uint32_t reg_id,
		  struct error *err) _must_check_;

/* ghost_of - the remap of a RegFile, NULL when it has none. */
const Img__RemapFilePath *ghost_of(const struct image_set *set, uint32_t reg_id);

/*
 * ghost_open - open the restored ghost of an entry that ghost_of() knows as GHOST.
 * It is made at reg's name (or beside it, when that is taken), filled, opened and unlinked; a
 * second entry with the same ghost reopens the first one's inode.
 * @flags: for open()
 * Returns 0, RESTORE_GAP, or an error.
 */
int ghost_open(struct restore *rst, const Img__RegFile *reg, const Img__RemapFilePath *remap,
	       int flags, int *ret_fd, struct error *err) _must_check_;

/*
 * linked_open - open an entry whose remap is LINKED: stock CRIU had given the inode another name.
 * It gets its own name back for the moment of opening. Returns 0, RESTORE_GAP, or an error.
 */
int linked_open(struct restore *rst, const Img__RegFile *reg, const Img__RemapFilePath *remap,
		int flags, int *ret_fd, struct error *err) _must_check_;
