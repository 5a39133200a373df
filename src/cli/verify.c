// SPDX-License-Identifier: Apache-2.0
/*
 * verify: amber verify [--json] ARCHIVE...
 */
#include <errno.h>

#include "archive/verify.h"
#include "base/json.h"
#include "cli/cli.h"

struct verify_options {
	bool json;
};

static const struct option_row options[] = {
	{ "json", 0, OPTION_FLAG, offsetof(struct verify_options, json), NULL,
	  "Print the result as JSON" },
	OPTION_END,
};

static const char details[] = "Compares every member of an archive with the SHA-256 that was "
			      "computed while it was written,\n"
			      "and every other byte with what amber writes there. Needs no root. "
			      "The same can be done without\n"
			      "amber: tar -xf ARCHIVE && sha256sum -c SHA256SUMS.";

static json_object *verdict_json(const char *path, const struct archive_verdict *v)
{
	json_object *object = json_object_new_object(), *faults = json_object_new_array(), *item;
	size_t i;

	json_put_text(object, "archive", path);
	json_put_bool(object, "intact", v->digests && !v->n_faults);
	json_put_bool(object, "digests", v->digests);
	json_put_bool(object, "not_hashed", v->unhashed);
	json_put_number(object, "members", v->n_members);
	json_put_number(object, "bytes", v->bytes);
	for (i = 0; i < v->n_faults; i++) {
		item = json_object_new_object();
		json_put_text(item, "member", v->faults[i].member);
		json_put_text(item, "text", v->faults[i].text);
		json_object_array_add(faults, item);
	}
	json_object_object_add(object, "faults", faults);
	return object;
}

static void print_text(const char *path, const struct archive_verdict *v)
{
	size_t i;

	for (i = 0; i < v->n_faults; i++)
		printf("%s: %s%s%s\n", path, v->faults[i].member, v->faults[i].member[0] ? " " : "",
		       v->faults[i].text);
	if (!v->n_faults && v->digests)
		printf("%s: intact, %zu members\n", path, v->n_members);
}

static int verify_one(struct cli *cli, const char *path, json_object *list, struct error *err)
{
	_cleanup_(archive_verdict_deinit) struct archive_verdict verdict = ARCHIVE_VERDICT_INIT;
	_cleanup_(archive_reader_deinit) struct archive_reader archive = ARCHIVE_READER_INIT;
	int r;

	r = archive_reader_open(&archive, path, err);
	if (r == 0)
		r = archive_verify(&cli->op, &archive, &verdict, err);
	if (r < 0)
		return r;
	if (list)
		json_object_array_add(list, verdict_json(path, &verdict));
	else
		print_text(path, &verdict);
	if (verdict.n_faults)
		return error_hint(
			err,
			error_set(err, ERROR_INPUT, EBADMSG, "%s is not what was written: %s%s%s",
				  path, verdict.faults[0].member,
				  verdict.faults[0].member[0] ? " " : "", verdict.faults[0].text),
			"do not rely on it; get another copy of the archive");
	if (verdict.unhashed)
		return error_hint(
			err,
			error_set(
				err, ERROR_INPUT, ENODATA,
				"%s was not hashed when it was made: nobody can tell whether it is "
				"what was written",
				path),
			"take checkpoints without --no-digest where this matters");
	if (!verdict.digests)
		return error_hint(err,
				  error_set(err, ERROR_INPUT, ENODATA,
					    "%s holds no digests: it cannot be verified", path),
				  "it was not made by amber");
	return 0;
}

static int verify_run(struct cli *cli, void *opaque, char **args, size_t n_args, struct error *err)
{
	struct verify_options *o = opaque;
	json_object *list = o->json ? json_object_new_array() : NULL;
	struct error one;
	size_t i;
	int r, ret = 0;

	for (i = 0; i < n_args; i++) {
		one = ERROR_INIT;
		r = verify_one(cli, args[i], list, &one);
		if (r < 0 && ret == 0) {
			ret = r;
			*err = one;
		} else if (r < 0) {
			fprintf(stderr, "amber: %s\n", one.text);
		}
	}
	if (list)
		cli_print_json(list);
	return ret;
}

const struct cli_command verify_command = {
	.row = {
		.name = "verify",
		.args = "ARCHIVE...",
		.summary = "Check that archives are what was written",
		.details = details,
		.options = options,
		.option_size = sizeof(struct verify_options),
		.min_args = 1,
		.max_args = SIZE_MAX,
		.file_args = true,
	},
	.run = verify_run,
};
