// SPDX-License-Identifier: Apache-2.0
/*
 * page-plan: see page-plan.h.
 */
#include "memory/page-plan.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"
#include "kernel/process-vm.h"
#include "memory/vma.h"

#define COPY_CHUNK   (4UL << 20) /* bytes read before they are written */
#define PAGE_PRESENT (1U << 2)	 /* Pagemap.flags: the pages are in this image set */

static int add_run(struct page_plan *plan, struct arena *arena, uint64_t start, uint64_t end,
		   struct error *err)
{
	struct page_run *grown;

	if (start >= end)
		return 0;
	grown = arena_grow(arena, plan->runs.runs, plan->runs.n_runs, sizeof(*grown));
	if (!grown)
		return error_nomem(err);
	plan->runs.runs = grown;
	plan->runs.runs[plan->runs.n_runs++] = (struct page_run){ .start = start, .end = end };
	plan->runs.n_pages += (end - start) / AMBER_PAGE_SIZE;
	return 0;
}

int page_plan_vma(struct page_plan *plan, struct arena *arena, int pagemap_fd, const Img__Vma *vma,
		  struct error *err)
{
	const struct pagemap_query *query =
		vma->status & VMA_STATUS_FILE_PRIVATE ? &PAGEMAP_DATA_PRIVATE : &PAGEMAP_DATA;

	/* The vDSO is wanted whole: a restore on another kernel must find its symbols. */
	if (vma->status & VMA_STATUS_VDSO)
		return add_run(plan, arena, vma->start, vma->end, err);
	return pagemap_collect(pagemap_fd, vma->start, vma->end, query, arena, &plan->runs, err);
}

int page_plan_shmem(struct page_plan *plan, struct arena *arena, uint64_t size, struct error *err)
{
	int fd = plan->source.shmem_fd, r;
	off_t data = 0, hole;

	while ((uint64_t)data < size) {
		data = lseek(fd, data, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return 0;
		if (data < 0) /* no SEEK_DATA there (hugetlbfs): all of it */
			return add_run(plan, arena, 0, PAGE_ALIGN_UP(size), err);
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return error_errno(err, errno, "cannot find the holes of shared memory");
		r = add_run(plan, arena, (uint64_t)data & ~(AMBER_PAGE_SIZE - 1),
			    PAGE_ALIGN_UP(hole), err);
		if (r < 0)
			return r;
		data = hole;
	}
	return 0;
}

int page_plan_describe(const struct page_plan *plan, struct image_set *set, enum image_kind kind,
		       uint64_t id, struct error *err)
{
	Img__PagemapHead *head = img_new(set, Img__PagemapHead, pagemap_head);
	Img__Pagemap *map;
	uint64_t pages;
	size_t i;
	int r;

	if (!head)
		return error_nomem(err);
	head->pages_id = plan->pages_id;
	r = image_add(set, kind, id, &head->base, (struct bytes){ 0 }, err);
	for (i = 0; r == 0 && i < plan->runs.n_runs; i++) {
		map = img_new(set, Img__Pagemap, pagemap);
		if (!map)
			return error_nomem(err);
		pages = (plan->runs.runs[i].end - plan->runs.runs[i].start) / AMBER_PAGE_SIZE;
		map->vaddr = plan->runs.runs[i].start;
		map->compat_nr_pages = (uint32_t)MIN(pages, (uint64_t)UINT32_MAX);
		map->has_nr_pages = true;
		map->nr_pages = pages;
		map->has_flags = true;
		map->flags = PAGE_PRESENT;
		r = image_add(set, kind, id, &map->base, (struct bytes){ 0 }, err);
	}
	return r;
}

/* Page by page, by whatever way there is; what cannot be read stays zero. */
static void read_hard(struct page_plan *plan, uint64_t address, unsigned char *to, size_t len)
{
	size_t at;

	for (at = 0; at < len; at += AMBER_PAGE_SIZE) {
		if (plan->source.mem_fd >= 0 &&
		    pread(plan->source.mem_fd, to + at, AMBER_PAGE_SIZE, (off_t)(address + at)) ==
			    (ssize_t)AMBER_PAGE_SIZE)
			continue;
		memset(to + at, 0, AMBER_PAGE_SIZE);
		plan->unreadable++;
	}
}

static int read_task(struct page_plan *plan, const struct iovec *iov, size_t n, unsigned char *to,
		     struct error *err)
{
	size_t i, done = 0, before = 0, skip;
	int r;

	r = process_vm_read_vec(plan->source.pid, iov, n, to, &done, err);
	if (r == 0 || r == -ESRCH)
		return r;
	error_clear(err);
	for (i = 0; i < n; before += iov[i].iov_len, i++) {
		if (before + iov[i].iov_len <= done)
			continue;
		/* begin again at the page in which the fast way ended */
		skip = done > before ? (done - before) & ~(AMBER_PAGE_SIZE - 1) : 0;
		read_hard(plan, (uint64_t)(uintptr_t)iov[i].iov_base + skip, to + before + skip,
			  iov[i].iov_len - skip);
	}
	return 0;
}

static int read_shmem(struct page_plan *plan, const struct iovec *iov, size_t n, unsigned char *to,
		      struct error *err)
{
	ssize_t got;
	size_t i;

	for (i = 0; i < n; to += iov[i].iov_len, i++) {
		got = pread(plan->source.shmem_fd, to, iov[i].iov_len,
			    (off_t)(uintptr_t)iov[i].iov_base);
		if (got < 0)
			return error_errno(err, errno, "cannot read shared memory");
		memset(to + got, 0,
		       iov[i].iov_len - (size_t)got); /* past the end of a shrunk file */
	}
	return 0;
}

/* The next at most COPY_CHUNK bytes of the plan as a vector. Returns its length in bytes. */
static size_t next_chunk(const struct page_plan *plan, size_t *run, uint64_t *at, struct iovec *iov,
			 size_t max, size_t *ret_n)
{
	const struct page_run *r;
	size_t len = 0, n = 0, take;

	while (*run < plan->runs.n_runs && n < max && len < COPY_CHUNK) {
		r = &plan->runs.runs[*run];
		take = (size_t)MIN(r->end - r->start - *at, (uint64_t)(COPY_CHUNK - len));
		iov[n++] = (struct iovec){ (void *)(uintptr_t)(r->start + *at), take };
		len += take;
		*at += take;
		if (*at == r->end - r->start) {
			++*run;
			*at = 0;
		}
	}
	*ret_n = n;
	return len;
}

int page_plan_copy(struct page_plan *plan, struct op *op, int out_fd, struct error *err)
{
	uint64_t at = 0, out = plan->offset;
	unsigned char *chunk;
	struct iovec iov[512];
	size_t run = 0, n, len;
	int r = 0;

	chunk = mmap(NULL, COPY_CHUNK, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (chunk == MAP_FAILED)
		return error_nomem(err);
	while (r == 0 && (len = next_chunk(plan, &run, &at, iov, ARRAY_SIZE(iov), &n)) > 0) {
		r = op_cancelled(op, err);
		if (r == 0)
			r = plan->source.pid ? read_task(plan, iov, n, chunk, err)
					     : read_shmem(plan, iov, n, chunk, err);
		if (r == 0)
			r = fd_pwrite_all(out_fd, chunk, len, (off_t)out, err);
		out += len;
	}
	munmap(chunk, COPY_CHUNK);
	return r;
}
