/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vma: one mapping of a task, from the kernel's words to the image's.
 *
 * Decides of which kind a mapping is and what of it has to be dumped. Files behind mappings are
 * named by the caller (object/ knows files); pages are copied by page-copy.
 */
#pragma once

#include "image/image.h"
#include "image/schema.h"
#include "kernel/proc-maps.h"

/* Bits of Vma.status, as the image format has them. */
#define VMA_STATUS_REGULAR	(1U << 0)
#define VMA_STATUS_STACK	(1U << 1)
#define VMA_STATUS_VSYSCALL	(1U << 2)
#define VMA_STATUS_VDSO		(1U << 3)
#define VMA_STATUS_HEAP		(1U << 5)
#define VMA_STATUS_FILE_PRIVATE (1U << 6)
#define VMA_STATUS_FILE_SHARED	(1U << 7)
#define VMA_STATUS_ANON_SHARED	(1U << 8)
#define VMA_STATUS_ANON_PRIVATE (1U << 9)
#define VMA_STATUS_SYSVIPC	(1U << 10)
#define VMA_STATUS_SOCKET	(1U << 11)
#define VMA_STATUS_VVAR		(1U << 12)
#define VMA_STATUS_AIORING	(1U << 13)
#define VMA_STATUS_MEMFD	(1U << 14)
#define VMA_STATUS_SHSTK	(1U << 15)
#define VMA_STATUS_GUARD	(1U << 16)
#define VMA_STATUS_UPROBES	(1U << 17)

/* What stands behind a mapping, and so what the caller owes to Vma.shmid. */
enum vma_backing {
	VMA_NONE,  /* nothing: anonymous and special ones */
	VMA_FILE,  /* a regular file or device: shmid = id of its FileEntry */
	VMA_MEMFD, /* a memfd: shmid = id of its FileEntry */
	VMA_SHMEM, /* shared anonymous memory: shmid is set, contents are an object of their own */
	VMA_SYSV,  /* SysV shared memory: shmid is set */
	VMA_UNKNOWN, /* a mapping that amber cannot bring back: a gap */
};

/*
 * vma_describe - the image's entry for a mapping.
 * @src: its vmflags are taken as they are; what they tell can be put in later (vma_put_flags())
 * @ret_backing: see enum vma_backing
 * Returns 0 or -ENOMEM; *ret is in the set's arena.
 */
int vma_describe(struct image_set *set, const struct proc_vma *src, Img__Vma **ret,
		 enum vma_backing *ret_backing, struct error *err) _must_check_;

/*
 * vma_seen - the mapping among `maps` that `vma` was, is, or became: it overlaps, and shows the
 * same thing. maps are read at another moment, so bounds and protection may differ. NULL: none, or
 * several that do not agree in what vma_same_flags() compares.
 */
const struct proc_vma *vma_seen(const struct proc_maps *maps, const struct proc_vma *vma);

/* vma_put_flags - the parts of the entry that VmFlags tell (advice, locked, huge...), anew. */
void vma_put_flags(Img__Vma *vma, const struct proc_vma *src);

/* vma_same_flags - do both tell the same, as far as an image holds it? */
bool vma_same_flags(const struct proc_vma *a, const struct proc_vma *b);

/* vma_has_private_pages - the mapping's own pages belong into the task's pagemap. */
bool vma_has_private_pages(const Img__Vma *vma);

/*
 * vma_join_vvar - images hold the kernel's data pages as one mapping, however many it shows
 * ([vvar], [vvar_vclock]): CRIU takes each for the whole of them, and keeps none in its place.
 * Returns true when the mapping was added to the one before it.
 */
bool vma_join_vvar(Img__Vma *before, const Img__Vma *vma);
