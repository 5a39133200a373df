// SPDX-License-Identifier: Apache-2.0
/*
 * memory: see memory.h.
 */
#include "examine/memory.h"

#include <stdlib.h>
#include <string.h>

#define PARENT	(1U << 0) /* Img.Pagemap.flags, docs/formats/images.md */
#define PRESENT (1U << 2)

#define MEMORY_ARENA_MAX (1UL << 30)

#define VMA_SHARED_ANON (1U << 8) /* bits of Img.Vma.status */
#define VMA_SYSV_SHM	(1U << 10)
#define VMA_MEMFD	(1U << 14)

/* Runs of one pagemap, addresses as the pagemap has them. */
struct runs {
	struct memory_run *runs;
	size_t n;
};

static int add_run(struct arena *arena, struct runs *list, uint64_t address, struct bytes bytes)
{
	struct memory_run *grown = arena_grow(arena, list->runs, list->n, sizeof(*grown));

	if (!grown)
		return -1;
	list->runs = grown;
	list->runs[list->n++] = (struct memory_run){ address, bytes };
	return 0;
}

static uint32_t run_flags(const Img__Pagemap *p)
{
	if (p->has_flags)
		return p->flags;
	return p->has_in_parent && p->in_parent ? PARENT : PRESENT;
}

/* Follow a pagemap; what contradicts itself ends the walk. */
static int collect(const struct examine *x, const struct image *pagemap, struct memory_reader *m,
		   struct runs *list, struct error *err)
{
	const Img__PagemapHead *head = pagemap ? image_message(pagemap, 0) : NULL;
	const struct image *pages;
	struct bytes data = { 0 };
	uint64_t at = 0, len, end = 0;
	size_t i;

	if (!head)
		return 0;
	pages = image_find(&x->set, IMAGE_PAGES, head->pages_id);
	if (pages && pages->n_entries)
		data = pages->entries[0].extra;
	for (i = 1; i < pagemap->n_entries; i++) {
		const Img__Pagemap *p = image_message(pagemap, i);
		uint64_t n = p->has_nr_pages ? p->nr_pages : p->compat_nr_pages;
		bool sound = n <= UINT64_MAX / AMBER_PAGE_SIZE && p->vaddr >= end &&
			     p->vaddr <= UINT64_MAX - n * AMBER_PAGE_SIZE;

		len = n * AMBER_PAGE_SIZE;
		if (sound && !(run_flags(p) & PRESENT)) {
			m->elsewhere += run_flags(p) & PARENT ? len : 0;
			end = p->vaddr + len;
			continue;
		}
		if (!sound || at > data.len || len > data.len - at || list->n >= MEMORY_RUNS_MAX) {
			m->damaged = true;
			return 0;
		}
		if (len && add_run(&m->arena, list, p->vaddr,
				   (struct bytes){ data.data + at, (size_t)len }) < 0)
			return error_nomem(err);
		at += len;
		end = p->vaddr + len;
	}
	return 0;
}

/* Index of the first run that ends behind an address. */
static size_t first_behind(const struct memory_run *runs, size_t n, uint64_t address)
{
	size_t low = 0, mid;

	while (low < n) {
		mid = low + (n - low) / 2;
		if (runs[mid].address + runs[mid].bytes.len <= address)
			low = mid + 1;
		else
			n = mid;
	}
	return low;
}

/* The part of a shared memory that one mapping shows. */
static int map_shared(struct memory_reader *m, const struct runs *shared, const Img__Vma *vma,
		      struct runs *list, struct error *err)
{
	uint64_t from = vma->pgoff, to = vma->pgoff + (vma->end - vma->start), begin, end;
	const struct memory_run *run;
	size_t i;

