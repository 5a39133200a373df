// SPDX-License-Identifier: Apache-2.0
/*
 * test-feature: every probe answers, twice the same, and leaves no child, descriptor or mount
 * behind.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "kernel/feature-table.h"
#include "kernel/proc-mountinfo.h"
#include "kernel/proc-tasks.h"
#include "kernel/proc.h"

static void test_table(void **state)
{
	size_t n;
	const struct feature *table = feature_table(&n);

	assert_true(n > 20 && n < 100);
	for (size_t i = 0; i < n; i++) {
		assert_non_null(table[i].probe);
		assert_true(table[i].name[0] && table[i].used_for[0] && table[i].without[0]);
		assert_true(feature_weight_name(table[i].weight)[0]);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(table[i].name, table[k].name);
	}
}

static void count(size_t *ret_fds, size_t *ret_mounts)
{
	_cleanup_close_ int proc = -1;
	struct arena arena = ARENA_INIT;
	struct error err = ERROR_INIT;
	struct proc_numbers fds;
	struct proc_mounts mounts;

	assert_int_equal(proc_open(getpid(), &proc, &err), 0);
	assert_int_equal(proc_fds_read(proc, &arena, &fds, &err), 0);
	assert_int_equal(proc_mountinfo_read(proc, &arena, &mounts, &err), 0);
	*ret_fds = fds.n_values;
	*ret_mounts = mounts.n_mounts;
	arena_deinit(&arena);
}

static void test_probes(void **state)
{
	size_t n, fds, mounts, fds_after, mounts_after;
	const struct feature *table = feature_table(&n);

	count(&fds, &mounts);
	for (size_t i = 0; i < n; i++) {
		char detail[FEATURE_DETAIL_MAX] = "", again[FEATURE_DETAIL_MAX] = "";
		enum feature_state first = table[i].probe(detail);

		print_message("%-24s %-8s %-8s %s\n", table[i].name,
			      feature_weight_name(table[i].weight), feature_state_name(first),
			      detail);
		assert_int_equal(table[i].probe(again), first);
		assert_string_equal(detail, again);
		assert_true(memchr(detail, '\0', sizeof(detail)) != NULL);
	}
	count(&fds_after, &mounts_after);
	assert_int_equal(fds, fds_after);
	assert_int_equal(mounts, mounts_after);
	assert_true(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

/* These need no privilege anywhere. */
static void test_certain(void **state)
{
	static const char *const certain[] = { "process-vm", "so-peek-off", "proc-children" };
	size_t n, found = 0;
	const struct feature *table = feature_table(&n);

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < ARRAY_SIZE(certain); k++) {
			char detail[FEATURE_DETAIL_MAX] = "";

			if (strcmp(table[i].name, certain[k]) != 0)
				continue;
			assert_int_equal(table[i].probe(detail), FEATURE_YES);
			found++;
		}
	assert_int_equal(found, ARRAY_SIZE(certain));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_probes),
		cmocka_unit_test(test_certain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
