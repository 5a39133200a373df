// SPDX-License-Identifier: Apache-2.0
/*
 * tree-links: see tree-links.h.
 */
#include "object/tree-links.h"

#include <stdlib.h>

static size_t link_slot(const struct tree_links *links, dev_t dev, ino_t ino)
{
	size_t i = (ino * 0x9e3779b97f4a7c15ULL ^ dev) & (links->n_slots - 1);

	while (links->slots[i].path && (links->slots[i].dev != dev || links->slots[i].ino != ino))
		i = (i + 1) & (links->n_slots - 1);
	return i;
}

static int links_grow(struct tree_links *links, struct error *err)
{
	struct tree_link *old = links->slots;
	size_t i, n = links->n_slots;

	links->n_slots = n ? n * 2 : 64;
	links->slots = calloc(links->n_slots, sizeof(*old));
	if (!links->slots) {
		links->slots = old;
		links->n_slots = n;
		return error_nomem(err);
	}
	for (i = 0; i < n; i++)
		if (old[i].path)
			links->slots[link_slot(links, old[i].dev, old[i].ino)] = old[i];
	free(old);
	return 0;
}

int tree_links_find(struct tree_links *links, const struct stat *st, const char *prefix,
		    const char *path, const char **ret_path, struct error *err)
{
	struct tree_link *link;
	int r;

	*ret_path = NULL;
	if (links->n_links * 2 >= links->n_slots) {
		r = links_grow(links, err);
		if (r < 0)
			return r;
	}
	link = &links->slots[link_slot(links, st->st_dev, st->st_ino)];
	if (link->path) {
		*ret_path = link->path;
		return 0;
	}
	link->path = arena_printf(&links->names, "%s%s", prefix, path);
	if (!link->path)
		return error_nomem(err);
	link->dev = st->st_dev;
	link->ino = st->st_ino;
	links->n_links++;
	return 0;
}

void tree_links_deinit(struct tree_links *links)
{
	arena_deinit(&links->names);
	free(links->slots);
}
