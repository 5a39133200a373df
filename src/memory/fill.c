// SPDX-License-Identifier: Apache-2.0
/*
 * fill: which bytes of a pages image go where. Never reads a page.
 */
#include "memory/fill.h"

#include <errno.h>

const struct pages_file *pages_file_find(const struct pages_file *files, size_t n, uint32_t id)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (files[i].id == id)
			return &files[i];
	return NULL;
}

/* The flags of older images are spread over two fields. */
static uint32_t pagemap_flags(const Img__Pagemap *entry)
{
	uint32_t flags = entry->has_flags ? entry->flags : PAGEMAP_PRESENT;

	if (entry->has_in_parent && entry->in_parent)
		flags |= PAGEMAP_PARENT;
	return flags;
}

static int check_entry(const Img__Pagemap *entry, uint64_t pages, uint64_t last, const char *name,
		       struct error *err)
{
	uint32_t flags = pagemap_flags(entry);

	if (entry->vaddr % AMBER_PAGE_SIZE || pages > (1ULL << 40) ||
	    entry->vaddr > UINT64_MAX / 2 || entry->vaddr < last)
		return error_set(err, ERROR_INPUT, EINVAL,
				 "the pagemap of %s is damaged at address %#llx", name,
				 (unsigned long long)entry->vaddr);
	if (flags & PAGEMAP_PARENT)
		return error_hint(err,
				  error_set(err, ERROR_INPUT, EINVAL,
					    "memory of %s at %#llx lies in a parent checkpoint",
					    name, (unsigned long long)entry->vaddr),
				  "merge the incremental checkpoint with its parents first");
	return 0;
}

int fill_plan_make(const struct image *pagemap, const struct pages_file *files, size_t n_files,
		   const char *name, struct arena *arena, struct fill_plan *ret, struct error *err)
{
	const Img__PagemapHead *head = image_message(pagemap, 0);
	struct fill_plan plan = { 0 };
	uint64_t offset = 0, last = 0;
	size_t i;
	int r;

	if (!head)
		return error_set(err, ERROR_INPUT, EINVAL, "the pagemap of %s is empty", name);
	plan.file = pages_file_find(files, n_files, head->pages_id);
	plan.runs = arena_array(arena, struct fill_run, pagemap->n_entries);
	if (!plan.runs)
		return error_nomem(err);

	for (i = 1; i < pagemap->n_entries; i++) {
		const Img__Pagemap *entry = image_message(pagemap, i);
		uint64_t pages = entry->has_nr_pages ? entry->nr_pages : entry->compat_nr_pages;
		uint64_t len = pages * AMBER_PAGE_SIZE;

		r = check_entry(entry, pages, last, name, err);
		if (r < 0)
			return r;
		last = entry->vaddr + len;
		if (!(pagemap_flags(entry) & PAGEMAP_PRESENT) || !len)
			continue;
		if (!plan.file)
			return error_set(err, ERROR_INPUT, EINVAL,
					 "pages-%u.img, the memory of %s, is missing",
					 head->pages_id, name);
		if (offset + len > plan.file->size)
			return error_set(err, ERROR_INPUT, EINVAL,
					 "pages-%u.img, the memory of %s, is cut off at %llu bytes",
					 head->pages_id, name, (unsigned long long)plan.file->size);
		plan.runs[plan.n_runs++] =
			(struct fill_run){ entry->vaddr, len, plan.file->offset + offset };
		offset += len;
		plan.bytes += len;
	}
	*ret = plan;
	return 0;
}

bool fill_plan_clip(const struct fill_plan *plan, uint64_t start, uint64_t end, size_t *from,
		    uint64_t *at, struct fill_run *ret)
{
	while (*from < plan->n_runs) {
		const struct fill_run *run = &plan->runs[*from];
		uint64_t begin = MAX(start, *at), low = MAX(run->vaddr, begin);
		uint64_t high = MIN(run->vaddr + run->len, end);

		if (run->vaddr >= end)
			return false;
		if (low < high) {
			*ret = (struct fill_run){ low, high - low,
						  run->offset + (low - run->vaddr) };
			*at = high;
			return true;
		}
		if (run->vaddr + run->len > end)
			return false; /* the rest belongs to a later range */
		(*from)++;
	}
	return false;
}
