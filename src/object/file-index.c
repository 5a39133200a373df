// SPDX-License-Identifier: Apache-2.0
/*
 * file-index: open file descriptions by what is known of them, then by kcmp.
 *
 * A hash table leads to the descriptions with equal device, inode, position and flags; those stand
 * in a search tree in the order that kcmp gives, so that ten thousand timers cost ten thousand
 * times a dozen comparisons. Never compares what /proc has already told apart.
 */
#include "object/file-index.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel/kcmp.h"
#include "kernel/proc-fdinfo.h"
#include "kernel/proc.h"

#define INDEX_TABLE_FIRST 256

/* One description. less and greater are the tree of those with an equal key. */
struct file_node {
	uint64_t dev, ino, pos;
	uint64_t mark; /* of what fdinfo tells */
	uint32_t flags;
	int32_t mnt_id;
	const char *name; /* of a path entry, NULL for a description */
	pid_t pid;	  /* whose descriptor kcmp can look at */
	int fd;
	uint32_t id;
	struct file_node *less, *greater;
	struct file_node *next; /* another key in the same bucket */
};

struct file_ghost {
	uint64_t dev, ino;
	uint32_t id;
};

struct file_map {
	void *addr;
	size_t len;
};

struct file_index {
	struct arena arena;
	struct file_node **table;
	size_t table_size; /* a power of two */
	size_t n_keys;
	Img__FileEntry **entries; /* by id; NULL where there is none */
	size_t n_entries;
	struct file_ghost *ghosts;
	size_t n_ghosts;
	struct file_map *maps;
	size_t n_maps;
	int *held; /* descriptors of ours that nodes refer to */
	size_t n_held;
	const char *root; /* link text of the root task's root, without a final slash */
	const struct file_slot *slots; /* borrowed */
	size_t n_slots;
};

struct file_index *file_index_new(void)
{
	struct file_index *index = calloc(1, sizeof(*index));

	if (!index)
		return NULL;
	index->table = calloc(INDEX_TABLE_FIRST, sizeof(struct file_node *));
	if (!index->table) {
		free(index);
		return NULL;
	}
	index->table_size = INDEX_TABLE_FIRST;
	return index;
}

void file_index_free(struct file_index *index)
{
	size_t i;

	if (!index)
		return;
	for (i = 0; i < index->n_maps; i++)
		munmap(index->maps[i].addr, index->maps[i].len);
	for (i = 0; i < index->n_held; i++)
		close(index->held[i]);
	arena_deinit(&index->arena);
	free(index->table);
	free(index->entries);
	free(index);
}

static size_t node_hash(const struct file_node *node)
{
	uint64_t h = 0xcbf29ce484222325ULL;
	const uint64_t words[] = { node->dev, node->ino, node->pos, node->flags, node->mark };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		h ^= words[i];
		h *= 0x100000001b3ULL;
		h ^= h >> 29;
	}
	return h;
}

static bool node_same_key(const struct file_node *a, const struct file_node *b)
{
	if (a->dev != b->dev || a->ino != b->ino || a->pos != b->pos || a->flags != b->flags ||
	    a->mark != b->mark)
		return false;
	if (!a->name || !b->name)
		return !a->name && !b->name;
	return a->mnt_id == b->mnt_id && strcmp(a->name, b->name) == 0;
}

static int index_grow(struct file_index *index, struct error *err)
{
	size_t i, size = index->table_size * 2;
	struct file_node **table;

	table = calloc(size, sizeof(struct file_node *));
	if (!table)
		return error_nomem(err);
	for (i = 0; i < index->table_size; i++) {
		struct file_node *node, *next;

		for (node = index->table[i]; node; node = next) {
			struct file_node **bucket = &table[node_hash(node) & (size - 1)];

			next = node->next;
			node->next = *bucket;
			*bucket = node;
		}
	}
	free(index->table);
	index->table = table;
	index->table_size = size;
	return 0;
}

/* A node in the index's own memory, with a descriptor that stays comparable. */
static struct file_node *node_keep(struct file_index *index, const struct file_node *key,
				   uint32_t id)
{
	struct file_node *node = arena_memdup(&index->arena, key, sizeof(*key));

	if (!node)
		return NULL;
	node->id = id;
	node->less = node->greater = node->next = NULL;
	if (key->name) {
		node->name = arena_strdup(&index->arena, key->name);
		if (!node->name)
			return NULL;
	} else if (key->pid == getpid()) {
		int *held = arena_grow(&index->arena, index->held, index->n_held, sizeof(int));

		if (!held)
			return NULL;
		index->held = held;
		node->fd = fcntl(key->fd, F_DUPFD_CLOEXEC, 0);
		if (node->fd < 0)
			return NULL;
		held[index->n_held++] = node->fd;
	}
	return node;
}

/* Down the tree of one key: *ret is the same description, or *ret_link where it would hang. */
static int node_find(struct file_node *root, const struct file_node *key, struct file_node **ret,
		     struct file_node ***ret_link, struct error *err)
{
	struct file_node *node = root, **link;
	int r, order;

	while (node) {
		if (key->name)
			break; /* the key says all */
		r = kcmp_file(key->pid, key->fd, node->pid, node->fd, &order, err);
		if (r < 0)
			return r;
		order = kcmp_order(order);
		if (order == 0)
			break;
		link = order < 0 ? &node->less : &node->greater;
		if (!*link)
			*ret_link = link;
		node = *link;
	}
	*ret = node;
	return 0;
}

static int index_find(struct capture *cap, const struct file_node *key, uint32_t *ret_id,
		      struct error *err)
{
	struct file_index *index = cap->files;
	struct file_node *node, *found = NULL, **link = NULL, **bucket;
	int r;

