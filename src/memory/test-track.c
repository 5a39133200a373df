// SPDX-License-Identifier: Apache-2.0
/*
 * test-track: pages that a process writes while it is tracked, and everything that could make one
 * of them go unnoticed.
 *
 * A victim does one thing at a time, told to by its test; what the tracker says afterwards is
 * compared with what is in the victim's memory.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "kernel/process-vm.h"
#include "memory/track-impl.h"
#include "memory/track-subject.h"

#define TOLD (1ULL << 40)

static struct op test_op;

static void probing(void **state)
{
	assert_int_equal(track_probe(), TRACK_UFFD_WP);
	assert_int_equal(track_probe(), TRACK_UFFD_WP);
}

static int tell(const struct page_run *run, void *arg, struct error *err)
{
	const struct page_run *wanted = arg;

	if (run->start <= wanted->start && wanted->end <= run->end)
		((struct page_run *)arg)->categories = run->categories | TOLD;
	return 0;
}

/* A child that writes one page after the first round. */
static void soft_dirty_rounds(void)
{
	struct error err = ERROR_INIT;
	struct page_run page, all;
	struct subject s;

	subject_begin(&test_op, &s, 64 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	track_close(&s.track);
	victim_must(track_open(&test_op, TRACK_SOFT_DIRTY, s.v.pid, s.proc_fd, &s.track, &err),
		    &err);
	all = (struct page_run){ (uintptr_t)s.at, (uintptr_t)s.at + s.size, 0 };
	page = (struct page_run){ all.start + PAGE, all.start + 2 * PAGE, 0 };
	victim_must(track_round(s.track, tell, &page, &err), &err);
	assert_true(page.categories & TOLD);
	victim_must(track_last(s.track, &all, 1, tell, &page, &err), &err);
	assert_int_equal(page.categories, TOLD);
	subject_order(&s, WRITE, s.at + PAGE, PAGE, 1);
	victim_must(track_last(s.track, &all, 1, tell, &page, &err), &err);
	assert_int_equal(page.categories, TOLD | PAGEMAP_WRITTEN);
	subject_end(&s);
}

/* Kernels with both trackers are rare; where there is none of this kind, it must say so. */
static void soft_dirty(void **state)
{
	struct error err = ERROR_INIT;
	struct track *t = NULL;

	assert_int_equal(track_open(&test_op, TRACK_NONE, getpid(), -1, &t, &err), -EOPNOTSUPP);
	if (!track_soft_dirty_probe()) {
		print_message("no soft-dirty bits in this kernel (CONFIG_MEM_SOFT_DIRTY)\n");
		skip();
	}
	soft_dirty_rounds();
}

/* Small enough to be asked together, and large enough to be asked by itself, and by two threads. */
static void rounds_and_last(void **state)
{
	const size_t sizes[] = { 64 * PAGE, 8 << 20 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t n = sizes[i] / PAGE;
		struct subject s;
		const char *is;

		subject_begin(&test_op, &s, sizes[i], MAP_PRIVATE | MAP_ANONYMOUS, -1);
		assert_true(subject_all(subject_last(&s), 0, n, 'w'));
		subject_cover(&s, PROC_MAPS_SMAPS);
		assert_true(subject_all(subject_last(&s), 0, n, 'w'));
		assert_true(subject_all(subject_round(&s), 0, n, 'o'));
		assert_true(subject_all(subject_last(&s), 0, n, 'o'));
		assert_true(subject_all(subject_round(&s), 0, n, '.'));

		subject_order(&s, WRITE, s.at + 3 * PAGE, 2 * PAGE, 0x22);
		subject_order(&s, DROP, s.at + 10 * PAGE, 4 * PAGE, 0);
		is = subject_last(&s);
		assert_memory_equal(is, "ooowwooooo....oo", 16);
		assert_true(subject_all(is, 16, n, 'o'));
		subject_cover(&s, PROC_MAPS_SMAPS);
		is = subject_round(&s);
		assert_memory_equal(is, "...oo.........", 14);
		assert_true(subject_all(is, 14, n, '.'));
		is = subject_last(&s);
		assert_memory_equal(is, "oooooooooo....oo", 16);

		/* dropped and written again: other data in the same place */
		subject_order(&s, WRITE, s.at + 11 * PAGE, PAGE, 0x33);
		assert_memory_equal(subject_last(&s), "oooooooooo.w..oo", 16);
		/* dropped altogether: the page tables go with it on newer kernels */
		subject_order(&s, DROP, s.at, sizes[i], 0);
		assert_true(subject_all(subject_last(&s), 0, n, '.'));
		subject_end(&s);
	}
}

/* Other memory in the same place, and the same memory in another place. */
static void mapped_anew(void **state)
{
	const size_t n = 1024;
	struct subject s;
	const char *is;
	char *far;

	subject_begin(&test_op, &s, n * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	subject_cover(&s, PROC_MAPS_SMAPS);
	subject_round(&s);
	subject_order(&s, REMAP, s.at, n * PAGE, 0);
	is = subject_last(&s);
	assert_true(is[0] == 'w' && subject_all(is, 1, n, '.'));
	subject_order(&s, WRITE, s.at, n * PAGE, 0x44);
	assert_true(subject_all(subject_last(&s), 0, n, 'w'));
	/* without covering it anew it stays untracked, with it it is another mapping */
	assert_true(subject_all(subject_round(&s), 0, n, '.'));
	assert_true(subject_all(subject_last(&s), 0, n, 'w'));
	subject_cover(&s, PROC_MAPS_SMAPS);
	assert_true(subject_all(subject_round(&s), 0, n, 'o'));
	assert_true(subject_all(subject_last(&s), 0, n, 'o'));

	/* a part of it only */
	subject_order(&s, REMAP, s.at + 512 * PAGE, 256 * PAGE, 0);
	is = subject_last(&s);
	assert_true(subject_all(is, 0, 512, 'o') && is[512] == 'w' &&
		    subject_all(is, 513, 768, '.') && subject_all(is, 768, n, 'o'));

	/* to elsewhere, with what was protected, and a part of it back to another place */
	far = subject_reserve(n * PAGE);
	subject_order(&s, MOVE, s.at, 512 * PAGE, (uintptr_t)far);
	assert_int_equal(s.v.page->counters[4], (uintptr_t)far);
	is = subject_last(&s);
	assert_true(subject_all(is, 0, 512, '.') && subject_all(is, 768, n, 'o'));
	subject_order(&s, MOVE, far, 128 * PAGE, (uintptr_t)s.at + 768 * PAGE);
	is = subject_last(&s);
	assert_true(subject_all(is, 768, 896, 'w') && subject_all(is, 896, n, 'o'));
	s.at = far;
	is = subject_last(&s);
	assert_true(subject_all(is, 128, 512, 'w'));
	subject_end(&s);
}

static void heap_grows(void **state)
{
	struct subject s;
	uintptr_t before;
	char *heap;

	subject_begin(&test_op, &s, 16 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	subject_order(&s, GROW, NULL, 64 * PAGE, 0);
	s.at = heap = (char *)(uintptr_t)s.v.page->counters[4];
	s.size = 64 * PAGE;
	subject_cover(&s, PROC_MAPS_SMAPS);
	subject_round(&s);
	assert_true(subject_all(subject_last(&s), 1, 63, 'o'));
	before = (uintptr_t)heap + 64 * PAGE;
	subject_order(&s, GROW, NULL, 64 * PAGE, 0);
	assert_int_equal(s.v.page->counters[4], before);
	s.size = 128 * PAGE;
	assert_true(subject_all(subject_last(&s), 64, 127, 'w'));
	subject_cover(&s, PROC_MAPS_SMAPS);
	assert_true(subject_all(subject_round(&s), 65, 127, 'o'));
	assert_true(subject_all(subject_last(&s), 1, 127, 'o'));
	subject_end(&s);
}

static void forks_and_protections(void **state)
{
	const size_t n = 1024;
	struct subject s;
	const char *is;

	subject_begin(&test_op, &s, n * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	subject_cover(&s, PROC_MAPS_SMAPS);
	subject_round(&s);
	/* what the child writes is the child's */
	subject_order(&s, FORK, s.at, 16 * PAGE, 0);
	assert_true(subject_all(subject_last(&s), 0, n, 'o'));
	/* copied on write afterwards */
	subject_order(&s, WRITE, s.at + 2 * PAGE, PAGE, 0x22);
	subject_order(&s, PROTECT, s.at, 8 * PAGE, 0);
	is = subject_last(&s);
	assert_memory_equal(is, "oowooooo", 8);
	subject_order(&s, WRITE, s.at + 5 * PAGE, PAGE, 0x22);
	assert_memory_equal(subject_last(&s), "oowoowoo", 8);
	/* cut into mappings: areas are wider than what they were registered for */
	subject_order(&s, SPLIT, s.at + 600 * PAGE, 10 * PAGE, 0);
	assert_true(subject_all(subject_last(&s), 6, n, 'o'));
	subject_cover(&s, PROC_MAPS_SMAPS);
	is = subject_round(&s);
	assert_memory_equal(is, "..o..o..", 8);
	assert_true(subject_all(is, 8, n, '.'));
	assert_true(subject_all(subject_last(&s), 0, n, 'o'));
	subject_end(&s);
}

/* Writes that are not the program's own instructions. */
static void kernel_writes(void **state)
{
	struct error err = ERROR_INIT;
	struct task_tree tree;
	struct subject s;
	char data[64] = "data";

	subject_begin(&test_op, &s, 64 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	subject_cover(&s, PROC_MAPS_SMAPS);
	subject_round(&s);
	assert_int_equal(write(s.fd, data, sizeof(data)), sizeof(data));
	subject_order(&s, READ_INTO, s.at + PAGE, sizeof(data), 0);
	assert_int_equal(s.v.page->counters[4], sizeof(data));
	victim_must(process_vm_write(s.v.pid, (uintptr_t)s.at + 3 * PAGE, data, sizeof(data), &err),
		    &err);
	victim_stop(&test_op, &s.v, 1, &tree);
	victim_must(task_write(tree.tasks[0], (uintptr_t)s.at + 5 * PAGE, data, sizeof(data), &err),
		    &err);
	assert_memory_equal(subject_last(&s), "owowowoo", 8);
	victim_resume(&tree);
	assert_memory_equal(subject_last(&s), "owowowoo", 8);
	assert_true(subject_all(subject_last(&s), 6, 64, 'o'));
	subject_end(&s);
}

static int nothing(const struct page_run *run, void *arg, struct error *err)
{
	return 0;
}

static void other_programs_and_none(void **state)
{
	struct error err = ERROR_INIT;
	struct arena scratch = ARENA_INIT;
	struct proc_maps maps;
	struct subject s;
	int status;

	subject_begin(&test_op, &s, 4 << 20, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	subject_cover(&s, PROC_MAPS_SMAPS);
	subject_round(&s);
	s.v.page->counters[0] = EXECUTE;
	for (int i = 0; i < 10000 && subject_smaps(s.v.pid, "/sleep") == 0; i++)
		usleep(1000);
	assert_int_equal(track_round(s.track, nothing, NULL, &err), -ESRCH);
	error_clear(&err);
	assert_true(subject_all(subject_last(&s), 0, s.size / PAGE, '.'));
	/* what it has now was never reported */
	victim_must(proc_maps_read(s.proc_fd, PROC_MAPS_ONLY, &scratch, &maps, &err), &err);
	for (size_t i = 0; i < maps.n_vmas; i++) {
		if (maps.vmas[i].kind != PROC_VMA_STACK)
			continue;
		s.at = (char *)(uintptr_t)maps.vmas[i].start;
		s.size = maps.vmas[i].end - maps.vmas[i].start;
	}
	arena_deinit(&scratch);
	assert_null(strchr(subject_last(&s), 'o'));
	assert_non_null(strchr(subject_last(&s), 'w'));

	kill(s.v.pid, SIGKILL);
	assert_int_equal(waitpid(s.v.pid, &status, 0), s.v.pid);
	assert_true(track_last(s.track, &(struct page_run){ 0x10000, 0x20000, 0 }, 1, nothing, NULL,
			       &err) < 0);
	error_clear(&err);
	track_close(&s.track);
	assert_int_equal(track_open(&test_op, TRACK_UFFD_WP, s.v.pid, s.proc_fd, &s.track, &err),
			 -ESRCH);
	close(s.proc_fd);
	close(s.fd);
	munmap(s.v.page, sizeof(*s.v.page));
}

static void zero_pages_and_holes(void **state)
{
	struct subject s;
	char *at = subject_reserve(1UL << 30);
	const char *is;

	/* only read: the zero page, which is no data */
	assert_ptr_equal(mmap(at, 4 << 20, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 at);
	madvise(at, 4 << 20, MADV_NOHUGEPAGE);
	subject_begin_in(&test_op, &s, at, 4 << 20, true);
	subject_cover(&s, PROC_MAPS_ONLY);
	assert_true(subject_all(subject_round(&s), 0, 1024, '.'));
	assert_true(subject_all(subject_last(&s), 0, 1024, '.'));
	subject_order(&s, WRITE, s.at + PAGE, PAGE, 1);
	is = subject_last(&s);
	assert_true(is[1] == 'w' && is[0] == '.' && subject_all(is, 2, 1024, '.'));
	assert_true(subject_round(&s)[1] == 'o');
	is = subject_last(&s);
	assert_true(is[1] == 'o' && is[0] == '.' && subject_all(is, 2, 1024, '.'));
	subject_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(probing),
		cmocka_unit_test(soft_dirty),
		cmocka_unit_test(rounds_and_last),
		cmocka_unit_test(mapped_anew),
		cmocka_unit_test(heap_grows),
		cmocka_unit_test(forks_and_protections),
		cmocka_unit_test(kernel_writes),
		cmocka_unit_test(other_programs_and_none),
		cmocka_unit_test(zero_pages_and_holes),
	};

	test_op = OP_INIT;
	victim_may_trace();
	if (track_probe() != TRACK_UFFD_WP) {
		fprintf(stderr,
			"SKIP: this kernel has no asynchronous userfaultfd write protection\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