	if (vma->end < vma->start || to < from)
		return 0;
	for (i = first_behind(shared->runs, shared->n, from); i < shared->n; i++) {
		run = &shared->runs[i];
		if (run->address >= to)
			break;
		begin = MAX(run->address, from);
		end = MIN(run->address + run->bytes.len, to);
		if (list->n >= MEMORY_RUNS_MAX) {
			m->damaged = true;
			break;
		}
		if (add_run(&m->arena, list, vma->start + (begin - from),
			    (struct bytes){ run->bytes.data + (begin - run->address),
					    (size_t)(end - begin) }) < 0)
			return error_nomem(err);
	}
	return 0;
}

static int collect_shared(const struct examine *x, const Img__Mm *mm, struct memory_reader *m,
			  struct runs *list, struct error *err)
{
	struct runs shared = { 0 };
	uint64_t shmid = 0;
	const struct image *image = NULL;
	size_t i;
	int r = 0;

	for (i = 0; mm && r == 0 && i < mm->n_vmas; i++) {
		const Img__Vma *vma = mm->vmas[i];

		if (!(vma->status & (VMA_SHARED_ANON | VMA_SYSV_SHM | VMA_MEMFD)))
			continue;
		if (!image || vma->shmid != shmid) {
			shmid = vma->shmid;
			image = image_find(&x->set, IMAGE_PAGEMAP_SHMEM, shmid);
			shared = (struct runs){ 0 };
			r = collect(x, image, m, &shared, err);
		}
		if (r == 0 && image)
			r = map_shared(m, &shared, vma, list, err);
	}
	return r;
}

static int compare_runs(const void *a, const void *b)
{
	const struct memory_run *x = a, *y = b;

	return (x->address > y->address) - (x->address < y->address);
}

/* Sort, drop what overlaps an earlier run, count. */
static void settle(struct memory_reader *m, struct runs *list, size_t n_own)
{
	uint64_t end = 0;
	size_t i, n = 0;

	if (list->n > n_own)
		qsort(list->runs, list->n, sizeof(*list->runs), compare_runs);
	for (i = 0; i < list->n; i++) {
		if (list->runs[i].address < end) {
			m->damaged = true;
			continue;
		}
		end = list->runs[i].address + list->runs[i].bytes.len;
		m->captured += list->runs[i].bytes.len;
		list->runs[n++] = list->runs[i];
	}
	m->runs = list->runs;
	m->n_runs = n;
}

int memory_reader_open(const struct examine *x, const struct examine_task *task, bool shared,
		       struct memory_reader *ret, struct error *err)
{
	struct runs list = { 0 };
	size_t n_own;
	int r;

	*ret = MEMORY_READER_INIT;
	ret->arena.limit = MEMORY_ARENA_MAX;
	r = collect(x, image_find(&x->set, IMAGE_PAGEMAP, task->node->pid), ret, &list, err);
	n_own = list.n;
	if (r == 0 && shared)
		r = collect_shared(x, task->mm, ret, &list, err);
	if (r < 0) {
		memory_reader_deinit(ret);
		return r;
	}
	settle(ret, &list, n_own);
	return 0;
}

void memory_reader_deinit(struct memory_reader *memory)
{
	arena_deinit(&memory->arena);
	*memory = MEMORY_READER_INIT;
}

struct bytes memory_at(const struct memory_reader *memory, uint64_t address)
{
	size_t i = first_behind(memory->runs, memory->n_runs, address);
	const struct memory_run *run;

	if (i == memory->n_runs)
		return (struct bytes){ 0 };
	run = &memory->runs[i];
	if (address < run->address)
		return (struct bytes){ 0 };
	return (struct bytes){ run->bytes.data + (address - run->address),
			       run->bytes.len - (size_t)(address - run->address) };
}

size_t memory_read(const struct memory_reader *memory, uint64_t address, void *to, size_t len)
{
	struct bytes part;
	size_t done = 0, n;

	while (done < len) {
		part = memory_at(memory, address + done);
		n = MIN(part.len, len - done);
		if (!n)
			break;
		memcpy((char *)to + done, part.data, n);
		done += n;
	}
	return done;
}
