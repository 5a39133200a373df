// SPDX-License-Identifier: Apache-2.0
/*
 * test-vma: a mapping found again in maps of another moment, and what its VmFlags become.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "memory/vma.h"

static const char before_text[] = "1000-3000 rw-p 00000000 00:00 0 [heap]\n"
				  "VmFlags: rd wr mr mw me ac\n"
				  "5000-7000 rw-p 00000000 00:00 0\n"
				  "VmFlags: rd wr mr mw me dc\n"
				  "7000-8000 rw-p 00000000 00:00 0\n"
				  "VmFlags: rd wr mr mw me dd\n"
				  "a000-c000 r--p 00001000 08:01 7 /lib/a\n"
				  "VmFlags: rd mr mw me rr\n";

static struct proc_maps parse(struct arena *arena, const char *text)
{
	struct bytes bytes = { (const unsigned char *)text, strlen(text) };
	struct proc_maps maps = { 0 };

	assert_int_equal(proc_maps_parse(bytes, arena, &maps, NULL), 0);
	return maps;
}

/* Where in before_text the first mapping of this text is seen, -1 = nowhere. */
static int seen_at(const char *text)
{
	struct arena arena = ARENA_INIT;
	struct proc_maps before = parse(&arena, before_text), now = parse(&arena, text);
	const struct proc_vma *found = vma_seen(&before, &now.vmas[0]);
	int at = found ? (int)(found - before.vmas) : -1;

	arena_deinit(&arena);
	return at;
}

static void seen(void **state)
{
	assert_int_equal(seen_at("1000-3000 rw-p 00000000 00:00 0 [heap]\n"), 0);
	/* grown, and protected in part */
	assert_int_equal(seen_at("1000-4000 rw-p 00000000 00:00 0 [heap]\n"), 0);
	assert_int_equal(seen_at("6000-7000 r--p 00000000 00:00 0\n"), 1);
	assert_int_equal(seen_at("b000-c000 r--p 00002000 08:01 7 /lib/a\n"), 3);
}

static void not_seen(void **state)
{
	/* new, beside what was there, even if only tracking keeps it apart */
	assert_int_equal(seen_at("3000-4000 rw-p 00000000 00:00 0 [heap]\n"), -1);
	/* another kind, another file, another place in it */
	assert_int_equal(seen_at("1000-3000 rw-p 00000000 00:00 0\n"), -1);
	assert_int_equal(seen_at("a000-c000 r--p 00001000 08:01 8 /lib/b\n"), -1);
	assert_int_equal(seen_at("a000-c000 r--p 00002000 08:01 7 /lib/a\n"), -1);
	/* over two that do not agree: whose flags has it? */
	assert_int_equal(seen_at("6000-8000 rw-p 00000000 00:00 0\n"), -1);
	assert_int_equal(seen_at("20000-21000 rw-p 00000000 00:00 0\n"), -1);
}

static void flags(void **state)
{
	struct image_set set = IMAGE_SET_INIT;
	struct proc_maps maps = parse(&set.arena, before_text);
	enum vma_backing backing;
	struct proc_vma plain;
	Img__Vma *vma;

	plain = maps.vmas[1];
	plain.vmflags = 0;
	assert_int_equal(vma_describe(&set, &plain, &vma, &backing, NULL), 0);
	assert_int_equal(vma->flags, MAP_PRIVATE | MAP_ANONYMOUS);
	assert_false(vma->has_madv);
	vma_put_flags(vma, &maps.vmas[1]);
	assert_int_equal(vma->flags, MAP_PRIVATE | MAP_ANONYMOUS);
	assert_true(vma->has_madv && vma->madv == 1ULL << MADV_DONTFORK);
	vma_put_flags(vma, &maps.vmas[2]);
	assert_true(vma->madv == 1ULL << MADV_DONTDUMP);
	assert_false(vma_same_flags(&maps.vmas[1], &maps.vmas[2]));
	/* what no image holds makes no difference: accounting, and our own tracking */
	plain = maps.vmas[0];
	plain.vmflags ^= PROC_VMF_AC | PROC_VMF_UW;
	assert_true(vma_same_flags(&maps.vmas[0], &plain));
	image_set_deinit(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seen),
		cmocka_unit_test(not_seen),
		cmocka_unit_test(flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
