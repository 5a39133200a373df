// SPDX-License-Identifier: Apache-2.0
/*
 * pages: which pages are in the checkpoint; in the stop those are copied that rounds have not, and
 * after the thaw each gets its place in the archive.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "archive/tar.h"
#include "checkpoint/run.h"
#include "memory/vma.h"
#include "object/shmem.h"

#define PAGE_PRESENT (1U << 2) /* Pagemap.flags: the pages are in this image set */

static struct checkpoint_pages *pages_new(struct checkpoint *c)
{
	struct checkpoint_pages *pages = arena_new(&c->set.arena, struct checkpoint_pages), **grown;

	grown = arena_grow(&c->set.arena, c->pages, c->n_pages, sizeof(pages));
	if (!pages || !grown)
		return NULL;
	c->pages = grown;
	c->pages[c->n_pages++] = pages;
	pages->id = (uint32_t)c->n_pages; /* pages-1.img and up */
	pages->mem_fd = -1;
	return pages;
}

void checkpoint_pages_free(struct checkpoint *c)
{
	size_t i;

	for (i = 0; i < c->n_pages; i++) {
		page_list_deinit(&c->pages[i]->runs);
		if (c->pages[i]->mem_fd >= 0)
			close(c->pages[i]->mem_fd);
	}
	c->n_pages = 0;
}

/* A space that rounds do not know: all of it is copied now. */
static int open_space(struct checkpoint *c, struct checkpoint_pages *pages, struct error *err)
{
	struct page_source source = { .pid = pages->task->pid, .shmem_fd = -1 };

	/* For pages that the task itself may not read; without it they are told as unreadable. */
	pages->mem_fd = openat(pages->task->proc_fd, "mem", O_RDONLY | O_CLOEXEC);
	source.mem_fd = pages->mem_fd;
	pages->known = NULL;
	pages->space = page_store_space(c->precopy->store, &source);
	return pages->space ? 0 : error_nomem(err);
}

int checkpoint_add_pages(struct checkpoint *c, const struct task *task, const Img__Mm *mm,
			 struct error *err)
{
	struct checkpoint_pages *pages = pages_new(c);

	if (!pages)
		return error_nomem(err);
	pages->task = task;
	pages->mm = mm;
	pages->known = precopy_find(c->precopy, task->pid);
	if (pages->known) {
		pages->space = pages->known->pages;
		pages->runs = TAKE(pages->known->last, PAGE_LIST_INIT);
		return 0;
	}
	return open_space(c, pages, err);
}
int checkpoint_add_window(struct checkpoint *c, const struct task *task, const struct proc_vma *vma,
			  struct error *err)
{
	struct checkpoint_window *grown;

	grown = arena_grow(&c->set.arena, c->windows, c->n_windows, sizeof(*grown));
	if (!grown)
		return error_nomem(err);
	c->windows = grown;
	c->windows[c->n_windows++] = (struct checkpoint_window){
		task->pid, vma->start, vma->end, vma->pgoff, vma->ino,
	};
	return 0;
}

/* What a scan tells of one address space, and where it goes. */
struct last_scan {
	struct checkpoint *c;
	struct checkpoint_pages *pages;
	const struct checkpoint_window *window, *windows_end;
};

/* The window in which an address lies, or the next one behind it. NULL = none. */
static const struct checkpoint_window *window_at(struct last_scan *scan, uint64_t at)
{
	while (scan->window < scan->windows_end && scan->window->end <= at)
		scan->window++;
	return scan->window < scan->windows_end ? scan->window : NULL;
}

static int take_run(const struct page_run *run, void *arg, struct error *err)
{
	const struct checkpoint_window *window;
	struct last_scan *scan = arg;
	struct precopy_object *object;
	uint64_t at = run->start, end, written = run->categories & PAGEMAP_WRITTEN;
	int r = 0;

	for (; r == 0 && at < run->end; at = end) {
		window = window_at(scan, at);
		if (!window || window->start > at) {
			end = window ? MIN(run->end, window->start) : run->end;
			r = page_list_add(&scan->pages->runs, at, end, written, err);
			continue;
		}
		end = MIN(run->end, window->end);
		object = written ? precopy_find_object(scan->c->precopy, window->ino) : NULL;
		if (object)
			r = page_list_add(&object->dirty, at - window->start + window->pgoff,
					  end - window->start + window->pgoff, 0, err);
	}
	return r;
}

