/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registers: what a processor holds of a thread, between the kernel's layouts and the image's.
 */
#pragma once

#include <sys/user.h>

#include "base/buf.h"
#include "image/image.h"
#include "image/schema.h"
#include "task/task.h"

/*
 * registers_to_image - fill info from general registers and an XSAVE area.
 * @xstate: as PTRACE_GETREGSET(NT_X86_XSTATE) gives it, uncompacted
 * @layout: of the processor on which the thread ran
 * @ret_lost: components (bits of XSTATE_BV) that are in use and that the image format cannot hold
 * Returns 0, -EINVAL (too short), -ENOMEM.
 */
int registers_to_image(struct image_set *set, const struct user_regs_struct *regs,
		       struct bytes xstate, const struct xstate_layout *layout,
		       Img__ThreadInfoX86 *info, uint64_t *ret_lost,
		       struct error *err) _must_check_;

/*
 * registers_from_image - the other way round, for PTRACE_SETREGSET.
 * @xstate: appended to; left empty when the image has no FPU state
 * @ret_lost: components of the image that this processor lacks
 * Returns 0, -EINVAL (an image that is none), -ENOMEM.
 */
int registers_from_image(const Img__ThreadInfoX86 *info, struct user_regs_struct *regs,
			 struct buf *xstate, uint64_t *ret_lost, struct error *err) _must_check_;
