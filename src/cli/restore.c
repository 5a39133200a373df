// SPDX-License-Identifier: Apache-2.0
/*
 * restore: amber restore [--name N] [--rootfs DIR] [--detach] [--tcp-close] [--json] ARCHIVE
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "archive/reader.h"
#include "base/json.h"
#include "cli/cli.h"
#include "restore/pages-dir.h"
#include "restore/restore.h"

struct restore_options {
	const char *name, *rootfs;
	bool detach, tcp_close, volumes, json, verbose;
};

static const struct option_row options[] = {
	{ "name", 'n', OPTION_STRING, offsetof(struct restore_options, name), "NAME",
	  "Call the sandbox so; the default is made up" },
	{ "rootfs", 0, OPTION_STRING, offsetof(struct restore_options, rootfs), "DIR",
	  "Use this directory, read-only, as the base of the root file system", true },
	{ "detach", 'd', OPTION_FLAG, offsetof(struct restore_options, detach), NULL,
	  "Return when the copy runs, instead of waiting for its end" },
	{ "tcp-close", 0, OPTION_FLAG, offsetof(struct restore_options, tcp_close), NULL,
	  "Reset established TCP connections instead of bringing them back" },
	{ "volumes", 0, OPTION_FLAG, offsetof(struct restore_options, volumes), NULL,
	  "Show private copies of the host directories that were bound into the container" },
	{ "json", 0, OPTION_FLAG, offsetof(struct restore_options, json), NULL,
	  "Print the result as JSON" },
	{ "verbose", 'v', OPTION_FLAG, offsetof(struct restore_options, verbose), NULL,
	  "Log what is done to standard error" },
	OPTION_END,
};

static const char details[] =
	"Brings a checkpoint to life in a sandbox of its own: new pid, "
	"mount, network, UTS, IPC and cgroup\n"
	"namespaces, the same pids inside, the same addresses on interfaces "
	"that lead nowhere. The base of\n"
	"the root file system comes from the archive's record or from "
	"--rootfs and is never written to.\n"
	"One archive can be restored any number of times, side by side.\n"
	"\n"
	"ARCHIVE is an archive of amber, CRI-O, containerd or Podman, or a "
	"directory of CRIU images.\n"
	"Directories of the host that were bound into the container are empty in "
	"the copy:\narchives may be hostile, and do not choose what they see. "
	"--volumes shows private copies.\n"
	"Established TCP connections come back; those whose other end is "
	"outside find a silent peer.\n"
	"A detached sandbox ends when its root process is killed.";

/* Everything that a request borrows. */
struct source {
	struct arena arena;
	struct archive_reader archive;
	struct image_set set;
	struct image_map *map; /* of a directory */
	struct pages_file *dir_pages;
	json_object *record; /* amber.json */
	struct restore_request request;
};

static void source_deinit(struct source *src)
{
	if (src->dir_pages)
		pages_dir_close(src->dir_pages, src->request.n_pages);
	image_set_deinit(&src->set);
	image_map_free(src->map);
	archive_reader_deinit(&src->archive);
	json_object_put(src->record);
	arena_deinit(&src->arena);
}

static int no_problems(const struct source *src, const char *path, struct error *err)
{
	const struct image_problem *problem = src->set.problems;

	if (!problem)
		return 0;
	return error_hint(err,
			  error_set(err, ERROR_INPUT, EBADMSG, "%s is damaged: %s: %s", path,
				    problem->name, problem->text),
			  "'amber inspect' shows what can still be read");
}

static int open_directory(struct source *src, const char *path, struct error *err)
{
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (dir < 0)
		return error_errno(err, errno, "cannot open %s", path);
	r = image_set_load_dir(&src->set, dir, &src->map, err);
	if (r == 0)
		r = no_problems(src, path, err);
	if (r == 0)
		r = pages_dir_open(&src->set, dir, &src->dir_pages, &src->request.n_pages, err);
	src->request.pages = src->dir_pages;
	return r;
}

