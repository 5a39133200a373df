// SPDX-License-Identifier: Apache-2.0
/*
 * engine: see engine.h. Annotation keys are those that containerd, CRI-O and podman write.
 */
#include "runtime/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"

#define STORAGE "/var/lib/containers/storage/overlay-containers/"

/* A field takes the first value that is known. */
static int take(struct arena *arena, const char **field, const char *value, struct error *err)
{
	if ((*field && **field) || !value || !*value)
		return 0;
	*field = arena_strdup(arena, value);
	return *field ? 0 : error_nomem(err);
}

static const char *annotation(json_object *annotations, const char *key)
{
	json_object *value = json_member(annotations, key);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

/* CRI-O keeps a JSON text in an annotation. */
static int take_metadata(json_object *annotations, struct arena *arena,
			 struct container_state *state, struct error *err)
{
	const char *text = annotation(annotations, "io.kubernetes.cri-o.Metadata");
	_cleanup_json_ json_object *metadata = NULL;
	struct bytes bytes = { (const unsigned char *)text, strlen(text) };

	if (!bytes.len || json_parse(bytes, "metadata", &metadata, NULL) < 0)
		return 0;
	return take(arena, &state->name, json_text(metadata, "name"), err);
}

static const char *engine_of(json_object *annotations)
{
	const char *manager = annotation(annotations, "io.container.manager");

	if (strcmp(manager, "cri-o") == 0 || strcmp(manager, "libpod") == 0)
		return manager;
	if (*annotation(annotations, "io.kubernetes.cri.container-type"))
		return "containerd";
	return "";
}

static int read_annotations(json_object *annotations, struct arena *arena,
			    struct container_state *state, struct error *err)
{
	static const char *const names[] = {
		"io.kubernetes.cri.container-name",
		"io.kubernetes.container.name",
	};
	static const char *const images[] = {
		"io.kubernetes.cri.image-name",
		"io.kubernetes.cri-o.ImageName",
		"io.kubernetes.cri-o.Image",
	};
	size_t i;
	int r = 0;

	for (i = 0; i < ARRAY_SIZE(names) && r == 0; i++)
		r = take(arena, &state->name, annotation(annotations, names[i]), err);
	if (r == 0)
		r = take_metadata(annotations, arena, state, err);
	if (r == 0)
		r = take(arena, &state->name,
			 annotation(annotations, "io.kubernetes.cri-o.ContainerName"), err);
	for (i = 0; i < ARRAY_SIZE(images) && r == 0; i++)
		r = take(arena, &state->image_name, annotation(annotations, images[i]), err);
	if (r == 0)
		r = take(arena, &state->image_ref,
			 annotation(annotations, "io.kubernetes.cri-o.ImageRef"), err);
	if (r == 0)
		r = take(arena, &state->engine, engine_of(annotations), err);
	return r;
}

/* The entry of a container in containers/storage's list. */
static int storage_entry(json_object *entry, struct arena *arena, struct container_state *state,
			 struct error *err)
{
	const char *text = json_text(entry, "metadata");
	_cleanup_json_ json_object *metadata = NULL;
	struct bytes bytes = { (const unsigned char *)text, strlen(text) };
	json_object *names = json_member(entry, "names"), *first = NULL;
	int r = 0;

	if (bytes.len && json_parse(bytes, "metadata", &metadata, NULL) == 0) {
		r = take(arena, &state->image_name, json_text(metadata, "image-name"), err);
		if (r == 0)
			r = take(arena, &state->name, json_text(metadata, "name"), err);
	}
	if (json_object_is_type(names, json_type_array) && json_object_array_length(names))
		first = json_object_array_get_idx(names, 0);
	if (r == 0 && json_object_is_type(first, json_type_string))
		r = take(arena, &state->name, json_object_get_string(first), err);
	return r < 0 ? r : take(arena, &state->image_ref, json_text(entry, "image"), err);
}

static int read_json(const struct runtime_world *world, struct arena *arena, const char *path,
		     json_object **ret, struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	const char *full = arena_printf(arena, "%s%s", world->root, path);

	if (!full)
		return error_nomem(err);
	if (fd_read_file(AT_FDCWD, full, STATE_FILE_MAX, &text, NULL) < 0)
		return 0;
	if (json_parse((struct bytes){ text.data, text.len }, path, ret, NULL) < 0)
		*ret = NULL;
	return 0;
}

static int storage_records(const struct runtime_world *world, struct arena *arena, const char *path,
			   struct container_state *state, struct error *err)
{
	_cleanup_json_ json_object *list = NULL;
	json_object *entry;
	size_t i, n;
	int r;

	r = read_json(world, arena, path, &list, err);
	if (r < 0 || !json_object_is_type(list, json_type_array))
		return r;
	n = json_object_array_length(list);
	for (i = 0; i < n; i++) {
		entry = json_object_array_get_idx(list, i);
		if (strcmp(json_text(entry, "id"), state->id) == 0)
			return storage_entry(entry, arena, state, err);
	}
	return 0;
}

static int docker_record(const struct runtime_world *world, struct arena *arena,
			 struct container_state *state, struct error *err)
{
	const char *path = arena_printf(arena, "/var/lib/docker/containers/%s/config.v2.json",
					state->id),
		   *name;
	_cleanup_json_ json_object *config = NULL;
	int r;

	if (!path)
		return error_nomem(err);
	r = read_json(world, arena, path, &config, err);
	if (r < 0 || !config)
		return r;
	name = json_text(config, "Name");
	r = take(arena, &state->name, name[0] == '/' ? name + 1 : name, err);
	if (r == 0)
		r = take(arena, &state->image_name, json_text(config, "Config/Image"), err);
	if (r == 0)
		r = take(arena, &state->image_ref, json_text(config, "Image"), err);
	if (r == 0)
		r = take(arena, &state->engine, "docker", err);
	return r;
}

static int read_records(const struct runtime_world *world, struct arena *arena,
			struct container_state *state, struct error *err)
{
	int r;

	r = storage_records(world, arena, STORAGE "containers.json", state, err);
	if (r == 0)
		r = storage_records(world, arena, STORAGE "volatile-containers.json", state, err);
	if (r == 0 && (!state->engine[0] || strcmp(state->engine, "docker") == 0))
		r = docker_record(world, arena, state, err);
	return r;
}

int container_state_spec(const struct runtime_world *world, struct arena *arena,
			 struct container_state *state, struct error *err)
{
	_cleanup_json_ json_object *spec = NULL;
	_cleanup_buf_ struct buf text = BUF_INIT;
	const char *path;
	int r = 0;

	path = arena_printf(arena, "%s%s/config.json", world->root, state->bundle);
	if (!path)
		return error_nomem(err);
	if (state->bundle[0] && fd_read_file(AT_FDCWD, path, STATE_FILE_MAX, &text, NULL) == 0 &&
	    json_parse((struct bytes){ text.data, text.len }, path, &spec, NULL) == 0) {
		state->spec.data = arena_memdup(arena, text.data, text.len);
		if (!state->spec.data)
			return error_nomem(err);
		state->spec.len = text.len;
		r = read_annotations(json_member(spec, "annotations"), arena, state, err);
	}
	if (r == 0)
		r = read_records(world, arena, state, err);
	if (r == 0 && !state->name[0])
		state->name = state->id;
	return r;
}
