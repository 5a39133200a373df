/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options: one table feeds parsing, --help, shell completion and the man page.
 *
 * A command describes itself and its options; nothing else in amber parses a command line. Printing
 * is done into buffers: who owns the terminal decides where they go.
 */
#pragma once

#include "base/buf.h"

enum option_type {
	OPTION_FLAG,   /* bool */
	OPTION_STRING, /* const char * */
	OPTION_NUMBER, /* uint64_t, with K, M, G as powers of 1024 */
};

struct option_row {
	const char *name; /* long name without dashes */
	char letter;	  /* short one, 0 = none */
	enum option_type type;
	size_t offset;	  /* of the field in the command's option struct */
	const char *arg;  /* what the argument is called; NULL for flags */
	const char *help; /* one line, no full stop */
	bool file;	  /* the argument is a file name: for completion */
};

#define OPTION_END                                                                                 \
	{                                                                                          \
		.name = NULL                                                                       \
	}

struct command_row {
	const char *name;
	const char *args;    /* "[-o FILE] TARGET" without the options of the table */
	const char *summary; /* one line, no full stop */
	const char *details; /* paragraphs for the man page and --help; may hold examples */
	const struct option_row *options;
	size_t option_size;	   /* bytes of the option struct */
	size_t min_args, max_args; /* operands; SIZE_MAX = any number */
	bool file_args;		   /* operands are file names: for completion */
};

/*
 * options_parse - fill an option struct and reorder argv so that operands follow each other.
 * @command: its table
 * @argc, @argv: the words behind the command's name
 * @ret: zeroed option struct; strings point into argv
 * @ret_args: the first operand in argv; @ret_n_args: how many
 * --help is recognised everywhere: returns OPTIONS_HELP. Returns 0 or -EINVAL (class usage).
 */
#define OPTIONS_HELP 1
int options_parse(const struct command_row *command, int argc, char **argv, void *ret,
		  char ***ret_args, size_t *ret_n_args, struct error *err) _must_check_;

/* options_help - the text of `amber COMMAND --help`. */
int options_help(const char *program, const struct command_row *command, struct buf *out,
		 struct error *err) _must_check_;

/* options_man - scdoc source of the command's man page, amber-COMMAND(1). */
int options_man(const char *program, const struct command_row *command, struct buf *out,
		struct error *err) _must_check_;

/* options_completion_bash - a bash completion script for all commands (NULL-terminated array). */
int options_completion_bash(const char *program, const struct command_row *const *commands,
			    struct buf *out, struct error *err) _must_check_;
