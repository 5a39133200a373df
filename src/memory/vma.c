// SPDX-License-Identifier: Apache-2.0
/*
 * vma: see vma.h.
 */
#include "memory/vma.h"

#include <string.h>
#include <sys/mman.h>

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/* VmFlags that are a mmap flag or a piece of advice in the image. */
static const struct {
	uint64_t vmflag;
	uint32_t map_flag;
	int advice; /* -1 = none */
} flag_rows[] = {
	{ PROC_VMF_GD, MAP_GROWSDOWN, -1 },  { PROC_VMF_LO, MAP_LOCKED, -1 },
	{ PROC_VMF_NR, MAP_NORESERVE, -1 },  { PROC_VMF_HT, MAP_HUGETLB, -1 },
	{ PROC_VMF_SR, 0, MADV_SEQUENTIAL }, { PROC_VMF_RR, 0, MADV_RANDOM },
	{ PROC_VMF_DC, 0, MADV_DONTFORK },   { PROC_VMF_DD, 0, MADV_DONTDUMP },
	{ PROC_VMF_MG, 0, MADV_MERGEABLE },  { PROC_VMF_HG, 0, MADV_HUGEPAGE },
	{ PROC_VMF_NH, 0, MADV_NOHUGEPAGE }, { PROC_VMF_WF, 0, MADV_WIPEONFORK },
	{ PROC_VMF_DP, MAP_DROPPABLE, -1 },
};

void vma_put_flags(Img__Vma *vma, const struct proc_vma *src)
{
	size_t i;

	vma->flags = (src->shared ? MAP_SHARED : MAP_PRIVATE) | (vma->flags & MAP_ANONYMOUS);
	vma->madv = 0;
	vma->has_madv = false;
	if (src->kind == PROC_VMA_ANON && (src->vmflags & PROC_VMF_SS))
		vma->status |= VMA_STATUS_SHSTK;
	for (i = 0; i < ARRAY_SIZE(flag_rows); i++) {
		if (!(src->vmflags & flag_rows[i].vmflag))
			continue;
		vma->flags |= flag_rows[i].map_flag;
		if (flag_rows[i].advice >= 0) {
			vma->madv |= 1ULL << flag_rows[i].advice;
			vma->has_madv = true;
		}
	}
	if (vma->flags & MAP_DROPPABLE)
		vma->flags &= ~(uint32_t)MAP_PRIVATE; /* it is a mapping type of its own */
}

bool vma_same_flags(const struct proc_vma *a, const struct proc_vma *b)
{
	uint64_t differ = a->vmflags ^ b->vmflags;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(flag_rows); i++)
		if (differ & flag_rows[i].vmflag)
			return false;
	return true;
}

static bool same_thing(const struct proc_vma *a, const struct proc_vma *b)
{
	if (a->kind != b->kind || a->shared != b->shared || a->ino != b->ino ||
	    a->major != b->major || a->minor != b->minor)
		return false;
	/* of a file also the same place */
	return !a->ino || a->start - a->pgoff == b->start - b->pgoff;
}

const struct proc_vma *vma_seen(const struct proc_maps *maps, const struct proc_vma *vma)
{
	size_t low = 0, high = maps->n_vmas, middle;
	const struct proc_vma *found = NULL;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (vma->start >= maps->vmas[middle].end)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < maps->n_vmas && maps->vmas[low].start < vma->end; low++) {
		if (!same_thing(&maps->vmas[low], vma))
			continue;
		if (found && !vma_same_flags(found, &maps->vmas[low]))
			return NULL;
		found = found ?: &maps->vmas[low];
	}
	return found;
}

static bool starts_with(const char *s, const char *prefix)
{
	return s && strncmp(s, prefix, strlen(prefix)) == 0;
}

static enum vma_backing put_anonymous(Img__Vma *vma)
{
	vma->flags |= MAP_ANONYMOUS;
	vma->status |= VMA_STATUS_ANON_PRIVATE;
	return VMA_NONE;
}

static enum vma_backing put_shared_memory(Img__Vma *vma, const struct proc_vma *src,
					  enum vma_backing backing)
{
	vma->flags |= MAP_ANONYMOUS;
	vma->status |= VMA_STATUS_REGULAR | VMA_STATUS_ANON_SHARED;
	vma->shmid = src->ino;
	return backing;
}

