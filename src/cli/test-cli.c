// SPDX-License-Identifier: Apache-2.0
/*
 * test-cli: hostile text is harmless on a terminal; every command's man page is accepted by scdoc.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/inspect-text.h"
#include "cli/quote.h"

/* As in main.c, which is no part of the library. */
const struct cli_command *const cli_commands[] = {
	&checkpoint_command, &restore_command, &show_command, &inspect_command,
	&verify_command,     &check_command,   &help_command, NULL,
};

static void quoted(const char *text, const char *expected)
{
	_cleanup_buf_ struct buf buf = BUF_INIT;

	assert_int_equal(quote_append(&buf, text, NULL), 0);
	assert_string_equal((char *)buf.data, expected);
}

static void quotes(void **state)
{
	(void)state;
	quoted("redis-server *:6379", "redis-server *:6379");
	quoted("\033]0;owned\a\n", "\\x1b]0;owned\\a\\n");
	quoted("a\\b", "a\\\\b");
	quoted("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
	quoted("\xc2\x9b"
	       "31m",
	       "\\u009b31m");		  /* CSI as one code point */
	quoted("\xff\x80", "\\xff\\x80"); /* no UTF-8 */
	quoted("\xe2\x80\xaegnp.exe", "\\u202egnp.exe");
	quoted("\xf3\xa0\x81\x81", "\\U000e0041");
	quoted("\xe2\x80", "\\xe2\\x80"); /* cut */
}

static void quotes_json(void **state)
{
	_cleanup_buf_ struct buf buf = BUF_INIT;

	(void)state;
	assert_int_equal(
		quote_json(&buf, "{\n\"a\\u001b\":\"\x7f\xc2\x9b\xc3\xbc\xe2\x80\xae\"}", NULL), 0);
	assert_string_equal((char *)buf.data, "{\n\"a\\u001b\":\"\\u007f\\u009b\xc3\xbc\\u202e\"}");
}

static void prints_loops(void **state)
{
	static const char text[] =
		"{\"processes\":[{\"pid\":1,\"ppid\":3,\"comm\":\"a\"},"
		"{\"pid\":2,\"ppid\":1,\"comm\":\"b\\u001b\"},{\"pid\":3,\"ppid\":2},"
		"{\"pid\":3,\"ppid\":3},{\"pid\":4,\"ppid\":99}]}";
	_cleanup_json_ json_object *doc = json_tokener_parse(text);
	_cleanup_buf_ struct buf out = BUF_INIT;

	(void)state;
	assert_int_equal(inspect_text(doc, &out, NULL), 0);
	assert_non_null(strstr((char *)out.data,
			       "  [1] a\n    [2] b\\x1b\n      [3] \n        [3] \n  [4] \n"));
}

static void man_pages(void **state)
{
	size_t i;

	(void)state;
	if (system("scdoc </dev/null >/dev/null 2>&1; test $? -ne 127") != 0)
		skip();
	for (i = 0; cli_commands[i]; i++) {
		_cleanup_buf_ struct buf text = BUF_INIT;
		FILE *scdoc = popen("scdoc >/dev/null", "w");

		assert_non_null(scdoc);
		assert_int_equal(options_man("amber", &cli_commands[i]->row, &text, NULL), 0);
		assert_int_equal(fwrite(text.data, 1, text.len, scdoc), text.len);
		if (pclose(scdoc) != 0)
			fail_msg("scdoc refuses the page of %s:\n%s", cli_commands[i]->row.name,
				 (char *)text.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quotes),
		cmocka_unit_test(quotes_json),
		cmocka_unit_test(prints_loops),
		cmocka_unit_test(man_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
