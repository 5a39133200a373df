// SPDX-License-Identifier: Apache-2.0
/*
 * track-soft-dirty: writes are noticed by the soft-dirty bits of kernels that have them
 * (Documentation/admin-guide/mm/soft-dirty.rst).
 *
 * The bits are cleared for the whole process at once, and not in one step with reading them: what
 * is written between the two would be lost. So they are cleared once, before the first round, which
 * reports everything; later rounds report nothing, and whatever was written since the first is for
 * the stop. The bits belong to the address space: it must have only one tracker.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "memory/track-impl.h"

#define CLEAR_SOFT_DIRTY "4"

static int has_dirty(const struct page_run *run, void *arg, struct error *err)
{
	*(bool *)arg = true;
	return 0;
}

static bool page_is_dirty(int pagemap_fd, uint64_t page)
{
	const struct pagemap_query query = { .required = PAGEMAP_SOFT_DIRTY };
	bool dirty = false;

	return pagemap_walk(pagemap_fd, page, page + AMBER_PAGE_SIZE, &query, 0, has_dirty, &dirty,
			    NULL) == 0 &&
	       dirty;
}

/* The bits of this very process are cleared: nobody in it relies on them but a tracker. */
bool track_soft_dirty_probe(void)
{
	_cleanup_close_ int pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	bool works = false;
	volatile char *page;
	void *map;

	map = mmap(NULL, AMBER_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		   0);
	if (map == MAP_FAILED || pagemap_fd < 0)
		return false;
	page = map;
	*page = 1;
	if (page_is_dirty(pagemap_fd, (uintptr_t)map) &&
	    fd_write_file(AT_FDCWD, "/proc/self/clear_refs", O_WRONLY, 0, CLEAR_SOFT_DIRTY, 1,
			  NULL) == 0 &&
	    !page_is_dirty(pagemap_fd, (uintptr_t)map)) {
		*page = 2;
		works = page_is_dirty(pagemap_fd, (uintptr_t)map);
	}
	munmap(map, AMBER_PAGE_SIZE);
	return works;
}

static struct pagemap_query data_query(bool own)
{
	struct pagemap_query query = own ? PAGEMAP_DATA_PRIVATE : PAGEMAP_DATA;

	query.returned = PAGEMAP_SOFT_DIRTY;
	return query;
}

static bool private_data(const struct proc_vma *vma, bool *ret_own)
{
	*ret_own = vma->kind == PROC_VMA_FILE;
	return !vma->shared && (vma->kind == PROC_VMA_ANON || vma->kind == PROC_VMA_HEAP ||
				vma->kind == PROC_VMA_STACK || vma->kind == PROC_VMA_FILE);
}

int track_soft_dirty_round(struct track *t, pagemap_fn *fn, void *arg, struct error *err)
{
	struct arena scratch = ARENA_INIT;
	struct proc_maps maps = { 0 };
	int r;

	if (t->cleared)
		return 0;
	r = fd_write_file(t->proc_fd, "clear_refs", O_WRONLY, 0, CLEAR_SOFT_DIRTY, 1, err);
	if (r < 0)
		return r;
	t->cleared = true;
	t->zero_pfn = pagemap_zero_pfn();
	r = proc_maps_read(t->proc_fd, PROC_MAPS_ONLY, &scratch, &maps, err);
	for (size_t i = 0; r == 0 && i < maps.n_vmas; i++) {
		struct pagemap_query query;
		bool own;

		if (!private_data(&maps.vmas[i], &own))
			continue;
		query = data_query(own);
		r = pagemap_walk(t->pagemap_fd, maps.vmas[i].start, maps.vmas[i].end, &query,
				 t->zero_pfn, fn, arg, err);
	}
	arena_deinit(&scratch);
	return r;
}

struct dirty_sink {
	bool cleared;
	pagemap_fn *fn;
	void *arg;
};

static int take(const struct page_run *run, void *arg, struct error *err)
{
	const struct dirty_sink *sink = arg;
	struct page_run out = *run;

	out.categories =
		!sink->cleared || run->categories & PAGEMAP_SOFT_DIRTY ? PAGEMAP_WRITTEN : 0;
	return sink->fn(&out, sink->arg, err);
}

int track_soft_dirty_last(struct track *t, const struct page_run *ranges, size_t n_ranges,
			  pagemap_fn *fn, void *arg, struct error *err)
{
	struct dirty_sink sink = { t->cleared, fn, arg };
	_cleanup_close_ int pagemap_fd = -1;
	int r;

	r = pagemap_open(t->proc_fd, &pagemap_fd, err);
	for (size_t i = 0; r == 0 && i < n_ranges; i++) {
		struct pagemap_query query = data_query(ranges[i].categories & TRACK_OWN_PAGES);
		struct page_run whole = { ranges[i].start, ranges[i].end, PAGEMAP_WRITTEN };

		if (ranges[i].categories & TRACK_SHARED)
			r = fn(&whole, arg, err); /* written through others' mappings too */
		else
			r = pagemap_walk(pagemap_fd, ranges[i].start, ranges[i].end, &query,
					 t->zero_pfn, take, &sink, err);
	}
	return r;
}
