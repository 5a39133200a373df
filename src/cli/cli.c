// SPDX-License-Identifier: Apache-2.0
/*
 * cli: see cli.h.
 */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "cli/quote.h"
#include "image/gap.h"

void cli_print_json(json_object *object)
{
	const char *text = json_object_to_json_string_ext(
		object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
	_cleanup_buf_ struct buf quoted = BUF_INIT;

	puts(quote_json(&quoted, text, NULL) == 0 && quoted.data ? (char *)quoted.data : text);
	json_object_put(object);
}

void cli_print_error(const struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;

	/* Errors name files and processes, which can be called anything. */
	if (quote_append(&text, err->text, NULL) == 0 && text.data)
		fprintf(stderr, "amber: %s\n", (char *)text.data);
	text.len = 0;
	if (err->hint[0] && quote_append(&text, err->hint, NULL) == 0)
		fprintf(stderr, "amber: %s\n", (char *)text.data);
}

void cli_print_gaps(const struct gap_list *gaps)
{
	const struct gap *gap;

	for (gap = gaps->first; gap; gap = gap->next)
		printf("  gap (%s) %s%s%.0d: %s: %s\n", gap_effect_name(gap->effect), gap->kind,
		       gap->pid ? " of task " : "", gap->pid, gap->subject, gap->reason);
}

const char *cli_size(uint64_t bytes, char *buf)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = (double)bytes;
	size_t i = 0;

	while (value >= 1024 && i + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		i++;
	}
	snprintf(buf, 24, i ? "%.1f %s" : "%.0f %s", value, units[i]);
	return buf;
}

int cli_need_root(const char *what, struct error *err)
{
	if (geteuid() == 0)
		return 0;
	return error_hint(err, error_set(err, ERROR_DENIED, EPERM, "%s needs root", what),
			  "run it with sudo");
}

/* How the worker's end travels back. */
struct worker_report {
	int r;
	struct error err;
};

static void worker_main(struct cli *cli, cli_worker_fn *fn, void *arg, pid_t parent,
			struct worker_report *report)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	if (getppid() != parent)
		raise(SIGTERM); /* it died before we asked to be told */
	report->r = fn(cli, arg, &report->err);
	op_progress_end(&cli->op);
	fflush(NULL);
	_exit(0);
}

static int wait_worker(struct cli *cli, pid_t pid)
{
	bool told = false;
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -1;
		if (*cli->op.cancel && !told) {
			kill(pid, SIGTERM);
			told = true;
		}
	}
	return status;
}

int cli_in_worker(struct cli *cli, cli_worker_fn *fn, void *arg, struct error *err)
{
	struct worker_report *report;
	pid_t parent = getpid(), pid;
	int status, r;

	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (report == MAP_FAILED)
		return error_nomem(err);
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		r = error_errno(err, errno, "cannot start a worker process");
		munmap(report, sizeof(*report));
		return r;
	}
	if (pid == 0)
		worker_main(cli, fn, arg, parent, report);
	status = wait_worker(cli, pid);
	if (status == 0) {
		r = report->r;
		if (r < 0)
			*err = report->err;
	} else {
		r = error_set(err, ERROR_INTERNAL, ECHILD, "the worker process ended by signal %d",
			      WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	}
	munmap(report, sizeof(*report));
	return r;
}
