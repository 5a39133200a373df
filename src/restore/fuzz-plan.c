// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz-plan: bytes are rows of a process tree. Whatever an image says, its plan of births must be a
 * tree.
 */
#include <stdlib.h>

#include "object/restore-shared.h"
#include "restore/load.h"
#include "restore/plan.h"

#define ROW 5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add(struct image_set *set, enum image_kind kind, uint32_t id, void *msg)
{
	if (!msg || image_add(set, kind, id, msg, (struct bytes){ 0 }, NULL) < 0)
		abort();
}

static void add_row(struct image_set *set, const uint8_t *row, bool root)
{
	Img__Pstree *item = img_new(set, Img__Pstree, pstree);
	Img__Core *core = img_new(set, Img__Core, core);

	item->pid = row[0] % 32 + (root && row[0] % 2);
	item->ppid = row[1] % 32;
	item->pgid = row[2] % 32;
	item->sid = row[3] % 32;
	core->tc = img_new(set, Img__TaskCore, task_core);
	core->tc->task_state = root ? TASK_STATE_ALIVE : TASK_STATE_DEAD;
	core->tc->has_child_subreaper = core->tc->child_subreaper = row[4] % 2;
	core->mtype = IMG__CORE__MARCH__X86_64;
	add(set, IMAGE_PSTREE, 0, item);
	add(set, IMAGE_CORE, item->pid, core);
	if (!root)
		return;
	core->thread_core = img_new(set, Img__ThreadCore, thread_core);
	core->thread_info = img_new(set, Img__ThreadInfoX86, thread_info_x86);
	core->thread_info->gpregs = img_new(set, Img__UserX86Regs, user_x86_regs);
	core->ids = img_new(set, Img__TaskKobjIds, task_kobj_ids);
	add(set, IMAGE_MM, item->pid, img_new(set, Img__Mm, mm));
	add(set, IMAGE_FS, item->pid, img_new(set, Img__Fs, fs));
	add(set, IMAGE_PAGEMAP, item->pid, img_new(set, Img__PagemapHead, pagemap_head));
}

static void check(const struct restore *rst, const struct plan *plan)
{
	size_t i, steps;

	for (i = 0; i < rst->n_tasks; i++) {
		const struct plan_node *at = &plan->nodes[i], *child;
		size_t found = at == plan->top;

		for (child = at->mother ? at->mother->first : NULL; child; child = child->next)
			found += child == at;
		if (found != 1)
			abort();
		for (steps = 0; at != plan->top; at = at->mother, steps++)
			if (!at || steps > 2 * rst->n_tasks + 1)
				abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct restore_shared *shared = calloc(1, sizeof(*shared));
	struct image_set set = IMAGE_SET_INIT;
	struct restore rst = { .set = &set, .shared = shared };
	struct plan plan;
	size_t i;

	add(&set, IMAGE_INVENTORY, 0, img_new(&set, Img__Inventory, inventory));
	for (i = 0; i + ROW <= size && i < 40 * ROW; i += ROW)
		add_row(&set, data + i, i == 0);
	if (shared && restore_load(&rst, NULL) == 0 && plan_make(&rst, &plan, NULL) == 0)
		check(&rst, &plan);
	image_set_deinit(&set);
	free(shared);
	return 0;
}
