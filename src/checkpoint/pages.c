// SPDX-License-Identifier: Apache-2.0
/*
 * pages: room in the archive for every page that was planned, and copying them there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "checkpoint/run.h"
#include "memory/vma.h"
#include "object/shmem.h"

static struct checkpoint_pages *pages_new(struct checkpoint *c)
{
	struct checkpoint_pages *pages = arena_new(&c->set.arena, struct checkpoint_pages), **grown;

	grown = arena_grow(&c->set.arena, c->pages, c->n_pages, sizeof(pages));
	if (!pages || !grown)
		return NULL;
	c->pages = grown;
	c->pages[c->n_pages++] = pages;
	pages->mem_fd = -1;
	pages->plan.source = (struct page_source){ .mem_fd = -1, .shmem_fd = -1 };
	pages->plan.pages_id = (uint32_t)c->n_pages; /* pages-1.img and up */
	return pages;
}

void checkpoint_pages_free(struct checkpoint *c)
{
	size_t i;

	for (i = 0; i < c->n_pages; i++)
		if (c->pages[i]->mem_fd >= 0)
			close(c->pages[i]->mem_fd);
	c->n_pages = 0;
}

int checkpoint_add_pages(struct checkpoint *c, const struct task *task, const Img__Mm *mm,
			 struct error *err)
{
	struct checkpoint_pages *pages = pages_new(c);

	if (!pages)
		return error_nomem(err);
	pages->pid = task->ns_pid;
	pages->task = task;
	pages->mm = mm;
	pages->plan.source.pid = task->pid;
	/* For pages that the task itself may not read; without it they are told as unreadable. */
	pages->mem_fd = openat(task->proc_fd, "mem", O_RDONLY | O_CLOEXEC);
	pages->plan.source.mem_fd = pages->mem_fd;
	return 0;
}

static int plan_mm(struct checkpoint *c, struct checkpoint_pages *pages, struct error *err)
{
	_cleanup_close_ int pagemap = -1;
	size_t i;
	int r;

	r = pagemap_open(pages->task->proc_fd, &pagemap, err);
	for (i = 0; r == 0 && i < pages->mm->n_vmas; i++)
		if (vma_has_private_pages(pages->mm->vmas[i]))
			r = page_plan_vma(&pages->plan, &c->set.arena, pagemap, pages->mm->vmas[i],
					  err);
	if (r < 0)
		return r;
	return page_plan_describe(&pages->plan, &c->set, IMAGE_PAGEMAP, (uint32_t)pages->pid, err);
}

int checkpoint_plan_pages(struct checkpoint *c, struct error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < c->n_pages; i++)
		r = plan_mm(c, c->pages[i], err);
	return r;
}

int checkpoint_plan_shmem(struct checkpoint *c, struct error *err)
{
	struct checkpoint_pages *pages;
	struct shmem_object *object;
	size_t i;
	int r;

	for (i = 0; i < c->shmem.n_objects; i++) {
		object = &c->shmem.objects[i];
		pages = pages_new(c);
		if (!pages)
			return error_nomem(err);
		pages->plan.source.shmem_fd = object->fd;
		r = page_plan_shmem(&pages->plan, &c->set.arena, object->size, err);
		if (r == 0)
			r = page_plan_describe(&pages->plan, &c->set, IMAGE_PAGEMAP_SHMEM,
					       object->shmid, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int reserve(struct checkpoint *c, struct page_plan *plan, struct error *err)
{
	char image[64], name[80];

	image_name(IMAGE_PAGES, plan->pages_id, image, sizeof(image));
	snprintf(name, sizeof(name), "checkpoint/%s", image);
	return archive_reserve(&c->archive, name, plan->runs.n_pages * AMBER_PAGE_SIZE,
			       &plan->offset, err);
}

int checkpoint_copy_pages(struct checkpoint *c, struct error *err)
{
	uint64_t before = clock_ns();
	struct page_plan *plan;
	char subject[64];
	size_t i;
	int r;

	for (i = 0; i < c->n_pages; i++) {
		plan = &c->pages[i]->plan;
		r = reserve(c, plan, err);
		if (r == 0)
			r = page_plan_copy(plan, &c->op, c->archive.fd, err);
		if (r < 0)
			return error_while(err, r, "copying the memory of task %d",
					   c->pages[i]->pid);
		c->pages_written += plan->runs.n_pages;
		if (!plan->unreadable)
			continue;
		snprintf(subject, sizeof(subject), "%llu pages",
			 (unsigned long long)plan->unreadable);
		if (gap_add(c->gaps, GAP_DEGRADED, "memory", c->pages[i]->pid, subject,
			    "could not be read and are zero in the checkpoint") < 0)
			return error_nomem(err);
	}
	c->memory_ns = clock_ns() - before;
	c->result->memory_bytes = c->pages_written * AMBER_PAGE_SIZE;
	return 0;
}
