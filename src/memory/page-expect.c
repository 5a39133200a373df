// SPDX-License-Identifier: Apache-2.0
/*
 * page-expect: see page-expect.h.
 */
#include "memory/page-expect.h"

static int expect_vma(int pagemap, const struct proc_vma *vma, struct arena *arena,
		      struct page_runs *ret, struct error *err)
{
	struct page_run *grown;

	switch (vma->kind) {
	case PROC_VMA_VVAR:
	case PROC_VMA_VSYSCALL:
	case PROC_VMA_UPROBES:
		return 0;
	case PROC_VMA_VDSO: /* wanted whole */
		grown = arena_grow(arena, ret->runs, ret->n_runs, sizeof(*grown));
		if (!grown)
			return error_nomem(err);
		ret->runs = grown;
		ret->runs[ret->n_runs++] = (struct page_run){ vma->start, vma->end, 0 };
		return 0;
	case PROC_VMA_FILE:
		return pagemap_collect(pagemap, vma->start, vma->end, &PAGEMAP_DATA_PRIVATE, arena,
				       ret, err);
	default:
		return pagemap_collect(pagemap, vma->start, vma->end, &PAGEMAP_DATA, arena, ret,
				       err);
	}
}

int page_expect(struct page_space *space, int proc_fd, const struct proc_maps *maps,
		struct error *err)
{
	_cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
	_cleanup_close_ int pagemap = -1;
	struct page_runs runs = { 0 };
	size_t i;
	int r;

	r = pagemap_open(proc_fd, &pagemap, err);
	for (i = 0; r == 0 && i < maps->n_vmas; i++)
		if (!maps->vmas[i].shared)
			r = expect_vma(pagemap, &maps->vmas[i], &arena, &runs, err);
	return r == 0 ? page_space_expect(space, runs.runs, runs.n_runs, err) : r;
}
