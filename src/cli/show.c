// SPDX-License-Identifier: Apache-2.0
/*
 * show: amber show [--json] ARCHIVE...
 */
#include <errno.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/quote.h"
#include "examine/inspect.h"
#include "examine/metadata.h"

struct show_options {
	bool json;
};

static const struct option_row options[] = {
	{ "json", 0, OPTION_FLAG, offsetof(struct show_options, json), NULL,
	  "Print the list as JSON" },
	OPTION_END,
};

static const char details[] =
	"Prints one line for each archive or image directory: the container, its image, id, "
	"runtime,\n"
	"time of creation, engine, the size of the checkpoint and of the root file system's "
	"changes.\n"
	"Needs no root. Reads archives of amber, containerd, CRI-O and Podman where they lie.";

#define COLUMNS 9

struct row {
	char *cells[COLUMNS];
};

struct table {
	struct arena arena;
	struct row *rows;
	size_t n;
};

static const char *const titles[COLUMNS] = { "ARCHIVE", "CONTAINER",  "IMAGE",
					     "ID",	"RUNTIME",    "CREATED",
					     "ENGINE",	"CHECKPOINT", "ROOTFS DIFF" };

static char *cell(struct arena *arena, const char *text)
{
	_cleanup_buf_ struct buf quoted = BUF_INIT;

	if (!*text || quote_append(&quoted, text, NULL) < 0)
		return arena_strdup(arena, "-");
	return arena_strdup(arena, (char *)quoted.data);
}

static char *size_cell(struct arena *arena, json_object *archive, const char *key)
{
	char text[24];

	if (!json_member(archive, key))
		return arena_strdup(arena, "-");
	return arena_strdup(arena, cli_size((uint64_t)json_number(archive, key), text));
}

static int add_row(struct table *table, const struct row *row, struct error *err)
{
	struct row *grown = arena_grow(&table->arena, table->rows, table->n, sizeof(*row));
	size_t i;

	for (i = 0; i < COLUMNS; i++)
		if (!row->cells[i])
			return error_nomem(err);
	if (!grown)
		return error_nomem(err);
	table->rows = grown;
	table->rows[table->n++] = *row;
	return 0;
}

static int add_summary(struct table *table, json_object *o, struct error *err)
{
	json_object *archive = json_member(o, "archive"), *c = json_member(o, "container");
	struct arena *arena = &table->arena;
	const char *path = json_text(archive, "path");
	char *id = cell(arena, json_text(c, "id")), *created = cell(arena, json_text(c, "created"));
	struct row row = {
		.cells = { cell(arena, strrchr(path, '/') && strrchr(path, '/')[1]
					       ? strrchr(path, '/') + 1
					       : path),
			   cell(arena, json_text(c, "name")), cell(arena, json_text(c, "image")),
			   id, cell(arena, json_text(c, "runtime")), created,
			   cell(arena, json_text(c, "engine")),
			   size_cell(arena, archive, "checkpoint_bytes"),
			   size_cell(arena, archive, "rootfs_diff_bytes") },
	};

	/* The whole of both is in the JSON; a hexadecimal id is known by its first digits. */
	if (id && strlen(id) == 64 && strspn(id, "0123456789abcdef") == 64)
		id[12] = '\0';
	if (created && strlen(created) > 19 && created[10] == 'T' && strpbrk(created + 19, ".Z"))
		strcpy(created + 19, "Z");
	return add_row(table, &row, err);
}

static void print_table(const struct table *table)
{
	size_t widths[COLUMNS], r, i, pad;
	const char *text;

	for (i = 0; i < COLUMNS; i++) {
		widths[i] = strlen(titles[i]);
		for (r = 0; r < table->n; r++)
			widths[i] = MAX(widths[i], quote_width(table->rows[r].cells[i]));
	}
	for (r = 0; r <= table->n; r++) {
		for (i = 0; i < COLUMNS; i++) {
			text = r ? table->rows[r - 1].cells[i] : titles[i];
			pad = i + 1 < COLUMNS ? widths[i] - quote_width(text) + 2 : 0;
			printf("%s%*s", text, (int)pad, "");
		}
		putchar('\n');
	}
}

static int show_one(const char *path, struct table *table, json_object *list, struct error *err)
{
	_cleanup_(examine_deinit) struct examine x = EXAMINE_INIT;
	json_object *o, *problems;
	int r;

	r = examine_open(&x, path, err);
	if (r < 0)
		return r;
	o = inspect_summary_json(&x);
	problems = metadata_problems_json(&x);
	json_object_object_add(o, "problems", problems);
	r = add_summary(table, o, err);
	if (r == 0 && x.archive.damaged)
		r = error_set(err, ERROR_INPUT, EBADMSG, "%s is damaged: %s", path,
			      x.archive.problem.text);
	else if (r == 0 && json_object_array_length(problems))
		r = error_set(err, ERROR_INPUT, EBADMSG, "%s is damaged: %s: %s", path,
			      x.set.problems->name, x.set.problems->text);
	if (r < 0)
		(void)error_hint(err, r, "'amber inspect' shows what can still be read");
	json_object_array_add(list, o);
	return r;
}

static int show_run(struct cli *cli, void *opaque, char **args, size_t n_args, struct error *err)
{
	_cleanup_(cleanup_json) json_object *list = json_object_new_array();
	struct table table = { .arena = ARENA_INIT };
	struct show_options *o = opaque;
	struct error one;
	int r, code = 0;
	size_t i;

	cli->json = o->json;
	for (i = 0; i < n_args; i++) {
		one = ERROR_INIT;
		r = show_one(args[i], &table, list, &one);
		if (r >= 0)
			continue;
		if (!code)
			code = error_exit_code(&one);
		if (n_args == 1 && !table.n) {
			*err = one;
			arena_deinit(&table.arena);
			return r;
		}
		cli_print_error(&one);
	}
	if (o->json)
		cli_print_json(json_object_get(list));
	else if (table.n)
		print_table(&table);
	arena_deinit(&table.arena);
	return code;
}

const struct cli_command show_command = {
	.row = {
		.name = "show",
		.args = "ARCHIVE...",
		.summary = "Print a line about each archive",
		.details = details,
		.options = options,
		.option_size = sizeof(struct show_options),
		.min_args = 1,
		.max_args = SIZE_MAX,
		.file_args = true,
	},
	.run = show_run,
};
