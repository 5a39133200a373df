// SPDX-License-Identifier: Apache-2.0
/*
 * inspect: see inspect.h.
 */
#include "examine/inspect.h"

#include <string.h>

#include "examine/metadata.h"
#include "examine/mount.h"
#include "examine/namespace.h"
#include "examine/process.h"
#include "examine/socket.h"
#include "image/image-json.h"

/* A view that is not there is left out. */
static void add(json_object *o, const char *key, json_object *view)
{
	if (view)
		json_object_object_add(o, key, view);
}

json_object *inspect_summary_json(struct examine *x)
{
	json_object *o = json_object_new_object();

	add(o, "archive", metadata_archive_json(x));
	add(o, "container", metadata_container_json(x));
	return o;
}

static json_object *memory_json(json_object *processes)
{
	json_object *o = json_object_new_object(), *p;
	uint64_t size = 0, captured = 0, elsewhere = 0, mappings = 0;
	size_t i, n = json_object_array_length(processes);

	for (i = 0; i < n; i++) {
		p = json_object_array_get_idx(processes, i);
		size += (uint64_t)json_number(p, "memory/virtual_bytes");
		captured += (uint64_t)json_number(p, "memory/captured_bytes");
		elsewhere += (uint64_t)json_number(p, "memory/parent_bytes");
		mappings += (uint64_t)json_number(p, "memory/mappings");
	}
	json_put_number(o, "mappings", mappings);
	json_put_number(o, "virtual_bytes", size);
	json_put_number(o, "captured_bytes", captured);
	if (elsewhere)
		json_put_number(o, "parent_bytes", elsewhere);
	return o;
}

static void add_record(const struct examine *x, json_object *o)
{
	static const char *const keys[] = { "tool",   "node",	    "times",
					    "rootfs", "restorable", "not_restorable_because",
					    "gaps" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++)
		add(o, keys[i], metadata_record_json(x, keys[i]));
}

json_object *inspect_json(struct examine *x)
{
	json_object *o = inspect_summary_json(x), *processes;
	int r = 0;

	processes = process_list_json(x);
	if (!o || !processes) {
		json_object_put(o);
		json_object_put(processes);
		return NULL;
	}
	json_object_object_add(o, "inspect_json", json_object_new_int(INSPECT_VERSION));
	add_record(x, o);
	add(o, "stats", metadata_stats_json(x));
	add(o, "memory", memory_json(processes));
	add(o, "processes", processes);
	add(o, "sockets", socket_list_json(x));
	add(o, "mounts", mount_list_json(x));
	add(o, "namespaces", namespace_list_json(x));
	if (x->cut)
		r = examine_problem(x, x->path, NULL,
				    "the images repeat themselves beyond measure: not all is told");
	add(o, "problems", metadata_problems_json(x));
	if (r < 0) {
		json_object_put(o);
		return NULL;
	}
	return o;
}

json_object *inspect_raw_next(const struct examine *x, enum image_kind *kind,
			      const struct image **image)
{
	if (*image) {
		*image = (*image)->next;
		if (!*image)
			++*kind;
	}
	while (!*image && *kind < IMAGE_KIND_COUNT) {
		*image = x->set.images[*kind];
		if (!*image)
			++*kind;
	}
	return *image ? image_json(*image, INSPECT_EXTRA_MAX) : NULL;
}
