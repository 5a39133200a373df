// SPDX-License-Identifier: Apache-2.0
/*
 * test-ptrace-feature: every probe answers, twice the same, and leaves no child behind.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "task/ptrace-feature.h"

static void test_probes(void **state)
{
	size_t n;
	const struct feature *table = ptrace_feature_table(&n);

	assert_int_equal(n, 4);
	for (size_t i = 0; i < n; i++) {
		char detail[FEATURE_DETAIL_MAX] = "", again[FEATURE_DETAIL_MAX] = "";
		enum feature_state first = table[i].probe(detail);

		print_message("%-24s %-8s %-8s %s\n", table[i].name,
			      feature_weight_name(table[i].weight), feature_state_name(first),
			      detail);
		assert_int_equal(table[i].probe(again), first);
		assert_string_equal(detail, again);
	}
	assert_true(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
