// SPDX-License-Identifier: Apache-2.0
/*
 * test-plan: images to tasks, and who gives birth to whom. No privileges needed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "object/restore-shared.h"
#include "restore/load.h"
#include "restore/plan.h"

struct row {
	pid_t pid, ppid, pgid, sid;
};

/* Zombies need no more than a core, so a tree of them (below a living root) is enough to plan. */
struct world {
	struct image_set set;
	struct restore rst;
	struct restore_shared shared;
	struct plan plan;
};

static void add(struct world *w, enum image_kind kind, uint32_t id, void *msg)
{
	assert_int_equal(image_add(&w->set, kind, id, msg, (struct bytes){ 0 }, NULL), 0);
}

static void add_living(struct world *w, uint32_t pid, Img__Core *core)
{
	core->tc->task_state = TASK_STATE_ALIVE;
	core->thread_core = img_new(&w->set, Img__ThreadCore, thread_core);
	core->thread_info = img_new(&w->set, Img__ThreadInfoX86, thread_info_x86);
	core->thread_info->gpregs = img_new(&w->set, Img__UserX86Regs, user_x86_regs);
	core->ids = img_new(&w->set, Img__TaskKobjIds, task_kobj_ids);
	core->mtype = IMG__CORE__MARCH__X86_64;
	add(w, IMAGE_MM, pid, img_new(&w->set, Img__Mm, mm));
	add(w, IMAGE_FS, pid, img_new(&w->set, Img__Fs, fs));
	add(w, IMAGE_PAGEMAP, pid, img_new(&w->set, Img__PagemapHead, pagemap_head));
}

static void world_init(struct world *w, const struct row *rows, size_t n)
{
	size_t i;

	memset(w, 0, sizeof(*w));
	add(w, IMAGE_INVENTORY, 0, img_new(&w->set, Img__Inventory, inventory));
	for (i = 0; i < n; i++) {
		Img__Pstree *item = img_new(&w->set, Img__Pstree, pstree);
		Img__Core *core = img_new(&w->set, Img__Core, core);

		item->pid = (uint32_t)rows[i].pid;
		item->ppid = (uint32_t)rows[i].ppid;
		item->pgid = (uint32_t)rows[i].pgid;
		item->sid = (uint32_t)rows[i].sid;
		core->tc = img_new(&w->set, Img__TaskCore, task_core);
		core->tc->task_state = TASK_STATE_DEAD;
		add(w, IMAGE_PSTREE, 0, item);
		add(w, IMAGE_CORE, item->pid, core);
		if (i == 0)
			add_living(w, item->pid, core);
	}
	w->rst.set = &w->set;
	w->rst.shared = &w->shared;
}

static int load(struct world *w, const struct row *rows, size_t n)
{
	struct error err = ERROR_INIT;
	int r;

	world_init(w, rows, n);
	r = restore_load(&w->rst, &err);
	if (r >= 0)
		r = plan_make(&w->rst, &w->plan, &err);
	return r;
}

static struct plan_node *node(struct world *w, pid_t pid)
{
	struct restore_task *task = restore_task_find(&w->rst, pid);

	assert_non_null(task);
	return &w->plan.nodes[task->index];
}

/* Every plan must be a tree: from everywhere the way to the top is short. */
static void check_tree(struct world *w)
{
	size_t i, steps;

	for (i = 0; i < w->rst.n_tasks; i++) {
		const struct plan_node *at = &w->plan.nodes[i];

		for (steps = 0; at != w->plan.top; steps++) {
			assert_true(steps <= 2 * w->rst.n_tasks + 1);
			at = at->mother;
			assert_non_null(at);
		}
	}
}

#define LOAD(w, rows) load(w, rows, ARRAY_SIZE(rows))

static void test_plain(void **state)
{
	static const struct row rows[] = {
		{ 1, 0, 1, 1 }, { 5, 1, 5, 5 }, { 7, 5, 7, 5 }, { 8, 5, 7, 5 }
	};
	struct world w;

	(void)state;
	assert_int_equal(LOAD(&w, rows), 0);
	check_tree(&w);
	assert_ptr_equal(w.plan.top, node(&w, 1));
	assert_ptr_equal(node(&w, 8)->mother, node(&w, 5));
	assert_false(node(&w, 8)->early);
	assert_int_equal(node(&w, 7)->group, PLAN_GROUP_LEAD);
	assert_int_equal(node(&w, 8)->group, PLAN_GROUP_JOIN);
	assert_int_equal(w.plan.n_extra, 0);
	image_set_deinit(&w.set);
}

/* 7 was forked by 5 before 5 led a session of its own. */
static void test_early(void **state)
{
	static const struct row rows[] = { { 1, 0, 1, 1 }, { 5, 1, 5, 5 }, { 7, 5, 1, 1 } };
	struct world w;

	(void)state;
	assert_int_equal(LOAD(&w, rows), 0);
	check_tree(&w);
	assert_ptr_equal(node(&w, 7)->mother, node(&w, 5));
	assert_true(node(&w, 7)->early);
	assert_int_equal(node(&w, 5)->born_sid, 1);
	assert_int_equal(w.shared.n_notes, 0);
	image_set_deinit(&w.set);
}