static enum vma_backing put_file(Img__Vma *vma, const struct proc_vma *src)
{
	uint32_t kind = src->shared ? VMA_STATUS_FILE_SHARED : VMA_STATUS_FILE_PRIVATE;

	if (starts_with(src->path, "/SYSV") && src->deleted && src->shared) {
		vma->status |= VMA_STATUS_SYSVIPC;
		return put_shared_memory(vma, src, VMA_SYSV);
	}
	if (starts_with(src->path, "/dev/zero") && src->deleted && src->major == 0) {
		/* A private mapping of what was shared: rare; dumped whole as anonymous pages. */
		if (!src->shared) {
			vma->status |= VMA_STATUS_REGULAR;
			return put_anonymous(vma);
		}
		return put_shared_memory(vma, src, VMA_SHMEM);
	}
	if (starts_with(src->path, "/anon_hugepage") && src->deleted) {
		if (src->shared)
			return put_shared_memory(vma, src, VMA_SHMEM);
		vma->status |= VMA_STATUS_REGULAR;
		return put_anonymous(vma);
	}
	if (!starts_with(src->path, "/"))
		return VMA_UNKNOWN; /* socket:[...], anon_inode:[...] */
	if (starts_with(src->path, "/[aio]"))
		return VMA_UNKNOWN;
	vma->status |= VMA_STATUS_REGULAR | kind;
	if (starts_with(src->path, "/memfd:")) {
		vma->status |= VMA_STATUS_MEMFD;
		return VMA_MEMFD;
	}
	return VMA_FILE;
}

static enum vma_backing put_kind(Img__Vma *vma, const struct proc_vma *src)
{
	switch (src->kind) {
	case PROC_VMA_ANON:
		vma->status |= VMA_STATUS_REGULAR;
		return put_anonymous(vma);
	case PROC_VMA_HEAP:
		vma->status |= VMA_STATUS_REGULAR | VMA_STATUS_HEAP;
		return put_anonymous(vma);
	case PROC_VMA_STACK:
		vma->status |= VMA_STATUS_REGULAR;
		return put_anonymous(vma);
	case PROC_VMA_VDSO:
		vma->status |= VMA_STATUS_REGULAR | VMA_STATUS_VDSO;
		return put_anonymous(vma);
	case PROC_VMA_VVAR:
		vma->status |= VMA_STATUS_REGULAR | VMA_STATUS_VVAR;
		return put_anonymous(vma);
	case PROC_VMA_VSYSCALL:
		vma->status |= VMA_STATUS_VSYSCALL;
		return put_anonymous(vma);
	case PROC_VMA_UPROBES:
		vma->status |= VMA_STATUS_UPROBES;
		return put_anonymous(vma);
	case PROC_VMA_ANON_SHARED:
		return put_shared_memory(vma, src, VMA_SHMEM);
	case PROC_VMA_FILE:
		return put_file(vma, src);
	case PROC_VMA_SPECIAL:
		break;
	}
	return VMA_UNKNOWN;
}

int vma_describe(struct image_set *set, const struct proc_vma *src, Img__Vma **ret,
		 enum vma_backing *ret_backing, struct error *err)
{
	Img__Vma *vma = img_new(set, Img__Vma, vma);

	if (!vma)
		return error_nomem(err);
	vma->start = src->start;
	vma->end = src->end;
	vma->pgoff = src->pgoff;
	vma->prot = (uint32_t)src->prot;
	vma->fd = -1;
	vma_put_flags(vma, src);
	*ret_backing = put_kind(vma, src);
	*ret = vma;
	return 0;
}

bool vma_has_private_pages(const Img__Vma *vma)
{
	if (vma->status & (VMA_STATUS_VVAR | VMA_STATUS_VSYSCALL | VMA_STATUS_UPROBES))
		return false;
	return vma->status & (VMA_STATUS_ANON_PRIVATE | VMA_STATUS_FILE_PRIVATE);
}

bool vma_join_vvar(Img__Vma *before, const Img__Vma *vma)
{
	if (!(before->status & VMA_STATUS_VVAR) || !(vma->status & VMA_STATUS_VVAR) ||
	    before->end != vma->start)
		return false;
	before->end = vma->end;
	return true;
}