static int find_pages(struct source *src, struct error *err)
{
	struct pages_file *files = NULL, *grown;
	const struct tar_member *m;
	enum image_kind kind;
	uint64_t id;
	size_t i, n = 0;

	for (i = 0; i < src->archive.n_members; i++) {
		m = &src->archive.members[i];
		if (strncmp(m->name, "checkpoint/", 11) != 0 ||
		    !image_parse_name(m->name + 11, &kind, &id) || kind != IMAGE_PAGES)
			continue;
		grown = arena_grow(&src->arena, files, n, sizeof(*files));
		if (!grown)
			return error_nomem(err);
		files = grown;
		files[n++] = (struct pages_file){ .id = (uint32_t)id,
						  .fd = src->archive.fd,
						  .offset = m->offset,
						  .size = m->size };
	}
	src->request.pages = files;
	src->request.n_pages = n;
	return 0;
}

static struct bytes member(const struct source *src, const char *name)
{
	const struct tar_member *m = archive_member_find(&src->archive, name);

	return m ? archive_member_data(&src->archive, m) : (struct bytes){ 0 };
}

/* amber.json may say that there is no point in trying. */
static int check_record(struct source *src, const char *path, struct error *err)
{
	struct bytes text = member(src, "amber.json");
	json_object *restorable, *because, *first;
	struct json_tokener *tokener;

	if (!text.len || text.len > INT32_MAX)
		return 0;
	tokener = json_tokener_new();
	if (!tokener)
		return error_nomem(err);
	src->record = json_tokener_parse_ex(tokener, (const char *)text.data, (int)text.len);
	json_tokener_free(tokener);
	if (!src->record)
		return error_set(err, ERROR_INPUT, EBADMSG, "amber.json of %s cannot be parsed",
				 path);
	if (!json_object_object_get_ex(src->record, "restorable", &restorable) ||
	    json_object_get_boolean(restorable))
		return 0;
	json_object_object_get_ex(src->record, "not_restorable_because", &because);
	first = json_object_is_type(because, json_type_array)
			? json_object_array_get_idx(because, 0)
			: NULL;
	return error_hint(err,
			  error_set(err, ERROR_INPUT, ENOTSUP, "%s cannot be restored: %s", path,
				    first ? json_object_get_string(first) : "its record says so"),
			  "'amber inspect' shows all of it");
}

static int open_archive(struct source *src, const char *path, struct error *err)
{
	int r;

	r = archive_reader_open(&src->archive, path, err);
	if (r == 0)
		r = archive_load_images(&src->archive, &src->set, err);
	if (r == 0)
		r = no_problems(src, path, err);
	if (r == 0)
		r = check_record(src, path, err);
	if (r == 0)
		r = find_pages(src, err);
	if (r < 0)
		return r;
	if (!image_find(&src->set, IMAGE_PSTREE, 0))
		return error_hint(
			err, error_set(err, ERROR_INPUT, EINVAL, "%s holds no checkpoint", path),
			"is this a checkpoint archive?");
	src->request.diff = member(src, "rootfs-diff.tar");
	src->request.deleted = member(src, "deleted.files");
	return 0;
}

static int add_lower(struct source *src, const char ***lowers, const char *dir, struct error *err)
{
	const char **grown;
	struct stat st;

	if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
		return error_hint(err,
				  error_set(err, ERROR_NOT_FOUND, ENOENT,
					    "the base directory %s is not here", dir),
				  "give the container's base file system with --rootfs");
	grown = arena_grow(&src->arena, *lowers, src->request.n_lowers, sizeof(*grown));
	if (!grown)
		return error_nomem(err);
	*lowers = grown;
	(*lowers)[src->request.n_lowers] = arena_strdup(&src->arena, dir);
	if (!(*lowers)[src->request.n_lowers++])
		return error_nomem(err);
	src->request.lowers = *lowers;
	return 0;
}

/* The base: what was asked for, or the layers that the record names. */
static int find_base(struct source *src, const struct restore_options *o, const char *path,
		     struct error *err)
{
	json_object *rootfs = NULL, *list = NULL, *base = NULL;
	const char **lowers = NULL;
	size_t i;
	int r = 0;

