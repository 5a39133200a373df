// SPDX-License-Identifier: Apache-2.0
/*
 * main: finds the command, parses its options, runs it, prints its error.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/version.h"
#include "cli/cli.h"

const struct cli_command *const cli_commands[] = {
	&checkpoint_command, &restore_command, &show_command, &inspect_command,
	&verify_command,     &check_command,   &help_command, NULL,
};

static volatile sig_atomic_t cancelled; /* the one thing a signal handler can reach */

static void on_signal(int sig)
{
	(void)sig;
	cancelled = 1;
}

static void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = on_signal };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
}

static const struct cli_command *find_command(const char *name)
{
	size_t i;

	for (i = 0; cli_commands[i]; i++)
		if (strcmp(cli_commands[i]->row.name, name) == 0)
			return cli_commands[i];
	return NULL;
}

static void print_error(const struct cli *cli, const struct error *err)
{
	json_object *outer, *inner;

	cli_print_error(err);
	if (!cli->json)
		return;
	outer = json_object_new_object();
	inner = json_object_new_object();
	json_object_object_add(inner, "class",
			       json_object_new_string(error_class_name(err->class)));
	json_object_object_add(inner, "errno", json_object_new_int(err->errnum));
	json_object_object_add(inner, "text", json_object_new_string(err->text));
	json_object_object_add(inner, "hint", json_object_new_string(err->hint));
	json_object_object_add(outer, "error", inner);
	cli_print_json(outer);
}

static int run(struct cli *cli, const struct cli_command *command, int argc, char **argv)
{
	_cleanup_free_ void *options = calloc(1, command->row.option_size + 1);
	_cleanup_buf_ struct buf help = BUF_INIT;
	struct error err = ERROR_INIT;
	char **args = NULL;
	size_t n = 0;
	int r;

	if (!options) {
		fprintf(stderr, "amber: out of memory\n");
		return 6;
	}
	r = options_parse(&command->row, argc, argv, options, &args, &n, &err);
	if (r == OPTIONS_HELP) {
		r = options_help("amber", &command->row, &help, &err);
		if (r == 0)
			fputs((char *)help.data, stdout);
	} else if (r == 0) {
		r = command->run(cli, options, args, n, &err);
	}
	op_progress_end(&cli->op);
	if (r >= 0)
		return r;
	print_error(cli, &err);
	return error_exit_code(&err);
}

static char *join(int argc, char **argv)
{
	struct buf line = BUF_INIT;
	int i;

	for (i = 0; i < argc; i++)
		if (buf_printf(&line, NULL, "%s%s", i ? " " : "", argv[i]) < 0)
			break;
	return (char *)line.data;
}

int main(int argc, char **argv)
{
	struct cli cli = { .op = OP_INIT };
	const struct cli_command *command;
	_cleanup_free_ char *line = join(argc, argv);
	const char *name = argc > 1 ? argv[1] : "help";

	cli.command_line = line ? line : "amber";
	cli.op.cancel = &cancelled;
	cli.op.log_level = LOG_WARN;
	cli.op.log_fd = STDERR_FILENO;
	if (isatty(STDERR_FILENO))
		cli.op.progress_fd = STDERR_FILENO;
	catch_signals();

	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
		puts("amber " AMBER_VERSION);
		return 0;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	command = find_command(name);
	if (!command) {
		fprintf(stderr, "amber: there is no command '%s'\namber: see 'amber help'\n", name);
		return 2;
	}
	return run(&cli, command, argc > 2 ? argc - 2 : 0, argv + 2);
}