/* The ranges of an address space that are to be asked about: its own pages, and shared memory that
 * rounds know. */
static int ranges_of(const struct checkpoint_pages *pages, struct page_list *ret, struct error *err)
{
	const Img__Vma *vma;
	size_t i;
	int r = 0;

	r = page_list_ready(ret, pages->mm->n_vmas, err);
	for (i = 0; r == 0 && i < pages->mm->n_vmas; i++) {
		vma = pages->mm->vmas[i];
		if (vma->status & VMA_STATUS_VDSO)
			continue; /* wanted whole */
		if (vma_has_private_pages(vma))
			r = page_list_add(
				ret, vma->start, vma->end,
				vma->status & VMA_STATUS_FILE_PRIVATE ? TRACK_OWN_PAGES : 0, err);
		else if (vma->status & (VMA_STATUS_ANON_SHARED | VMA_STATUS_MEMFD) &&
			 !(vma->status & VMA_STATUS_SYSVIPC)) /* those the namespace has */
			r = page_list_add(ret, vma->start, vma->end, TRACK_SHARED, err);
	}
	return r;
}

/* The vDSO is wanted whole: a restore on another kernel must find its symbols. */
static int add_vdso(struct checkpoint_pages *pages, struct error *err)
{
	_cleanup_(page_list_deinit) struct page_list vdso = PAGE_LIST_INIT, all = PAGE_LIST_INIT;
	size_t i, before = 0;
	int r = 0;

	for (i = 0; i < pages->mm->n_vmas && !vdso.n_runs; i++)
		if (pages->mm->vmas[i]->status & VMA_STATUS_VDSO)
			r = page_list_add(&vdso, pages->mm->vmas[i]->start, pages->mm->vmas[i]->end,
					  PAGEMAP_WRITTEN, err);
	if (r < 0 || !vdso.n_runs)
		return r;
	while (before < pages->runs.n_runs && pages->runs.runs[before].end <= vdso.runs[0].start)
		before++;
	r = page_list_add(&pages->runs, UINT64_MAX - AMBER_PAGE_SIZE, UINT64_MAX, 0, err);
	if (r < 0)
		return r;
	/* The last element was only to make room. */
	pages->runs.n_pages += vdso.n_pages - 1;
	for (i = pages->runs.n_runs - 1; i > before; i--)
		pages->runs.runs[i] = pages->runs.runs[i - 1];
	pages->runs.runs[before] = vdso.runs[0];
	return 0;
}

/* Without a tracker: all that is there. */
static int scan_whole(const struct checkpoint_pages *pages, const struct page_list *ranges,
		      struct last_scan *scan, struct error *err)
{
	_cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
	_cleanup_close_ int pagemap = -1;
	struct page_runs found = { 0 };
	const struct pagemap_query *query;
	size_t i;
	int r;

	r = pagemap_open(pages->task->proc_fd, &pagemap, err);
	for (i = 0; r == 0 && i < ranges->n_runs; i++) {
		if (ranges->runs[i].categories & TRACK_SHARED)
			query = NULL;
		else if (ranges->runs[i].categories & TRACK_OWN_PAGES)
			query = &PAGEMAP_DATA_PRIVATE;
		else
			query = &PAGEMAP_DATA;
		if (query)
			r = pagemap_collect(pagemap, ranges->runs[i].start, ranges->runs[i].end,
					    query, &arena, &found, err);
		else /* whoever maps it may have written anything */
			r = take_run(&(struct page_run){ ranges->runs[i].start, ranges->runs[i].end,
							 PAGEMAP_WRITTEN },
				     scan, err);
	}
	scan->window = scan->windows_end;
	for (i = 0; r == 0 && i < found.n_runs; i++)
		r = take_run(&(struct page_run){ found.runs[i].start, found.runs[i].end,
						 PAGEMAP_WRITTEN },
			     scan, err);
	return r;
}

/* The windows of the address space. */
static void scan_begin(struct last_scan *scan)
{
	const struct checkpoint *c = scan->c;
	const struct checkpoint_window *w;

	scan->window = scan->windows_end = NULL;
	for (w = c->windows; w < c->windows + c->n_windows; w++) {
		if (w->pid != scan->pages->task->pid)
			continue;
		scan->window = scan->window ? scan->window : w;
		scan->windows_end = w + 1;
	}
}

