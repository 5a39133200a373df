// SPDX-License-Identifier: Apache-2.0
/*
 * test-base: errors, arena, buffers, whole reads and writes, the option table.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/fd.h"
#include "base/op.h"
#include "base/options.h"

static void errors_carry_context(void **state)
{
	struct error err = ERROR_INIT;
	int r;

	(void)state;
	r = error_errno(&err, ENOSPC, "cannot write %s", "a.tar");
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(err.class, ERROR_SYSTEM);
	r = error_while(&err, r, "capturing task %d", 7);
	assert_int_equal(r, -ENOSPC);
	assert_string_equal(err.text,
			    "capturing task 7: cannot write a.tar: No space left on device");
	assert_int_equal(error_hint(&err, r, "free some space"), -ENOSPC);
	assert_string_equal(err.hint, "free some space");
	assert_int_equal(error_exit_code(&err), 6);
	assert_int_equal(error_errno(&err, EACCES, "x"), -EACCES);
	assert_string_equal(err.hint, "");
	assert_string_equal(error_class_name(err.class), "denied");
	assert_int_equal(error_set(NULL, ERROR_USAGE, 0, "x"), -EIO);
}

static void long_errors_are_cut_not_lost(void **state)
{
	struct error err = ERROR_INIT;
	char text[2 * ERROR_TEXT_MAX];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(error_set(&err, ERROR_INPUT, EINVAL, "%s", text), -EINVAL);
	assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
	assert_int_equal(error_while(&err, -EINVAL, "reading"), -EINVAL);
	assert_memory_equal(err.text, "reading: xxx", 12);
}

static void arena_gives_zeroed_aligned_memory(void **state)
{
	struct arena arena = ARENA_INIT;
	unsigned char *p;
	size_t i, size;

	(void)state;
	for (size = 0; size < 300000; size = size * 3 + 1) {
		p = arena_alloc(&arena, size);
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		for (i = 0; i < size; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xff, size);
	}
	assert_string_equal(arena_printf(&arena, "%d-%s", 5, "x"), "5-x");
	assert_null(arena_calloc(&arena, SIZE_MAX / 2, 3));
	assert_null(arena_alloc(&arena, SIZE_MAX));
	arena_deinit(&arena);
	arena.limit = 100;
	assert_non_null(arena_alloc(&arena, 64));
	assert_null(arena_alloc(&arena, 64));
	arena_deinit(&arena);
}

static void arena_grow_keeps_elements(void **state)
{
	struct arena arena = ARENA_INIT;
	uint32_t *values = NULL;
	uint32_t i, j;

	(void)state;
	for (i = 0; i < 1000; i++) {
		values = arena_grow(&arena, values, i, sizeof(*values));
		assert_non_null(values);
		assert_int_equal(values[i], 0);
		values[i] = i + 1;
		for (j = 0; j <= i; j += 97)
			assert_int_equal(values[j], j + 1);
	}
	arena_deinit(&arena);
}

static void files_are_read_and_written_whole(void **state)
{
	_cleanup_buf_ struct buf buf = BUF_INIT;
	struct error err = ERROR_INIT;
	char path[] = "/tmp/amber-test-base-XXXXXX", three[3];
	_cleanup_close_ int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, "hello world", 11, &err), 0);
	assert_int_equal(fd_read_file(AT_FDCWD, path, 11, &buf, &err), 0);
	assert_string_equal((char *)buf.data, "hello world");
	assert_int_equal(fd_read_file(AT_FDCWD, path, 10, &buf, &err), -EFBIG);
	assert_int_equal(fd_pread_all(fd, three, 3, 8, &err), 0);
	assert_memory_equal(three, "rld", 3);
	assert_int_equal(fd_pread_all(fd, three, 3, 9, &err), -ENODATA);
	unlink(path);
	assert_int_equal(fd_read_file(AT_FDCWD, path, 10, &buf, &err), -ENOENT);
	assert_non_null(strstr(err.text, path));
}

struct test_options {
	bool json;
	const char *output;
	uint64_t size;
};

static const struct option_row test_rows[] = {
	{ "json", 0, OPTION_FLAG, offsetof(struct test_options, json), NULL, "Print JSON" },
	{ "output", 'o', OPTION_STRING, offsetof(struct test_options, output), "FILE",
	  "Write here" },
	{ "size", 's', OPTION_NUMBER, offsetof(struct test_options, size), "BYTES", "How much" },
	OPTION_END,
};

static const struct command_row test_command = {
	.name = "test",
	.args = "TARGET",
	.summary = "Try things",
	.options = test_rows,
	.option_size = sizeof(struct test_options),
	.min_args = 1,
	.max_args = 2,
};

static int parse(struct test_options *o, char ***args, size_t *n, struct error *err, ...)
{
	static char words[8][32];
	static char *argv[8];
	const char *word;
	int argc = 0;
	va_list ap;

	va_start(ap, err);
	while ((word = va_arg(ap, const char *))) {
		snprintf(words[argc], sizeof(words[0]), "%s", word);
		argv[argc] = words[argc];
		argc++;
	}
	va_end(ap);
	memset(o, 0, sizeof(*o));
	return options_parse(&test_command, argc, argv, o, args, n, err);
}

static void options_are_parsed(void **state)
{
	struct error err = ERROR_INIT;
	struct test_options o;
	char **args;
	size_t n;

	(void)state;
	assert_int_equal(
		parse(&o, &args, &n, &err, "a", "--json", "-o", "x", "b", "--size=3M", NULL), 0);
	assert_true(o.json);
	assert_string_equal(o.output, "x");
	assert_int_equal(o.size, 3 << 20);
	assert_int_equal(n, 2);
	assert_string_equal(args[0], "a");
	assert_string_equal(args[1], "b");
	assert_int_equal(parse(&o, &args, &n, &err, "-ofile", "--", "--json", NULL), 0);
	assert_string_equal(o.output, "file");
	assert_false(o.json);
	assert_string_equal(args[0], "--json");
	assert_int_equal(parse(&o, &args, &n, &err, "--help", NULL), OPTIONS_HELP);
	assert_int_equal(parse(&o, &args, &n, &err, NULL), -EINVAL);
	assert_int_equal(parse(&o, &args, &n, &err, "a", "b", "c", NULL), -EINVAL);
	assert_int_equal(parse(&o, &args, &n, &err, "a", "--nope", NULL), -EINVAL);
	assert_int_equal(parse(&o, &args, &n, &err, "a", "--size", "x", NULL), -EINVAL);
	assert_int_equal(parse(&o, &args, &n, &err, "a", "--size", "99999999999G", NULL), -ERANGE);
	assert_int_equal(parse(&o, &args, &n, &err, "a", "--output", NULL), -EINVAL);
	assert_int_equal(parse(&o, &args, &n, &err, "a", "--json=1", NULL), -EINVAL);
	assert_int_equal(err.class, ERROR_USAGE);
}

static void the_table_makes_texts(void **state)
{
	const struct command_row *const commands[] = { &test_command, NULL };
	_cleanup_buf_ struct buf help = BUF_INIT, man = BUF_INIT, bash = BUF_INIT;

	(void)state;
	assert_int_equal(options_help("amber", &test_command, &help, NULL), 0);
	assert_non_null(strstr((char *)help.data, "-o, --output FILE"));
	assert_int_equal(options_man("amber", &test_command, &man, NULL), 0);
	assert_non_null(strstr((char *)man.data, "*-o*, *--output* _FILE_"));
	assert_int_equal(options_completion_bash("amber", commands, &bash, NULL), 0);
	assert_non_null(strstr((char *)bash.data, "--help --json --output --size"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_carry_context),
		cmocka_unit_test(long_errors_are_cut_not_lost),
		cmocka_unit_test(arena_gives_zeroed_aligned_memory),
		cmocka_unit_test(arena_grow_keeps_elements),
		cmocka_unit_test(files_are_read_and_written_whole),
		cmocka_unit_test(options_are_parsed),
		cmocka_unit_test(the_table_makes_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
