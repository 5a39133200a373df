// SPDX-License-Identifier: Apache-2.0
/*
 * checkpoint: amber checkpoint [-o FILE] [--stop] [--json] TARGET
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "cli/cli.h"
#include "runtime/runtime.h"

struct checkpoint_options {
	const char *output;
	uint64_t max_freeze_ms;
	bool stop, no_precopy, no_digest, no_sync, json, verbose;
};

static const struct option_row options[] = {
	{ "output", 'o', OPTION_STRING, offsetof(struct checkpoint_options, output), "FILE",
	  "Write the archive here; the default is amber-NAME-TIME.tar in this directory", true },
	{ "stop", 0, OPTION_FLAG, offsetof(struct checkpoint_options, stop), NULL,
	  "Kill the container after the capture instead of letting it run on" },
	{ "max-freeze", 0, OPTION_NUMBER, offsetof(struct checkpoint_options, max_freeze_ms), "MS",
	  "Milliseconds that the container may stand still: more rounds are made to keep it, and "
	  "it is "
	  "said whether it was kept" },
	{ "no-precopy", 0, OPTION_FLAG, offsetof(struct checkpoint_options, no_precopy), NULL,
	  "Copy all memory while the container stands still; no write tracking, a longer freeze" },
	{ "no-digest", 0, OPTION_FLAG, offsetof(struct checkpoint_options, no_digest), NULL,
	  "Hash nothing: sooner done, but nobody can tell later whether the archive is as it was "
	  "taken" },
	{ "no-sync", 0, OPTION_FLAG, offsetof(struct checkpoint_options, no_sync), NULL,
	  "Do not wait until the archive is on the disk" },
	{ "json", 0, OPTION_FLAG, offsetof(struct checkpoint_options, json), NULL,
	  "Print the result as JSON" },
	{ "verbose", 'v', OPTION_FLAG, offsetof(struct checkpoint_options, verbose), NULL,
	  "Log what is done to standard error" },
	OPTION_END,
};

static const char details[] =
	"Takes a complete, stateful copy of a running container: processes, memory, files, "
	"sockets,\n"
	"namespaces and what changed in its root file system. The container runs on unless --stop "
	"is\n"
	"given. What could not be captured is listed as a gap; it never makes the capture fail.\n"
	"\n"
	"TARGET is pid:N (that process and its descendants), runc:ID or crun:ID, or the id or name "
	"of a\n"
	"container, which is looked up. An existing archive is never overwritten.";

struct job {
	struct checkpoint_request request;
	bool json;
};

static void print_text(const struct checkpoint_result *result)
{
	char archive[24], memory[24];

	printf("%s: %s, %zu tasks, %zu threads, %s of memory, frozen %.1f ms, taken in %.2f s\n",
	       result->path, cli_size(result->archive_bytes, archive), result->n_tasks,
	       result->n_threads, cli_size(result->memory_bytes, memory),
	       (double)result->freeze_ns / 1e6, (double)result->wall_ns / 1e9);
	if (!result->max_freeze_kept)
		printf("  the freeze was longer than --max-freeze allows: %s of memory were "
		       "written "
		       "in the last round\n",
		       cli_size(result->last_bytes, memory));
	if (!result->restorable)
		puts("  this checkpoint can be read but not restored:");
	cli_print_gaps(&result->gaps);
}

static void print_json(const struct checkpoint_result *result)
{
	json_object *object = json_object_new_object();

	json_put_text(object, "archive", result->path);
	json_put_number(object, "archive_bytes", result->archive_bytes);
	json_put_number(object, "memory_bytes", result->memory_bytes);
	json_put_number(object, "tasks", result->n_tasks);
	json_put_number(object, "threads", result->n_threads);
	json_put_number(object, "freeze_ns", result->freeze_ns);
	json_put_number(object, "wall_ns", result->wall_ns);
	json_put_text(object, "tracker", result->tracker);
	json_put_number(object, "rounds", result->rounds);
	json_put_number(object, "last_bytes", result->last_bytes);
	json_put_bool(object, "max_freeze_kept", result->max_freeze_kept);
	json_put_bool(object, "restorable", result->restorable);
	json_object_object_add(object, "gaps", gap_list_json(&result->gaps));
	cli_print_json(object);
}

static int work(struct cli *cli, void *arg, struct error *err)
{
	struct checkpoint_result result;
	struct job *job = arg;
	int r;

	r = checkpoint_run(&cli->op, &job->request, &result, err);
	if (r == 0 && job->json)
		print_json(&result);
	else if (r == 0)
		print_text(&result);
	checkpoint_result_deinit(&result);
	return r;
}

static const char *default_output(struct arena *arena, const struct checkpoint_target *target)
{
	time_t now = time(NULL);
	char stamp[32], *path, *p;
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
	path = arena_printf(arena, "amber-%.64s-%s.tar",
			    target->name[0] ? target->name : target->id, stamp);
	for (p = path; p && *p; p++)
		if (strchr("/: \t\n", *p))
			*p = '_';
	return path;
}

static int checkpoint_command_run(struct cli *cli, void *opaque, char **args, size_t n_args,
				  struct error *err)
{
	_cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
	struct checkpoint_options *o = opaque;
	struct job job = { .json = o->json };
	int r;

	(void)n_args;
	cli->json = o->json;
	if (o->verbose)
		cli->op.log_level = LOG_DEBUG;
	r = cli_need_root("taking a checkpoint", err);
	if (r == 0)
		r = runtime_find(&cli->op, args[0], &arena, &job.request.target, err);
	if (r < 0)
		return r;
	job.request.output = o->output ? o->output : default_output(&arena, &job.request.target);
	job.request.stop = o->stop;
	job.request.no_precopy = o->no_precopy;
	job.request.no_digest = o->no_digest;
	job.request.no_sync = o->no_sync;
	job.request.max_freeze_ns = o->max_freeze_ms * 1000000;
	job.request.command = cli->command_line;
	if (!job.request.output)
		return error_nomem(err);
	return cli_in_worker(cli, work, &job, err);
}

const struct cli_command checkpoint_command = {
	.row = {
		.name = "checkpoint",
		.args = "TARGET",
		.summary = "Take a checkpoint of a running container",
		.details = details,
		.options = options,
		.option_size = sizeof(struct checkpoint_options),
		.min_args = 1,
		.max_args = 1,
	},
	.run = checkpoint_command_run,
};
