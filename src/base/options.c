// SPDX-License-Identifier: Apache-2.0
/*
 * options: see options.h.
 */
#include "base/options.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

static const struct option_row *find_long(const struct command_row *command, const char *name,
					  size_t len)
{
	const struct option_row *o;

	for (o = command->options; o && o->name; o++)
		if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

static const struct option_row *find_short(const struct command_row *command, char letter)
{
	const struct option_row *o;

	for (o = command->options; o && o->name; o++)
		if (o->letter && o->letter == letter)
			return o;
	return NULL;
}

static int parse_number(const struct option_row *o, const char *text, uint64_t *ret,
			struct error *err)
{
	static const char units[] = "KMG";
	const char *unit;
	uint64_t value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || !isdigit((unsigned char)text[0]))
		return error_set(err, ERROR_USAGE, EINVAL, "--%s wants a number, not '%s'", o->name,
				 text);
	unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (unit && !end[1]) {
		unsigned int shift = 10U * (unsigned int)(unit - units + 1);

		if (value > UINT64_MAX >> shift)
			return error_set(err, ERROR_USAGE, ERANGE, "--%s: %s is too large", o->name,
					 text);
		value <<= shift;
	} else if (*end) {
		return error_set(err, ERROR_USAGE, EINVAL, "--%s wants a number, not '%s'", o->name,
				 text);
	}
	*ret = value;
	return 0;
}

static int store(const struct option_row *o, const char *value, void *ret, struct error *err)
{
	void *field = (char *)ret + o->offset;

	switch (o->type) {
	case OPTION_FLAG:
		*(bool *)field = true;
		return 0;
	case OPTION_STRING:
		*(const char **)field = value;
		return 0;
	case OPTION_NUMBER:
		return parse_number(o, value, field, err);
	}
	return 0;
}

static int unknown(const struct command_row *command, const char *word, struct error *err)
{
	return error_hint(
		err,
		error_set(err, ERROR_USAGE, EINVAL, "'%s' has no option %s", command->name, word),
		"see 'amber %s --help'", command->name);
}

/* One word that starts with dashes; takes the following word as value where one is wanted. */
static int parse_word(const struct command_row *command, char **argv, int argc, int *i, void *ret,
		      struct error *err)
{
	const char *word = argv[*i], *value = NULL, *equals;
	const struct option_row *o;

	if (word[1] == '-') {
		equals = strchr(word, '=');
		o = find_long(command, word + 2,
			      equals ? (size_t)(equals - word - 2) : strlen(word + 2));
		value = equals ? equals + 1 : NULL;
	} else {
		o = find_short(command, word[1]);
		if (o && o->type == OPTION_FLAG && word[2])
			o = NULL; /* flags are not bundled: too easy to misread in a log */
		else if (word[2])
			value = word + 2;
	}
	if (!o)
		return unknown(command, word, err);
	if (o->type == OPTION_FLAG && value)
		return error_set(err, ERROR_USAGE, EINVAL, "--%s takes no value", o->name);
	if (o->type != OPTION_FLAG && !value) {
		if (*i + 1 >= argc)
			return error_set(err, ERROR_USAGE, EINVAL, "--%s wants %s", o->name,
					 o->arg);
		value = argv[++*i];
	}
	return store(o, value, ret, err);
}

int options_parse(const struct command_row *command, int argc, char **argv, void *ret,
		  char ***ret_args, size_t *ret_n_args, struct error *err)
{
	bool only_operands = false;
	size_t n = 0;
	int i, r;

	for (i = 0; i < argc; i++) {
		if (!only_operands && strcmp(argv[i], "--") == 0) {
			only_operands = true;
			continue;
		}
		if (only_operands || argv[i][0] != '-' || !argv[i][1]) {
			argv[n++] = argv[i]; /* n <= i: operands move to the front */
			continue;
		}
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return OPTIONS_HELP;
		r = parse_word(command, argv, argc, &i, ret, err);
		if (r < 0)
			return r;
	}
	if (n < command->min_args || n > command->max_args)
		return error_hint(err,
				  error_set(err, ERROR_USAGE, EINVAL, "usage: amber %s %s",
					    command->name, command->args),
				  "see 'amber %s --help'", command->name);
	*ret_args = argv;
	*ret_n_args = n;
	return 0;
}

static int option_line(const struct option_row *o, struct buf *out, struct error *err)
{
	char left[64];
	int n = 0;

	if (o->letter)
		n = snprintf(left, sizeof(left), "-%c, ", o->letter);
	else
		n = snprintf(left, sizeof(left), "    ");
	snprintf(left + n, sizeof(left) - (size_t)n, "--%s%s%s", o->name, o->arg ? " " : "",
		 o->arg ? o->arg : "");
	return buf_printf(out, err, "  %-26s %s\n", left, o->help);
}