	bucket = &index->table[node_hash(key) & (index->table_size - 1)];
	for (node = *bucket; node && !node_same_key(node, key); node = node->next)
		;
	if (node) {
		r = node_find(node, key, &found, &link, err);
		if (r < 0)
			return r;
	}
	if (found) {
		*ret_id = found->id;
		return 1;
	}

	found = node_keep(index, key, capture_next_id(cap));
	if (!found)
		return error_nomem(err);
	if (link) {
		*link = found;
	} else {
		found->next = *bucket;
		*bucket = found;
		if (++index->n_keys > index->table_size) {
			r = index_grow(index, err);
			if (r < 0)
				return r;
		}
	}
	*ret_id = found->id;
	return 0;
}

static uint64_t mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0x100000001b3ULL;
	return h ^ h >> 29;
}

/*
 * Files of the kernel's own share one inode and stand at 0. Two descriptors of one description show
 * the same there, so what tells two of them apart saves comparisons: what does not change of itself
 * while all tasks stand.
 */
static uint64_t info_mark(const struct proc_fdinfo *info)
{
	uint64_t h = 0;
	size_t i;

	if (!info)
		return 0;
	switch (info->kind) {
	case PROC_FDINFO_EVENTFD:
		return mix(1, (uint64_t)info->eventfd.id);
	case PROC_FDINFO_SIGNALFD:
		return mix(2, info->sigmask);
	case PROC_FDINFO_EPOLL:
		for (i = 0; i < info->n_tfds; i++)
			h = mix(mix(h, info->tfds[i].data), (uint64_t)info->tfds[i].tfd);
		return h;
	case PROC_FDINFO_INOTIFY:
		for (i = 0; i < info->n_watches; i++)
			h = mix(mix(h, info->watches[i].ino), (uint64_t)info->watches[i].wd);
		return h;
	default:
		return 0;
	}
}

static struct file_node node_of(const struct fd_facts *facts)
{
	return (struct file_node){
		.dev = facts->st.st_dev,
		.ino = facts->st.st_ino,
		.pos = facts->pos,
		.mark = info_mark(facts->info),
		.flags = facts->flags & ~O_CLOEXEC,
		.mnt_id = facts->mnt_id,
		.pid = facts->task ? facts->task->pid : getpid(),
		.fd = facts->task ? facts->fd : facts->dup,
	};
}

int file_index_find(struct capture *cap, const struct fd_facts *facts, uint32_t *ret_id,
		    struct error *err)
{
	struct file_node key = node_of(facts);

	return index_find(cap, &key, ret_id, err);
}

int file_index_find_path(struct capture *cap, const struct fd_facts *facts, uint32_t *ret_id,
			 struct error *err)
{
	struct file_node key = node_of(facts);

	key.name = facts->link;
	return index_find(cap, &key, ret_id, err);
}

int file_index_add(struct capture *cap, Img__FileEntry *entry, struct error *err)
{
	struct file_index *index = cap->files;

	if (entry->id >= index->n_entries) {
		size_t n = MAX((size_t)entry->id + 1, index->n_entries * 2 + 64);
		Img__FileEntry **entries = realloc(index->entries, n * sizeof(*entries));

		if (!entries)
			return error_nomem(err);
		memset(entries + index->n_entries, 0, (n - index->n_entries) * sizeof(*entries));
		index->entries = entries;
		index->n_entries = n;
	}
	index->entries[entry->id] = entry;
	return image_add(cap->set, IMAGE_FILES, 0, &entry->base, (struct bytes){ 0 }, err);
}

Img__FileEntry *file_captured(struct capture *cap, uint32_t id)
{
	return id < cap->files->n_entries ? cap->files->entries[id] : NULL;
}

uint32_t file_index_ghost(const struct file_index *index, uint64_t dev, uint64_t ino)
{
	size_t i;

	for (i = 0; i < index->n_ghosts; i++)
		if (index->ghosts[i].dev == dev && index->ghosts[i].ino == ino)
			return index->ghosts[i].id;
	return 0;
}

int file_index_ghost_add(struct file_index *index, uint64_t dev, uint64_t ino, uint32_t id,
			 struct error *err)
{
	struct file_ghost *ghosts;

	ghosts = arena_grow(&index->arena, index->ghosts, index->n_ghosts, sizeof(*ghosts));
	if (!ghosts)
		return error_nomem(err);
	ghosts[index->n_ghosts++] = (struct file_ghost){ .dev = dev, .ino = ino, .id = id };
	index->ghosts = ghosts;
	return 0;
}

int file_index_keep(struct file_index *index, void *map, size_t len, struct error *err)
{
	struct file_map *maps =
		arena_grow(&index->arena, index->maps, index->n_maps, sizeof(*maps));

	if (!maps)
		return error_nomem(err);
	maps[index->n_maps++] = (struct file_map){ .addr = map, .len = len };
	index->maps = maps;
	return 0;
}

const struct file_slot *file_index_slots(const struct file_index *index, size_t *ret_n)
{
	*ret_n = index->n_slots;
	return index->slots;
}

void file_index_set_slots(struct file_index *index, const struct file_slot *slots, size_t n)
{
	index->slots = slots;
	index->n_slots = n;
}

int file_index_path(struct capture *cap, const char *link, const char **ret, struct error *err)
{
	struct file_index *index = cap->files;
	size_t len;
	int r;

	if (!index->root) {
		const char *root;

		r = proc_readlink(cap->root->proc_fd, "root", &index->arena, &root, err);
		if (r < 0)
			return r;
		index->root = strcmp(root, "/") == 0 ? "" : root;
	}
	len = strlen(index->root);
	*ret = NULL;
	if (strncmp(link, index->root, len) != 0 || (link[len] != '/' && link[len] != '\0'))
		return 0;
	*ret = link[len] ? link + len : "/";
	return 0;
}
