/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page-plan: which pages go into one pages image, and copying them there.
 *
 * The plan is made first, so that the size of the image is known before a byte is copied and pages
 * can be written straight to their final place. This is the seam of pre-copy: a plan can be made
 * and copied in rounds; what this version does is one round, in the stop.
 */
#pragma once

#include "base/op.h"
#include "image/gap.h"
#include "image/image.h"
#include "image/schema.h"
#include "kernel/pagemap.h"
#include "memory/page-store.h"

struct page_plan {
	struct page_source source;
	uint32_t pages_id;
	struct page_runs runs;
	uint64_t offset; /* of the first page in the output, set by the one who reserved the room */
	uint64_t unreadable; /* pages that could not be read and were written as zeroes */
};

/* page_plan_vma - add the pages of one mapping of a task, in ascending order of address. */
int page_plan_vma(struct page_plan *plan, struct arena *arena, int pagemap_fd, const Img__Vma *vma,
		  struct error *err) _must_check_;

/* page_plan_shmem - add the parts of a shared memory file that hold data; size in bytes. */
int page_plan_shmem(struct page_plan *plan, struct arena *arena, uint64_t size,
		    struct error *err) _must_check_;

/*
 * page_plan_describe - the pagemap image that belongs to the plan.
 * @kind: IMAGE_PAGEMAP with the task's pid, or IMAGE_PAGEMAP_SHMEM with the shmid
 */
int page_plan_describe(const struct page_plan *plan, struct image_set *set, enum image_kind kind,
		       uint64_t id, struct error *err) _must_check_;

/*
 * page_plan_copy - copy all pages to out_fd at plan->offset.
 * Pages that cannot be read are left as zeroes and counted in plan->unreadable.
 * Returns 0, or an error of the output or of the whole source (-ESRCH).
 */
int page_plan_copy(struct page_plan *plan, struct op *op, int out_fd,
		   struct error *err) _must_check_;
