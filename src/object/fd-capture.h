/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fd-capture: the descriptors of a task, walked and given to the kinds.
 */
#pragma once

#include "object/capture.h"

/*
 * fd_capture_task - every descriptor of one task: fills fdinfo-<files_id> and, for new
 * descriptions, the files image. Tasks that share their descriptor table (KCMP_FILES, the caller
 * knows) are captured once. Returns 0 or an error.
 */
int fd_capture_task(struct capture *cap, struct task *task, uint32_t files_id,
		    struct error *err) _must_check_;

/*
 * fd_capture_finish - after the last task, still in the stop: what can be judged only when every
 * descriptor is known (pipes and terminals with one end outside, file locks). Returns 0 or an
 * error.
 */
int fd_capture_finish(struct capture *cap, struct error *err) _must_check_;

/*
 * fd_facts_gather - look at one descriptor.
 * @arena: for the texts
 * *ret: ret->dup is the caller's to close. Returns 0, 1 when the descriptor is gone, or an error.
 */
int fd_facts_gather(struct task *task, int fd, struct arena *arena, struct fd_facts *ret,
		    struct error *err) _must_check_;

/*
 * fd_capture_facts - the FileEntry of a description, captured now when it is new.
 * For descriptors that are nobody's: in flight in a socket, or behind another object.
 * *ret_id, *ret_type: of the entry. Returns 0, CAPTURE_GAP (recorded), or an error.
 */
int fd_capture_facts(struct capture *cap, struct fd_facts *facts, uint32_t *ret_id,
		     Img__FdTypes *ret_type, struct error *err) _must_check_;

/*
 * fd_gap - record a gap about a descriptor; the subject becomes "fd 7 (link text)".
 * @outcome: what to return when that worked: CAPTURE_GAP, or 0 for a detail of a captured object
 * Returns outcome or -ENOMEM.
 */
int fd_gap(struct capture *cap, const struct fd_facts *facts, enum gap_effect effect,
	   const char *kind, int outcome, struct error *err, const char *fmt, ...)
	_printf_(7, 8) _must_check_;
