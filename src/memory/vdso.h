/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vdso: the kernel's own mappings of a task, moved to where the image had them.
 *
 * The vdso's code finds its data by distance, so vvar and vdso move as one block. A block of
 * another size (another kernel) is put where the image's ended up as well as possible; the caller
 * says so.
 */
#pragma once

#include "image/schema.h"
#include "kernel/proc-maps.h"
#include "task/script.h"

#define VDSO_PARTS_MAX 8

struct vdso_block {
	struct {
		uint64_t start, len;
	} parts[VDSO_PARTS_MAX]; /* ascending: vvar, vvar_vclock, vdso */
	size_t n_parts;
	uint64_t start, end; /* of all */
	uint64_t vdso;	     /* address of [vdso] itself, 0 = none */
};

/* vdso_of_maps - of a living task. vdso_of_mm - of an image. Pure. */
void vdso_of_maps(const struct proc_maps *maps, struct vdso_block *ret);
void vdso_of_mm(const Img__Mm *mm, struct vdso_block *ret);

/* vdso_target - where the block has to start so that [vdso] lands at the image's address. */
static inline uint64_t vdso_target(const struct vdso_block *now, const struct vdso_block *image)
{
	return image->vdso - (now->vdso - now->start);
}

/* vdso_move - append the calls that move a block to a new start, which it must not overlap. */
void vdso_move(struct script *s, struct vdso_block *block, uint64_t to);
