// SPDX-License-Identifier: Apache-2.0
/*
 * state: see state.h.
 */
#include "runtime/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"

/* A directory that may hold state; '*' as a whole name stands for every entry. */
struct place {
	const char *runtime;
	const char *engine;
	const char *path; /* below the world's root; "$" in front: below the runtime directory */
	const char *file; /* in each container's directory */
};

static const struct place places[] = {
	{ "runc", "", "/run/runc", "state.json" },
	{ "runc", "", "/run/user/*/runc", "state.json" },
	{ "runc", "", "$/runc", "state.json" },
	{ "runc", "", "/var/run/runc", "state.json" },
	{ "runc", "docker", "/run/containerd/runc/moby", "state.json" },
	{ "runc", "docker", "/run/docker/runtime-runc/moby", "state.json" },
	{ "runc", "containerd", "/run/containerd/runc/*", "state.json" },
	{ "crun", "", "/run/crun", "status" },
	{ "crun", "", "/run/user/*/crun", "status" },
	{ "crun", "", "$/crun", "status" },
	{ "crun", "", "/var/run/crun", "status" },
};

struct reading {
	struct op *op;
	const struct runtime_world *world;
	struct arena *arena;
	struct container_states *ret;
	const struct place *place;
};

static const char *copy(struct arena *arena, const char *text)
{
	return *text ? arena_strdup(arena, text) : "";
}

/* runc keeps the bundle and all annotations as "key=value" in a list. */
static const char *label(json_object *labels, const char *key)
{
	size_t i, n, len = strlen(key);
	json_object *item;
	const char *text;

	if (!json_object_is_type(labels, json_type_array))
		return "";
	n = json_object_array_length(labels);
	for (i = 0; i < n; i++) {
		item = json_object_array_get_idx(labels, i);
		if (!json_object_is_type(item, json_type_string))
			continue;
		text = json_object_get_string(item);
		if (strncmp(text, key, len) == 0 && text[len] == '=')
			return text + len + 1;
	}
	return "";
}

static void parse_runc(json_object *json, struct arena *arena, struct container_state *state)
{
	state->pid = (pid_t)json_number(json, "init_process_pid");
	state->start_time = (uint64_t)json_number(json, "init_process_start");
	state->created = copy(arena, json_text(json, "created"));
	state->rootfs = copy(arena, json_text(json, "config/rootfs"));
	state->bundle = copy(arena, label(json_get(json, "config/labels"), "bundle"));
}

static void parse_crun(json_object *json, struct arena *arena, struct container_state *state)
{
	state->pid = (pid_t)json_number(json, "pid");
	state->start_time = (uint64_t)json_number(json, "process-start-time");
	state->created = copy(arena, json_text(json, "created"));
	state->rootfs = copy(arena, json_text(json, "rootfs"));
	state->bundle = copy(arena, json_text(json, "bundle"));
}

/* The same state seen through another path (/var/run is a link to /run) counts once. */
static bool known(const struct container_states *list, const struct container_state *state)
{
	size_t i;

	for (i = 0; i < list->n_states; i++)
		if (strcmp(list->states[i].id, state->id) == 0 &&
		    list->states[i].pid == state->pid &&
		    list->states[i].start_time == state->start_time)
			return true;
	return false;
}

static int add_container(struct reading *r, const char *dir, const char *id, struct error *err)
{
	struct container_states *list = r->ret;
	struct container_state state = { .runtime = r->place->runtime,
					 .engine = r->place->engine,
					 .name = "",
					 .image_name = "",
					 .image_ref = "" };
	_cleanup_json_ json_object *json = NULL;
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct error why = ERROR_INIT;
	void *grown;

	state.id = arena_strdup(r->arena, id);
	state.file = arena_printf(r->arena, "%s/%s/%s", dir, id, r->place->file);
	if (!state.id || !state.file)
		return error_nomem(err);
	if (fd_read_file(AT_FDCWD, state.file, STATE_FILE_MAX, &text, &why) < 0 ||
	    json_parse((struct bytes){ text.data, text.len }, state.file, &json, &why) < 0) {
		if (why.errnum != ENOENT && why.errnum != ENOTDIR)
			op_debug(r->op, "passing over a container: %s", why.text);
		return 0;
	}
	if (strcmp(r->place->runtime, "crun") == 0)
		parse_crun(json, r->arena, &state);
	else
		parse_runc(json, r->arena, &state);
	if (!state.created || !state.rootfs || !state.bundle)
		return error_nomem(err);
	if (known(list, &state) || list->n_states >= STATE_COUNT_MAX)
		return 0;
	grown = arena_grow(r->arena, list->states, list->n_states, sizeof(state));
	if (!grown)
		return error_nomem(err);
	list->states = grown;
	list->states[list->n_states++] = state;
	return 0;
}

/* Opens a directory; *ret NULL when it is not there or not ours to read. */
static void open_place(struct reading *r, const char *path, DIR **ret)
{
	*ret = opendir(path);
	if (!*ret && errno != ENOENT && errno != ENOTDIR)
		r->ret->denied = path;
}

static int read_place(struct reading *r, const char *path, struct error *err)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	int ret = 0;

	open_place(r, path, &dir);
	while (dir && ret == 0 && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			ret = add_container(r, path, entry->d_name, err);
	return ret;
}

/* The places that a '*' stands for. */
static int read_places(struct reading *r, const char *path, const char *star, struct error *err)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	char *above, *each;
	int ret = 0;

	above = arena_printf(r->arena, "%.*s", (int)(star - path), path);
	if (!above)
		return error_nomem(err);
	open_place(r, above, &dir);
	while (dir && ret == 0 && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		each = arena_printf(r->arena, "%s%s%s", above, entry->d_name, star + 1);
		ret = each ? read_place(r, each, err) : error_nomem(err);
	}
	return ret;
}

int container_states_read(struct op *op, const struct runtime_world *world, struct arena *arena,
			  struct container_states *ret, struct error *err)
{
	struct container_states list = { 0 };
	struct reading r = { op, world, arena, &list, NULL };
	const char *path, *star;
	size_t i;
	int error;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		r.place = &places[i];
		path = places[i].path;
		if (path[0] == '$' && !world->runtime_dir)
			continue;
		path = path[0] == '$' ? arena_printf(arena, "%s%s%s", world->root,
						     world->runtime_dir, path + 1)
				      : arena_printf(arena, "%s%s", world->root, path);
		if (!path)
			return error_nomem(err);
		star = strchr(path + strlen(world->root), '*');
		error = star ? read_places(&r, path, star, err) : read_place(&r, path, err);
		if (error < 0)
			return error;
	}
	*ret = list;
	return 0;
}
