/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file-index: every open file description once, however many descriptors share it.
 *
 * Two descriptors share a description exactly when kcmp(KCMP_FILE) says so; it is asked only for those
 * with equal device, inode, position and flags.
 */
#pragma once

#include "object/capture.h"

struct file_index;

struct file_index *file_index_new(void);
void file_index_free(struct file_index *index);

/*
 * file_index_find - has this description been captured?
 * @facts: task, fd, st, pos and flags are used
 * *ret_id: its id, a fresh one when it is new. Returns 1 when known, 0 when new, or an error.
 */
int file_index_find(struct capture *cap, const struct fd_facts *facts, uint32_t *ret_id,
		    struct error *err) _must_check_;

/*
 * fd_capture_task - every descriptor of one task: fills fdinfo-<files_id> and, for new descriptions,
 * the files image. Tasks that share their descriptor table (KCMP_FILES, the caller knows) are captured
 * once. Returns 0 or an error.
 */
int fd_capture_task(struct capture *cap, struct task *task, uint32_t files_id, struct error *err)
	_must_check_;

/* file_captured - the entry of a captured id, NULL when it became a gap. */
Img__FileEntry *file_captured(struct capture *cap, uint32_t id);