	if (o->rootfs)
		return add_lower(src, &lowers, o->rootfs, err);
	if (!src->record || !json_object_object_get_ex(src->record, "rootfs", &rootfs)) {
		if (!image_find(&src->set, IMAGE_UTSNS, 0) && !src->archive.data.len)
			return 0; /* images of a process of this machine */
		return error_hint(err,
				  error_set(err, ERROR_USAGE, EINVAL,
					    "%s does not say where its root file system comes from",
					    path),
				  "give the container's base file system with --rootfs");
	}
	if (!json_object_is_type(rootfs, json_type_object))
		return 0; /* null: the host's own root */
	json_object_object_get_ex(rootfs, "lowers", &list);
	for (i = 0; r == 0 && list && i < json_object_array_length(list); i++)
		r = add_lower(src, &lowers,
			      json_object_get_string(json_object_array_get_idx(list, i)), err);
	if (r == 0 && !src->request.n_lowers && json_object_object_get_ex(rootfs, "path", &base))
		r = add_lower(src, &lowers, json_object_get_string(base), err);
	return r;
}

static json_object *namespaces_json(pid_t pid)
{
	static const char *const names[] = { "pid", "mnt",    "net",  "uts",
					     "ipc", "cgroup", "user", "time" };
	json_object *object = json_object_new_object();
	char path[64], link[64];
	ssize_t n;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, names[i]);
		n = readlink(path, link, sizeof(link) - 1);
		if (n < 0)
			continue;
		link[n] = '\0';
		json_object_object_add(object, names[i], json_object_new_string(link));
	}
	return object;
}

static void print_result(const struct restore_result *result, bool json)
{
	json_object *object;

	if (!json) {
		printf("%s: running, init is process %d\n", result->name, result->init);
		cli_print_gaps(&result->gaps);
		fflush(stdout);
		return;
	}
	object = json_object_new_object();
	json_put_text(object, "name", result->name);
	json_object_object_add(object, "pid", json_object_new_int(result->init));
	json_object_object_add(object, "root_pid", json_object_new_int(result->root));
	json_object_object_add(object, "namespaces", namespaces_json(result->init));
	json_object_object_add(object, "gaps", gap_list_json(&result->gaps));
	cli_print_json(object);
	fflush(stdout);
}

static int wait_for_end(struct cli *cli, const struct restore_result *result, struct error *err)
{
	int status = 0, r;

	r = restore_wait(&cli->op, result, &status, err);
	if (r < 0)
		return r;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static int restore_command_run(struct cli *cli, void *opaque, char **args, size_t n_args,
			       struct error *err)
{
	_cleanup_(restore_result_deinit) struct restore_result result = RESTORE_RESULT_INIT;
	_cleanup_(source_deinit) struct source src = { .archive = ARCHIVE_READER_INIT };
	struct restore_options *o = opaque;
	struct stat st;
	int r;

	(void)n_args;
	cli->json = o->json;
	if (o->verbose)
		cli->op.log_level = LOG_DEBUG;
	r = cli_need_root("restoring a checkpoint", err);
	if (r < 0)
		return r;
	if (stat(args[0], &st) == 0 && S_ISDIR(st.st_mode))
		r = open_directory(&src, args[0], err);
	else
		r = open_archive(&src, args[0], err);
	if (r == 0)
		r = find_base(&src, o, args[0], err);
	if (r < 0)
		return r;
	src.request.set = &src.set;
	src.request.name = o->name;
	src.request.archive = args[0];
	src.request.tcp_close = o->tcp_close;
	src.request.volumes = o->volumes;
	src.request.console_fd = o->detach ? -1 : STDERR_FILENO;
	if (!o->detach)
		block_signals();
	r = restore_run(&cli->op, &src.request, &result, err);
	if (r < 0)
		return r;
	print_result(&result, o->json);
	return o->detach ? restore_detach(&result, err) : wait_for_end(cli, &result, err);
}

const struct cli_command restore_command = {
	.row = {
		.name = "restore",
		.args = "ARCHIVE",
		.summary = "Bring a checkpoint to life in a sandbox of its own",
		.details = details,
		.options = options,
		.option_size = sizeof(struct restore_options),
		.min_args = 1,
		.max_args = 1,
		.file_args = true,
	},
	.run = restore_command_run,
};
