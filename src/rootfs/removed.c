// SPDX-License-Identifier: Apache-2.0
/*
 * removed: the list of deleted files, as Podman and CRI-O keep it beside the rootfs diff.
 */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "rootfs/rootfs.h"

static int append_all(json_object *list, const char *const *paths, size_t n)
{
	char text[TREE_PATH_MAX + 2];
	size_t i;

	for (i = 0; i < n; i++) {
		text[0] = '/';
		strncpy(text + 1, paths[i], TREE_PATH_MAX);
		text[TREE_PATH_MAX + 1] = '\0';
		if (json_object_array_add(list, json_object_new_string(text)) < 0)
			return -ENOMEM;
	}
	return 0;
}

int rootfs_removed_json(const struct rootfs_removed *removed, struct buf *buf, struct error *err)
{
	json_object *list = json_object_new_array();
	const char *text;
	size_t len = 0;
	int r = 0;

	if (!list || append_all(list, removed->deleted, removed->n_deleted) < 0)
		r = error_nomem(err);
	if (r == 0) {
		text = json_object_to_json_string_length(
			list, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
		r = text ? buf_append(buf, text, len, err) : error_nomem(err);
	}
	json_object_put(list);
	return r;
}

static int parse_one(struct rootfs_removed *ret, json_object *item, struct error *err)
{
	const char *path = json_object_get_string(item);

	while (path && (*path == '/' || (path[0] == '.' && path[1] == '/')))
		path++;
	if (!path || !tree_path_ok(path))
		return 0;
	ret->deleted = arena_grow(&ret->arena, ret->deleted, ret->n_deleted, sizeof(*ret->deleted));
	if (!ret->deleted)
		return error_nomem(err);
	ret->deleted[ret->n_deleted] = arena_strdup(&ret->arena, path);
	if (!ret->deleted[ret->n_deleted])
		return error_nomem(err);
	ret->n_deleted++;
	return 0;
}

int rootfs_removed_parse(struct bytes json, struct rootfs_removed *ret, struct error *err)
{
	struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
	json_object *list = NULL, *item;
	size_t i, n;
	int r = 0;

	if (!tokener)
		return error_nomem(err);
	if (json.len <= INT32_MAX)
		list = json_tokener_parse_ex(tokener, (const char *)json.data, (int)json.len);
	json_tokener_free(tokener);
	n = list && json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	if (!list || !json_object_is_type(list, json_type_array) || n > ROOTFS_REMOVED_MAX)
		r = error_set(err, ERROR_INPUT, EBADMSG, "the list of deleted files is damaged");
	for (i = 0; r == 0 && i < n; i++) {
		item = json_object_array_get_idx(list, i);
		if (json_object_is_type(item, json_type_string))
			r = parse_one(ret, item, err);
	}
	json_object_put(list);
	return r;
}