static int plan_space(struct checkpoint *c, struct checkpoint_pages *pages, struct error *err)
{
	_cleanup_(page_list_deinit) struct page_list ranges = PAGE_LIST_INIT;
	struct last_scan scan = { .c = c, .pages = pages };
	int r;

	r = ranges_of(pages, &ranges, err);
	if (r < 0)
		return r;
	r = -ESRCH;
	scan_begin(&scan);
	if (pages->known && pages->known->track)
		r = track_last(pages->known->track, ranges.runs, ranges.n_runs, take_run, &scan,
			       err);
	if (r == -ESRCH) { /* unknown, or it has called exec since */
		error_clear(err);
		page_list_clear(&pages->runs);
		scan_begin(&scan);
		r = pages->known ? open_space(c, pages, err) : 0;
		if (r == 0)
			r = scan_whole(pages, &ranges, &scan, err);
	}
	if (r == 0)
		r = add_vdso(pages, err);
	return r < 0 ? r : page_space_last(pages->space, pages->runs.runs, pages->runs.n_runs, err);
}

int checkpoint_plan_pages(struct checkpoint *c, struct error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < c->n_pages; i++)
		r = plan_space(c, c->pages[i], err);
	return r;
}

/* What of an object that rounds know has to be copied again. */
static int mark_object(struct checkpoint_pages *pages, struct precopy_object *known, bool unseen,
		       const struct page_list *extents, struct error *err)
{
	struct stat now;

	if (fstat(known->fd, &now) < 0)
		return error_errno(err, errno, "cannot look at shared memory %llu",
				   (unsigned long long)known->ino);
	if (unseen || known->whole || precopy_changed(known, &now)) {
		page_list_clear(&known->dirty);
		return page_list_mark(extents, extents, PAGEMAP_WRITTEN, &pages->runs, err);
	}
	page_list_sort(&known->dirty);
	return page_list_mark(extents, &known->dirty, PAGEMAP_WRITTEN, &pages->runs, err);
}

int checkpoint_plan_shmem(struct checkpoint *c, struct error *err)
{
	struct page_source source = { .mem_fd = -1 };
	struct checkpoint_pages *pages;
	struct shmem_object *object;
	struct precopy_object *known;
	bool unseen;
	size_t i;
	int r;

	unseen = c->precopy->n_objects && precopy_children_ended(c->precopy);
	for (i = 0; i < c->shmem.n_objects; i++) {
		_cleanup_(page_list_deinit) struct page_list extents = PAGE_LIST_INIT;

		object = &c->shmem.objects[i];
		known = precopy_find_object(c->precopy, object->shmid);
		pages = pages_new(c);
		if (!pages)
			return error_nomem(err);
		pages->object = object;
		source.shmem_fd = object->fd;
		pages->space = known ? known->pages : page_store_space(c->precopy->store, &source);
		if (!pages->space)
			return error_nomem(err);
		r = page_list_extents(&extents, object->fd, object->size, err);
		if (r == 0 && known)
			r = mark_object(pages, known, unseen, &extents, err);
		else if (r == 0)
			r = page_list_mark(&extents, &extents, PAGEMAP_WRITTEN, &pages->runs, err);
		if (r == 0)
			r = page_space_last(pages->space, pages->runs.runs, pages->runs.n_runs,
					    err);
		if (r < 0)
			return r;
	}
	return 0;
}

int checkpoint_copy_pages(struct checkpoint *c, struct error *err)
{
	uint64_t before = clock_ns();
	int r = page_store_last(c->precopy->store, &c->pages_last, err);

	c->memory_ns = clock_ns() - before;
	op_debug(&c->op, "%llu pages were copied in the stop", (unsigned long long)c->pages_last);
	return error_while(err, r, "copying memory");
}

