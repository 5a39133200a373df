// SPDX-License-Identifier: Apache-2.0
/*
 * test-image-json: one of every type of field, strings that are no text, fields that nobody knows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "image/image-json.h"
#include "image/schema.h"

#define BYTES(s) ((struct bytes){ (const unsigned char *)(s), sizeof(s) - 1 })

static void assert_json(json_object *obj, const char *want)
{
	assert_non_null(obj);
	assert_string_equal(json_object_to_json_string_ext(obj, JSON_C_TO_STRING_NOSLASHESCAPE),
			    want);
	json_object_put(obj);
}

static void test_types(void **state)
{
	struct image_set set = IMAGE_SET_INIT;
	Img__RegFile *reg = img_new(&set, Img__RegFile, reg_file);
	Img__FileEntry *file = img_new(&set, Img__FileEntry, file_entry);
	Img__Vma *vma = img_new(&set, Img__Vma, vma);
	Img__Seccomp *seccomp = img_new(&set, Img__Seccomp, seccomp);
	Img__SeccompFilter *filter = img_new(&set, Img__SeccompFilter, seccomp_filter);
	uint32_t words[] = { 1, 0xffffffff };
	uint8_t code[] = { 0, 0xff, 1, 2 };

	file->type = IMG__FD_TYPES__REG;
	file->id = 7;
	file->reg = reg;
	reg->name = (char *)"/b\xc3\xa4r\n";
	reg->fown = img_new(&set, Img__Fown, fown);
	reg->has_mnt_id = true;
	reg->has_ext = reg->ext = true;
	reg->build_id = words;
	reg->n_build_id = 2;
	assert_json(image_message_json(&file->base),
		    "{\"type\":\"REG\",\"id\":7,\"reg\":{\"id\":0,\"flags\":0,\"pos\":0,\"fown\":"
		    "{\"uid\":0,\"euid\":0,\"signum\":0,\"pid_type\":0,\"pid\":0},"
		    "\"name\":\"/b\xc3\xa4r\\n\",\"mnt_id\":-1,\"ext\":true,"
		    "\"build_id\":[1,4294967295]}}");
	vma->start = UINT64_MAX;
	vma->fd = -1;
	assert_json(image_message_json(&vma->base),
		    "{\"start\":18446744073709551615,\"end\":0,\"pgoff\":0,\"shmid\":0,\"prot\":0,"
		    "\"flags\":0,\"status\":0,\"fd\":-1}");
	filter->filter = (ProtobufCBinaryData){ .data = code, .len = sizeof(code) };
	seccomp->seccomp_filters = &filter;
	seccomp->n_seccomp_filters = 1;
	assert_json(image_message_json(&seccomp->base),
		    "{\"seccomp_filters\":[{\"filter\":\"AP8BAg==\"}]}");
	file = img_new(&set, Img__FileEntry, file_entry);
	file->type = 4711;
	assert_json(image_message_json(&file->base), "{\"type\":4711,\"id\":0}");
	image_set_deinit(&set);
}

static void test_strings(void **state)
{
	static const struct {
		const char *name, *json;
	} cases[] = {
		{ "", "{\"nodename\":\"\",\"domainname\":\"\"}" },
		{ "\xf0\x9f\x98\x80", "{\"nodename\":\"\xf0\x9f\x98\x80\",\"domainname\":\"\"}" },
		{ "\xff", "{\"nodename\":{\"base64\":\"/w==\"},\"domainname\":\"\"}" },
		{ "\xc0\x80", "{\"nodename\":{\"base64\":\"wIA=\"},\"domainname\":\"\"}" },
		{ "\xed\xa0\x80", "{\"nodename\":{\"base64\":\"7aCA\"},\"domainname\":\"\"}" },
		{ "\xe2\x82", "{\"nodename\":{\"base64\":\"4oI=\"},\"domainname\":\"\"}" },
		{ "\xf4\x90\x80\x80",
		  "{\"nodename\":{\"base64\":\"9JCAgA==\"},\"domainname\":\"\"}" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		Img__Utsns uts = IMG__UTSNS__INIT;

		uts.nodename = (char *)cases[i].name;
		uts.domainname = (char *)"";
		assert_json(image_message_json(&uts.base), cases[i].json);
	}
}

static void test_image(void **state)
{
	static const char pipes[] =
		"\x19\x43\x56\x54\x09\x37\x45\x56\x04\0\0\0\x08\x01\x10\x05hello";
	/* An ARM core: its registers (field 6) are not in the schema. */
	static const char core[] =
		"\x19\x43\x56\x54\x47\x38\x05\x55\x06\0\0\0\x08\x02\x32\x02\x08\x01";
	struct image_set set = IMAGE_SET_INIT;
	struct error err = ERROR_INIT;

	assert_int_equal(image_parse(&set, "pipes-data.img", BYTES(pipes), &err), 0);
	assert_int_equal(image_parse(&set, "core-3.img", BYTES(core), &err), 0);
	assert_int_equal(image_parse(&set, "rule-3.img", BYTES("raw"), &err), 0);
	assert_json(image_json(set.images[IMAGE_PIPES_DATA], 5),
		    "{\"image\":\"pipes-data.img\",\"entries\":[{\"pipe_id\":1,\"bytes\":5,"
		    "\"extra\":\"aGVsbG8=\"}]}");
	assert_json(image_json(set.images[IMAGE_PIPES_DATA], 4),
		    "{\"image\":\"pipes-data.img\",\"entries\":[{\"pipe_id\":1,\"bytes\":5,"
		    "\"extra_bytes\":5}]}");
	assert_json(image_json(set.images[IMAGE_RULE], 100),
		    "{\"image\":\"rule-3.img\",\"entries\":[{\"extra\":\"cmF3\"}]}");
	assert_json(image_json(set.images[IMAGE_CORE], 0),
		    "{\"image\":\"core-3.img\",\"entries\":[{\"mtype\":\"ARM\",\"unknown_fields\":"
		    "[{\"number\":6,\"wire_type\":2,\"data\":\"AggB\"}]}]}");
	image_set_deinit(&set);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
