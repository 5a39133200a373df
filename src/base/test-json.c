// SPDX-License-Identifier: Apache-2.0
/*
 * test-json: what is missing or of another type is empty, never a crash.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

static int parse(const char *text, json_object **ret, struct error *err)
{
	return json_parse((struct bytes){ (const unsigned char *)text, strlen(text) }, "text", ret,
			  err);
}

static void gets(void **state)
{
	_cleanup_json_ json_object *o = NULL;

	(void)state;
	assert_int_equal(parse("{\"a\":{\"b\":\"c\",\"n\":7},\"x/y\":1,\"l\":[1]}\n\n", &o, NULL),
			 0);
	assert_string_equal(json_text(o, "a/b"), "c");
	assert_int_equal(json_number(o, "a/n"), 7);
	assert_string_equal(json_text(o, "a/n"), ""); /* no string */
	assert_int_equal(json_number(o, "a/b"), 0);
	assert_string_equal(json_text(o, "a/b/c"), "");
	assert_string_equal(json_text(o, "l/0"), "");
	assert_string_equal(json_text(NULL, "a"), "");
	assert_null(json_get(o, "nowhere/at/all"));
	assert_non_null(json_member(o, "x/y"));
}

static void refuses(void **state)
{
	static const char *const bad[] = { "", " \n", "{", "{\"a\":1", "{} {}", "[1,", "nonsense" };
	struct error err = ERROR_INIT;
	json_object *o = NULL;
	char deep[3 * JSON_DEPTH_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse(bad[i], &o, &err), -EINVAL);
	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	assert_int_equal(parse(deep, &o, &err), -EINVAL);
	assert_null(o);
	assert_int_equal(parse("12", &o, &err), 0);
	assert_int_equal(json_object_get_int(o), 12);
	json_object_put(o);
}

static void repairs_text(void **state)
{
	_cleanup_json_ json_object *o = json_object_new_object();

	(void)state;
	json_put_text(o, "good", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80");
	json_put_text(o, "bad", "a\xff\xc0\x80\xed\xa0\x80z");
	json_put_text(o, "none", NULL);
	assert_string_equal(json_text(o, "good"), "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80");
	assert_string_equal(json_text(o, "bad"), "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
						 "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
	assert_null(json_member(o, "none"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gets),
		cmocka_unit_test(refuses),
		cmocka_unit_test(repairs_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