static int describe(struct checkpoint *c, const struct checkpoint_pages *pages, struct error *err)
{
	enum image_kind kind = pages->object ? IMAGE_PAGEMAP_SHMEM : IMAGE_PAGEMAP;
	uint64_t id = pages->object ? pages->object->shmid : (uint32_t)pages->task->ns_pid, n;
	Img__PagemapHead *head = img_new(&c->set, Img__PagemapHead, pagemap_head);
	const struct page_run *run = pages->runs.runs, *end = run + pages->runs.n_runs;
	uint64_t start, stop;
	Img__Pagemap *map;
	int r;

	if (!head)
		return error_nomem(err);
	head->pages_id = pages->id;
	r = image_add(&c->set, kind, id, &head->base, (struct bytes){ 0 }, err);
	while (r == 0 && run < end) {
		for (start = run->start, stop = start; run < end && run->start == stop; run++)
			stop = run->end;
		map = img_new(&c->set, Img__Pagemap, pagemap);
		if (!map)
			return error_nomem(err);
		n = (stop - start) / AMBER_PAGE_SIZE;
		map->vaddr = start;
		map->compat_nr_pages = (uint32_t)MIN(n, (uint64_t)UINT32_MAX);
		map->has_nr_pages = true;
		map->nr_pages = n;
		map->has_flags = true;
		map->flags = PAGE_PRESENT;
		r = image_add(&c->set, kind, id, &map->base, (struct bytes){ 0 }, err);
	}
	return r;
}

static void member_name(const struct checkpoint_pages *pages, char *ret, size_t size)
{
	char image[64];

	image_name(IMAGE_PAGES, pages->id, image, sizeof(image));
	snprintf(ret, size, "checkpoint/%s", image);
}

/* Where images will lie is reckoned before their headers are written: there are pages there yet. */
struct placing {
	struct checkpoint *c;
	uint64_t pos; /* in the archive, behind the images that have their place */
};

static int place(void *arg, struct page_space *space, uint64_t n_pages, uint64_t *ret_offset,
		 struct error *err)
{
	_cleanup_buf_ struct buf header = BUF_INIT;
	struct tar_member member = { .type = '0', .size = n_pages * AMBER_PAGE_SIZE };
	struct placing *placing = arg;
	struct checkpoint *c = placing->c;
	char name[80];
	size_t i;
	int r;

	*ret_offset = placing->pos;
	for (i = 0; i < c->n_pages && c->pages[i]->space != space; i++)
		continue;
	if (i == c->n_pages)
		return 0; /* of a process that has ended */
	member_name(c->pages[i], name, sizeof(name));
	member.name = name;
	r = tar_header(&member, placing->pos, AMBER_PAGE_SIZE, &header, err);
	if (r < 0)
		return r;
	*ret_offset = c->pages[i]->offset = placing->pos + header.len;
	placing->pos = *ret_offset + member.size;
	return 0;
}

static int by_offset(const void *a, const void *b)
{
	const struct checkpoint_pages *x = *(struct checkpoint_pages *const *)a,
				      *y = *(struct checkpoint_pages *const *)b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

static int note_unreadable(struct checkpoint *c, const struct checkpoint_pages *pages,
			   struct error *err)
{
	uint64_t n = page_space_unreadable(pages->space);
	char subject[64];

	if (!n)
		return 0;
	snprintf(subject, sizeof(subject), "%llu pages", (unsigned long long)n);
	if (gap_add(c->gaps, GAP_DEGRADED, "memory", pages->task ? pages->task->ns_pid : 0, subject,
		    "could not be read and are zero in the checkpoint") < 0)
		return error_nomem(err);
	return 0;
}

int checkpoint_settle_pages(struct checkpoint *c, struct error *err)
{
	struct placing placing = { .c = c, .pos = c->archive.pos };
	uint64_t offset, size;
	char name[80];
	size_t i;
	int r;

	r = page_store_settle(c->precopy->store, place, &placing, err);
	if (r < 0)
		return r;
	qsort(c->pages, c->n_pages, sizeof(*c->pages), by_offset);
	for (i = 0; r == 0 && i < c->n_pages; i++) {
		size = c->pages[i]->runs.n_pages * AMBER_PAGE_SIZE;
		member_name(c->pages[i], name, sizeof(name));
		r = archive_reserve(&c->archive, name, size, &offset, err);
		if (r == 0 && offset != c->pages[i]->offset)
			r = error_set(err, ERROR_INTERNAL, EIO, "%s lies at %llu, not at %llu",
				      name, (unsigned long long)offset,
				      (unsigned long long)c->pages[i]->offset);
		if (r == 0)
			r = describe(c, c->pages[i], err);
		if (r == 0)
			r = note_unreadable(c, c->pages[i], err);
		c->pages_written += c->pages[i]->runs.n_pages;
	}
	c->result->memory_bytes = c->pages_written * AMBER_PAGE_SIZE;
	c->result->last_bytes = c->pages_last * AMBER_PAGE_SIZE;
	return r;
}
