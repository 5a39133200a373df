// SPDX-License-Identifier: Apache-2.0
/*
 * vdso: moving the kernel's own mappings. Never looks into them.
 */
#include "memory/vdso.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include "memory/vma.h"

static void add_part(struct vdso_block *block, uint64_t start, uint64_t end, bool vdso)
{
	if (block->n_parts == VDSO_PARTS_MAX)
		return;
	if (!block->n_parts)
		block->start = start;
	block->parts[block->n_parts].start = start;
	block->parts[block->n_parts++].len = end - start;
	block->end = end;
	if (vdso)
		block->vdso = start;
}

void vdso_of_maps(const struct proc_maps *maps, struct vdso_block *ret)
{
	size_t i;

	*ret = (struct vdso_block){ 0 };
	for (i = 0; i < maps->n_vmas; i++) {
		const struct proc_vma *vma = &maps->vmas[i];

		if (vma->kind == PROC_VMA_VDSO || vma->kind == PROC_VMA_VVAR)
			add_part(ret, vma->start, vma->end, vma->kind == PROC_VMA_VDSO);
	}
}

void vdso_of_mm(const Img__Mm *mm, struct vdso_block *ret)
{
	size_t i;

	*ret = (struct vdso_block){ 0 };
	for (i = 0; i < mm->n_vmas; i++) {
		const Img__Vma *vma = mm->vmas[i];

		if (vma->status & (VMA_STATUS_VDSO | VMA_STATUS_VVAR))
			add_part(ret, vma->start, vma->end, vma->status & VMA_STATUS_VDSO);
	}
}

void vdso_move(struct script *s, struct vdso_block *block, uint64_t to)
{
	uint64_t base = block->start;
	size_t i;

	for (i = 0; i < block->n_parts; i++) {
		uint64_t target = to + (block->parts[i].start - base);

		(void)script_need(s, SYS_mremap, block->parts[i].start, block->parts[i].len,
				  block->parts[i].len, MREMAP_MAYMOVE | MREMAP_FIXED, target);
		block->parts[i].start = target;
	}
	block->vdso = block->vdso ? to + (block->vdso - base) : 0;
	block->end = to + (block->end - base);
	block->start = to;
}