/* Daemons: the session leader is dead, its children are init's. */
static void test_dead_leader(void **state)
{
	static const struct row rows[] = {
		{ 1, 0, 1, 1 }, { 21, 1, 20, 20 }, { 22, 1, 20, 20 }, { 23, 22, 20, 20 }
	};
	struct world w;

	(void)state;
	assert_int_equal(LOAD(&w, rows), 0);
	check_tree(&w);
	assert_int_equal(w.plan.n_extra, 1);
	assert_int_equal(w.plan.extra[0].kind, PLAN_LEADER);
	assert_int_equal(w.plan.extra[0].pid, 20);
	assert_ptr_equal(node(&w, 21)->mother, &w.plan.extra[0]);
	assert_ptr_equal(node(&w, 22)->mother, &w.plan.extra[0]);
	assert_ptr_equal(node(&w, 23)->mother, node(&w, 22));
	assert_int_equal(w.shared.n_notes, 0);
	image_set_deinit(&w.set);
}

/* The leader lives, but the orphan's parent in between is dead. */
static void test_orphan(void **state)
{
	static const struct row rows[] = { { 1, 0, 1, 1 }, { 5, 1, 5, 5 }, { 9, 1, 5, 5 } };
	struct world w;

	(void)state;
	assert_int_equal(LOAD(&w, rows), 0);
	check_tree(&w);
	assert_int_equal(node(&w, 9)->mother->kind, PLAN_STEP);
	assert_ptr_equal(node(&w, 9)->mother->mother, node(&w, 5));
	image_set_deinit(&w.set);
}

/* The same, but the orphan came to a subreaper. */
static void test_subreaper(void **state)
{
	static const struct row rows[] = {
		{ 1, 0, 1, 1 }, { 3, 1, 3, 3 }, { 5, 3, 4, 4 }, { 6, 3, 6, 6 }, { 7, 3, 6, 6 }
	};
	struct plan_node *plain;
	struct world w;

	(void)state;
	world_init(&w, rows, ARRAY_SIZE(rows));
	w.rst.tasks = NULL;
	assert_int_equal(restore_load(&w.rst, NULL), 0);
	restore_task_find(&w.rst, 3)->core->tc->has_child_subreaper = true;
	restore_task_find(&w.rst, 3)->core->tc->child_subreaper = true;
	assert_int_equal(plan_make(&w.rst, &w.plan, NULL), 0);
	check_tree(&w);
	plain = node(&w, 5)->mother;
	assert_int_equal(plain->kind, PLAN_LEADER);
	assert_int_equal(plain->pid, 4);
	assert_ptr_equal(plain->mother, node(&w, 3));
	assert_int_equal(node(&w, 7)->mother->kind, PLAN_STEP);
	assert_ptr_equal(node(&w, 7)->mother->mother, node(&w, 6));
	assert_int_equal(w.shared.n_notes, 0);
	image_set_deinit(&w.set);
}

/* The leader of an orphan's session is its own child: no birth can make that. */
static void test_ring(void **state)
{
	static const struct row rows[] = { { 1, 0, 1, 1 }, { 9, 1, 9, 10 }, { 10, 9, 10, 10 } };
	struct world w;

	(void)state;
	assert_int_equal(LOAD(&w, rows), 0);
	check_tree(&w);
	assert_true(node(&w, 9)->no_session);
	assert_int_equal(w.shared.n_notes, 1);
	image_set_deinit(&w.set);
}

/* A process tree of a host: amber's init stands above it, and plays its dead session leader. */
static void test_host_tree(void **state)
{
	static const struct row rows[] = { { 4000, 4, 4000, 3999 }, { 4001, 4000, 4001, 4001 } };
	struct world w;

	(void)state;
	assert_int_equal(LOAD(&w, rows), 0);
	check_tree(&w);
	assert_int_equal(w.plan.top->kind, PLAN_INIT);
	assert_int_equal(node(&w, 4000)->mother->kind, PLAN_LEADER);
	assert_int_equal(node(&w, 4000)->mother->pid, 3999);
	assert_int_equal(node(&w, 4000)->group, PLAN_GROUP_LEAD);
	image_set_deinit(&w.set);
}

static void test_dead_group(void **state)
{
	static const struct row rows[] = { { 1, 0, 1, 1 }, { 5, 1, 4, 1 }, { 6, 1, 4, 1 } };
	struct world w;

	(void)state;
	assert_int_equal(LOAD(&w, rows), 0);
	assert_int_equal(node(&w, 5)->group, PLAN_GROUP_REVIVE);
	assert_int_equal(node(&w, 6)->group, PLAN_GROUP_JOIN);
	image_set_deinit(&w.set);
}

static void test_hostile(void **state)
{
	static const struct row twice[] = { { 1, 0, 1, 1 }, { 5, 1, 5, 5 }, { 5, 1, 5, 5 } };
	static const struct row orphan[] = { { 1, 0, 1, 1 }, { 5, 77, 5, 5 } };
	static const struct row huge[] = { { 1, 0, 1, 1 }, { 0x7fffffff, 1, 5, 5 } };
	static const struct row zero[] = { { 0, 0, 0, 0 } };
	static const struct row self[] = { { 1, 0, 1, 1 }, { 5, 5, 5, 5 } };
	struct world w;

	(void)state;
	assert_int_equal(LOAD(&w, twice), -EINVAL);
	image_set_deinit(&w.set);
	assert_int_equal(LOAD(&w, orphan), -EINVAL);
	image_set_deinit(&w.set);
	assert_int_equal(LOAD(&w, huge), -EINVAL);
	image_set_deinit(&w.set);
	assert_int_equal(LOAD(&w, zero), -EINVAL);
	image_set_deinit(&w.set);
	assert_int_equal(LOAD(&w, self), -EINVAL);
	image_set_deinit(&w.set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),	    cmocka_unit_test(test_early),
		cmocka_unit_test(test_dead_leader), cmocka_unit_test(test_orphan),
		cmocka_unit_test(test_ring),	    cmocka_unit_test(test_subreaper),
		cmocka_unit_test(test_host_tree),   cmocka_unit_test(test_dead_group),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
