// SPDX-License-Identifier: Apache-2.0
/*
 * help: what there is, and the texts that are made from the option tables: man pages and
 * completion.
 */
#include <errno.h>
#include <string.h>

#include "base/version.h"
#include "cli/cli.h"

struct help_options {
	bool completion;
	const char *man;
};

static const struct option_row options[] = {
	{ "completion", 0, OPTION_FLAG, offsetof(struct help_options, completion), NULL,
	  "Print a completion script for bash" },
	{ "man", 0, OPTION_STRING, offsetof(struct help_options, man), "COMMAND",
	  "Print a command's man page, or that of amber itself, as scdoc source" },
	OPTION_END,
};

static int print(struct buf *text)
{
	fputs((char *)text->data, stdout);
	return 0;
}

static const struct command_row *row_of(const char *name)
{
	size_t i;

	for (i = 0; cli_commands[i]; i++)
		if (strcmp(cli_commands[i]->row.name, name) == 0)
			return &cli_commands[i]->row;
	return NULL;
}

static int overview(struct buf *text, struct error *err)
{
	size_t i;
	int r;

	r = buf_printf(text, err,
		       "amber %s - forensic container checkpoints\n\n"
		       "Usage: amber COMMAND [OPTIONS] [ARGUMENTS]\n\nCommands:\n",
		       AMBER_VERSION);
	for (i = 0; r == 0 && cli_commands[i]; i++)
		r = buf_printf(text, err, "  %-12s %s\n", cli_commands[i]->row.name,
			       cli_commands[i]->row.summary);
	if (r == 0)
		r = buf_printf(text, err, "\n'amber COMMAND --help' tells more.\n");
	return r;
}

/* amber(1), which leads to the pages of the commands. */
static int overview_man(struct buf *text, struct error *err)
{
	size_t i;
	int r;

	r = buf_printf(text, err,
		       "amber(1)\n\n# NAME\n\namber - forensic container checkpoints\n\n"
		       "# SYNOPSIS\n\n*amber* _COMMAND_ [OPTIONS] [ARGUMENTS]\n\n# COMMANDS\n\n");
	for (i = 0; r == 0 && cli_commands[i]; i++)
		r = buf_printf(text, err, "*amber-%s*(1)\n\t%s.\n\n", cli_commands[i]->row.name,
			       cli_commands[i]->row.summary);
	return r;
}

static int help_run(struct cli *cli, void *opaque, char **args, size_t n_args, struct error *err)
{
	const struct command_row *rows[32] = { NULL }, *row;
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct help_options *o = opaque;
	const char *name = o->man ? o->man : n_args ? args[0] : NULL;
	size_t i;
	int r;

	(void)cli;
	if (o->completion) {
		for (i = 0; cli_commands[i] && i + 1 < ARRAY_SIZE(rows); i++)
			rows[i] = &cli_commands[i]->row;
		r = options_completion_bash("amber", rows, &text, err);
		return r < 0 ? r : print(&text);
	}
	if (!name) {
		r = overview(&text, err);
		return r < 0 ? r : print(&text);
	}
	if (o->man && strcmp(name, "amber") == 0) {
		r = overview_man(&text, err);
		return r < 0 ? r : print(&text);
	}
	row = row_of(name);
	if (!row)
		return error_hint(
			err, error_set(err, ERROR_USAGE, EINVAL, "there is no command '%s'", name),
			"see 'amber help'");
	r = o->man ? options_man("amber", row, &text, err) : options_help("amber", row, &text, err);
	return r < 0 ? r : print(&text);
}

const struct cli_command help_command = {
	.row = {
		.name = "help",
		.args = "[COMMAND]",
		.summary = "Show what a command does",
		.options = options,
		.option_size = sizeof(struct help_options),
		.max_args = 1,
	},
	.run = help_run,
};
