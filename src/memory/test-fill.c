// SPDX-License-Identifier: Apache-2.0
/*
 * test-fill: what a pagemap asks to be read, and finding room in address spaces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "memory/fill.h"
#include "memory/hole.h"

static const struct pages_file pages = { .id = 3, .fd = 9, .offset = 8192, .size = 10 * 4096 };

static void add(struct image_set *set, uint64_t vaddr, uint64_t n, int flags)
{
	Img__Pagemap *map = img_new(set, Img__Pagemap, pagemap);

	map->vaddr = vaddr;
	map->compat_nr_pages = (uint32_t)n;
	map->has_flags = flags >= 0;
	map->flags = flags >= 0 ? (uint32_t)flags : 0;
	assert_int_equal(image_add(set, IMAGE_PAGEMAP, 1, &map->base, (struct bytes){ 0 }, NULL),
			 0);
}

static struct image *start(struct image_set *set)
{
	Img__PagemapHead *head = img_new(set, Img__PagemapHead, pagemap_head);

	head->pages_id = 3;
	assert_int_equal(image_add(set, IMAGE_PAGEMAP, 1, &head->base, (struct bytes){ 0 }, NULL),
			 0);
	return image_find(set, IMAGE_PAGEMAP, 1);
}

static void test_plan(void **state)
{
	struct image_set set = IMAGE_SET_INIT;
	struct image *map = start(&set);
	struct error err = ERROR_INIT;
	struct fill_plan plan;
	struct fill_run run;
	size_t from = 0;
	uint64_t at = 0;

	(void)state;
	add(&set, 0x10000, 2, PAGEMAP_PRESENT);
	add(&set, 0x12000, 1, PAGEMAP_LAZY); /* not here: takes no room in the file */
	add(&set, 0x20000, 4, PAGEMAP_PRESENT | PAGEMAP_LAZY);
	add(&set, 0x30000, 1, -1);
	assert_int_equal(fill_plan_make(map, &pages, 1, "x", &set.arena, &plan, &err), 0);
	assert_int_equal(plan.n_runs, 3);
	assert_int_equal(plan.bytes, 7 * 4096);
	assert_int_equal(plan.runs[2].offset, 8192 + 6 * 4096);

	/* Two ranges that share the second run. */
	assert_true(fill_plan_clip(&plan, 0x11000, 0x21000, &from, &at, &run));
	assert_int_equal(run.vaddr, 0x11000);
	assert_int_equal(run.len, 4096);
	assert_int_equal(run.offset, 8192 + 4096);
	assert_true(fill_plan_clip(&plan, 0x11000, 0x21000, &from, &at, &run));
	assert_int_equal(run.vaddr, 0x20000);
	assert_int_equal(run.len, 4096);
	assert_false(fill_plan_clip(&plan, 0x11000, 0x21000, &from, &at, &run));
	assert_true(fill_plan_clip(&plan, 0x21000, 0x40000, &from, &at, &run));
	assert_int_equal(run.vaddr, 0x21000);
	assert_int_equal(run.len, 3 * 4096);
	assert_int_equal(run.offset, 8192 + 3 * 4096);
	assert_true(fill_plan_clip(&plan, 0x21000, 0x40000, &from, &at, &run));
	assert_int_equal(run.vaddr, 0x30000);
	assert_false(fill_plan_clip(&plan, 0x21000, 0x40000, &from, &at, &run));
	image_set_deinit(&set);
}

static int make_bad(uint64_t vaddr, uint64_t n, int flags, uint64_t vaddr2)
{
	struct image_set set = IMAGE_SET_INIT;
	struct image *map = start(&set);
	struct error err = ERROR_INIT;
	struct fill_plan plan;
	int r;

	add(&set, vaddr, n, flags);
	if (vaddr2)
		add(&set, vaddr2, 1, PAGEMAP_PRESENT);
	r = fill_plan_make(map, &pages, 1, "x", &set.arena, &plan, &err);
	image_set_deinit(&set);
	return r;
}

static void test_bad(void **state)
{
	(void)state;
	assert_int_equal(make_bad(0x1000, 10, PAGEMAP_PRESENT, 0), 0);
	assert_int_equal(make_bad(0x1000, 11, PAGEMAP_PRESENT, 0), -EINVAL); /* cut off */
	assert_int_equal(make_bad(0x1000, 1, PAGEMAP_PARENT, 0), -EINVAL);
	assert_int_equal(make_bad(0x1001, 1, PAGEMAP_PRESENT, 0), -EINVAL);
	assert_int_equal(make_bad(0x5000, 2, PAGEMAP_PRESENT, 0x6000), -EINVAL); /* overlap */
	assert_int_equal(make_bad(UINT64_MAX & ~4095ULL, 1, PAGEMAP_PRESENT, 0), -EINVAL);
}

static void test_hole(void **state)
{
	struct hole_range taken[] = { { 0x40000000, 0x50000000 }, { 0x10000000, 0x20000000 } };
	struct error err = ERROR_INIT;
	uint64_t at;

	(void)state;
	assert_int_equal(hole_find(taken, 2, 4096, 0x10000000, 0x60000000, &at, &err), 0);
	assert_true(at >= 0x20000000 && at + 4096 <= 0x40000000);
	assert_int_equal(hole_find(taken, 2, 0x30000000, 0x10000000, 0x60000000, &at, &err),
			 -ENOMEM);
	assert_int_equal(hole_find(taken, 2, 0x30000000, 0x10000000, 0x90000000, &at, &err), 0);
	assert_true(at >= 0x50000000);
	assert_int_equal(hole_find(NULL, 0, 4096, 0x1000, 0x10000, &at, &err), 0);
	assert_int_equal(at, 0x1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_hole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
