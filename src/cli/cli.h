/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli: what the commands share: the table of them, signals, printing.
 *
 * One file a command. Only this folder prints; library code returns.
 */
#pragma once

#include <json-c/json.h>

#include "base/op.h"
#include "base/options.h"

struct cli {
	struct op op;
	const char *command_line; /* all words, for records */
	bool json;		  /* set by commands that have --json, for the error's form */
};

struct cli_command {
	struct command_row row;
	/* @options: the command's option struct, parsed. Returns an exit code, or a negative errno
	 * with err set, which main() prints. */
	int (*run)(struct cli *cli, void *options, char **args, size_t n_args, struct error *err);
};

extern const struct cli_command checkpoint_command;
extern const struct cli_command restore_command;
extern const struct cli_command show_command;
extern const struct cli_command inspect_command;
extern const struct cli_command verify_command;
extern const struct cli_command check_command;
extern const struct cli_command help_command;

/* cli_commands - all of them, NULL-terminated. */
extern const struct cli_command *const cli_commands[];

/* cli_print_json - the object, indented, with a newline; the object is consumed. */
void cli_print_json(json_object *object);

/* cli_print_error - text and hint to standard error, quoted. */
void cli_print_error(const struct error *err);

/* cli_print_gaps - a line each. */
struct gap_list;
void cli_print_gaps(const struct gap_list *gaps);

/* cli_size - "1.5 GiB" in a buffer of at least 24 bytes; returns it. */
const char *cli_size(uint64_t bytes, char *buf);

/* cli_need_root - -EPERM with a remedy unless we are root. */
int cli_need_root(const char *what, struct error *err) _must_check_;

/*
 * cli_in_worker - run fn in a child process and wait for it.
 * The child is the one that holds other people's tasks. When we are killed, even by SIGKILL, it is
 * told (PR_SET_PDEATHSIG), cancels its operation and takes everything back; when it is killed
 * itself, the kernel detaches it from the tasks and they run on (task/script.h). Signals that ask
 * us to end are passed on. Returns what fn returned; err travels back.
 */
typedef int cli_worker_fn(struct cli *cli, void *arg, struct error *err);
int cli_in_worker(struct cli *cli, cli_worker_fn *fn, void *arg, struct error *err) _must_check_;
