// SPDX-License-Identifier: Apache-2.0
/*
 * inspect: amber inspect [--json] [--raw] ARCHIVE
 */
#include <errno.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/inspect-text.h"
#include "cli/quote.h"
#include "examine/inspect.h"

struct inspect_options {
	bool json, raw;
};

static const struct option_row options[] = {
	{ "json", 0, OPTION_FLAG, offsetof(struct inspect_options, json), NULL,
	  "Print everything as one JSON document" },
	{ "raw", 0, OPTION_FLAG, offsetof(struct inspect_options, raw), NULL,
	  "Print every message of every image as JSON, uninterpreted" },
	OPTION_END,
};

static const char details[] =
	"Shows what is in a checkpoint: where it comes from, the processes with their command "
	"lines,\n"
	"threads and open files, sockets, mounts, namespaces, the amount of memory, and what could "
	"not\n"
	"be captured. Needs no root and unpacks nothing. ARCHIVE is an archive of amber, "
	"containerd,\n"
	"CRI-O or Podman, or a directory of CRIU images.\n"
	"\n"
	"Of a damaged archive everything is shown that can be read; the damage is listed and the "
	"exit\n"
	"status is 5.";

static int print_quoted(json_object *object, struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	const char *json = json_object_to_json_string_ext(object, JSON_C_TO_STRING_NOSLASHESCAPE);
	int r = json ? quote_json(&text, json, err) : error_nomem(err);

	if (r == 0)
		fwrite(text.data, 1, text.len, stdout);
	return r;
}

/* One image a line: the whole may be too large for one value in memory. */
static int print_raw(const struct examine *x, struct error *err)
{
	enum image_kind kind = IMAGE_INVENTORY;
	const struct image *image = NULL;
	bool first = true;
	int r = 0;

	fputs("[", stdout);
	while (r == 0) {
		_cleanup_json_ json_object *o = inspect_raw_next(x, &kind, &image);

		if (!o)
			break;
		fputs(first ? "\n" : ",\n", stdout);
		first = false;
		r = print_quoted(o, err);
	}
	fputs("\n]\n", stdout);
	return r < 0 || !image ? r : error_nomem(err);
}

static int print_text(json_object *document, struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	int r = inspect_text(document, &text, err);

	if (r == 0)
		fwrite(text.data, 1, text.len, stdout);
	return r;
}

static void print_problems(const struct examine *x)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	const struct image_problem *p;

	for (p = x->set.problems; p; p = p->next)
		if (buf_printf(&text, NULL, "amber: ") < 0 ||
		    quote_append(&text, p->name, NULL) < 0 || buf_printf(&text, NULL, ": ") < 0 ||
		    quote_append(&text, p->text, NULL) < 0 || buf_printf(&text, NULL, "\n") < 0)
			break;
	if (text.len)
		fwrite(text.data, 1, text.len, stderr);
}

static int inspect_run(struct cli *cli, void *opaque, char **args, size_t n_args, struct error *err)
{
	_cleanup_(examine_deinit) struct examine x = EXAMINE_INIT;
	struct inspect_options *o = opaque;
	json_object *document;
	int r;

	(void)n_args;
	cli->json = o->json || o->raw;
	r = examine_open(&x, args[0], err);
	if (r == 0)
		r = examine_load(&x, err);
	if (r < 0)
		return r;
	if (x.dir_fd >= 0 && !x.set.n_images)
		return error_hint(
			err, error_set(err, ERROR_INPUT, EINVAL, "%s holds no images", args[0]),
			"give an archive, or a directory with CRIU's .img files");
	if (o->raw) {
		r = print_raw(&x, err);
	} else {
		document = inspect_json(&x);
		if (!document)
			return error_nomem(err);
		if (o->json)
			cli_print_json(document);
		else
			r = print_text(document, err);
		if (!o->json)
			json_object_put(document);
	}
	if (r < 0 || !x.set.problems)
		return r;
	print_problems(&x);
	return 5; /* as ERROR_INPUT; the document is out already */
}

const struct cli_command inspect_command = {
	.row = {
		.name = "inspect",
		.args = "ARCHIVE",
		.summary = "Show what is in an archive",
		.details = details,
		.options = options,
		.option_size = sizeof(struct inspect_options),
		.min_args = 1,
		.max_args = 1,
		.file_args = true,
	},
	.run = inspect_run,
};
