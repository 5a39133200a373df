// SPDX-License-Identifier: Apache-2.0
/*
 * tree-table: see tree-table.h.
 */
#include "object/tree-table.h"

#include <stdlib.h>
#include <string.h>

static size_t slot_of(const struct tree_table *table, const char *path)
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	const char *p;
	size_t i;

	for (p = path; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 0x100000001b3ULL;
	i = (hash ^ hash >> 32) & (table->n_slots - 1);
	while (table->slots[i] && strcmp(table->slots[i]->path, path) != 0)
		i = (i + 1) & (table->n_slots - 1);
	return i;
}

static bool table_grow(struct tree_table *table)
{
	struct tree_entry **old = table->slots;
	size_t i, n = table->n_slots;

	table->slots = calloc(n ? n * 2 : 256, sizeof(*old));
	if (!table->slots) {
		table->slots = old;
		return false;
	}
	table->n_slots = n ? n * 2 : 256;
	for (i = 0; i < n; i++)
		if (old[i])
			table->slots[slot_of(table, old[i]->path)] = old[i];
	free(old);
	return true;
}

struct tree_entry *tree_table_find(const struct tree_table *table, const char *path)
{
	return table->n_slots ? table->slots[slot_of(table, path)] : NULL;
}

struct tree_entry *tree_table_get(struct tree_table *table, const char *path)
{
	struct tree_entry *entry;
	size_t i;

	if (table->n_entries * 2 >= table->n_slots && !table_grow(table))
		return NULL;
	i = slot_of(table, path);
	if (table->slots[i])
		return table->slots[i];
	entry = arena_new(&table->arena, struct tree_entry);
	if (!entry)
		return NULL;
	entry->path = arena_strdup(&table->arena, path);
	if (!entry->path)
		return NULL;
	table->slots[i] = entry;
	table->n_entries++;
	return entry;
}

struct tree_entry *tree_table_next(const struct tree_table *table, size_t *at)
{
	while (*at < table->n_slots) {
		struct tree_entry *entry = table->slots[(*at)++];

		if (entry)
			return entry;
	}
	return NULL;
}

void tree_table_deinit(struct tree_table *table)
{
	arena_deinit(&table->arena);
	free(table->slots);
	*table = (struct tree_table){ 0 };
}

int tree_path_compare(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	if (*a == '/' || *b == '/')
		return *a == '/' ? (*b ? -1 : 1) : (*a ? 1 : -1);
	return (int)(unsigned char)*a - (int)(unsigned char)*b;
}

bool tree_path_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (!len)
		return *path;
	return !strncmp(path, dir, len) && path[len] == '/';
}