int options_help(const char *program, const struct command_row *command, struct buf *out,
		 struct error *err)
{
	const struct option_row *o;
	int r;

	r = buf_printf(out, err, "%s %s - %s\n\nUsage: %s %s [OPTIONS] %s\n", program,
		       command->name, command->summary, program, command->name, command->args);
	if (r == 0 && command->details)
		r = buf_printf(out, err, "\n%s\n", command->details);
	if (r == 0)
		r = buf_printf(out, err, "\nOptions:\n");
	for (o = command->options; r == 0 && o && o->name; o++)
		r = option_line(o, out, err);
	if (r == 0)
		r = buf_printf(out, err, "  %-26s %s\n", "-h, --help", "Show this text");
	return r;
}

/* scdoc takes _ and * for emphasis. */
static int man_text(const char *text, struct buf *out, struct error *err)
{
	int r = 0;

	for (; *text && r == 0; text++) {
		if (strchr("_*\\#[", *text))
			r = buf_append(out, "\\", 1, err);
		if (r == 0)
			r = buf_append(out, text, 1, err);
	}
	return r;
}

static int man_option(const struct option_row *o, struct buf *out, struct error *err)
{
	int r;

	if (o->letter)
		r = buf_printf(out, err, "*-%c*, *--%s*", o->letter, o->name);
	else
		r = buf_printf(out, err, "*--%s*", o->name);
	if (r == 0 && o->arg)
		r = buf_printf(out, err, " _%s_", o->arg);
	if (r == 0)
		r = buf_append(out, "\n\t", 2, err);
	if (r == 0)
		r = man_text(o->help, out, err);
	return r < 0 ? r : buf_append(out, ".\n\n", 3, err);
}

int options_man(const char *program, const struct command_row *command, struct buf *out,
		struct error *err)
{
	const struct option_row *o;
	int r;

	r = buf_printf(out, err, "%s-%s(1)\n\n# NAME\n\n%s-%s - ", program, command->name, program,
		       command->name);
	if (r == 0)
		r = man_text(command->summary, out, err);
	if (r == 0)
		r = buf_printf(out, err, "\n\n# SYNOPSIS\n\n*%s %s* [OPTIONS] ", program,
			       command->name);
	if (r == 0)
		r = man_text(command->args, out, err);
	if (r == 0 && command->details) {
		r = buf_printf(out, err, "\n\n# DESCRIPTION\n\n");
		if (r == 0)
			r = man_text(command->details, out, err);
	}
	if (r == 0)
		r = buf_printf(out, err, "\n\n# OPTIONS\n\n");
	for (o = command->options; r == 0 && o && o->name; o++)
		r = man_option(o, out, err);
	if (r == 0)
		r = buf_printf(
			out, err,
			"# EXIT STATUS\n\n0 success, 1 failure, 2 wrong usage, 3 not found, "
			"4 missing privilege, 5 bad input, 6 system (disk full, memory, kernel), "
			"7 cancelled.\n");
	return r;
}

static int completion_case(const struct command_row *command, struct buf *out, struct error *err)
{
	const struct option_row *o;
	int r;

	r = buf_printf(out, err, "\t%s) words=\"--help", command->name);
	for (o = command->options; r == 0 && o && o->name; o++)
		r = buf_printf(out, err, " --%s", o->name);
	return r < 0 ? r : buf_printf(out, err, "\" ;;\n");
}

int options_completion_bash(const char *program, const struct command_row *const *commands,
			    struct buf *out, struct error *err)
{
	size_t i;
	int r;

	r = buf_printf(out, err,
		       "# bash completion for %s; made by '%s help --completion'\n_%s()\n{\n"
		       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} words=\n"
		       "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n\t\twords=\"",
		       program, program, program);
	for (i = 0; r == 0 && commands[i]; i++)
		r = buf_printf(out, err, "%s%s", i ? " " : "", commands[i]->name);
	if (r == 0)
		r = buf_printf(
			out, err,
			"\"\n\tfi\n\t[ \"$COMP_CWORD\" -gt 1 ] && case ${COMP_WORDS[1]} in\n");
	for (i = 0; r == 0 && commands[i]; i++)
		r = completion_case(commands[i], out, err);
	if (r == 0)
		r = buf_printf(
			out, err,
			"\tesac\n\tif [ \"$COMP_CWORD\" -eq 1 ] || [[ $cur == -* ]]; then\n"
			"\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
			"\telse\n\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n\tfi\n}\n"
			"complete -o filenames -F _%s %s\n",
			program, program);
	return r;
}
