// SPDX-License-Identifier: Apache-2.0
/*
 * image-dir: an image set that lies in a directory, as CRIU leaves it.
 *
 * Only regular files with an image's name are opened, links are not followed. Damaged images become
 * problems of the set. Never writes.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "image/image.h"

#define MAP_FROM (1UL << 20) /* bytes; smaller files are read, mappings are not free */

/* One file's bytes, mapped or read. */
struct image_map {
	struct image_map *next;
	void *map;
	size_t map_size;
	struct buf buf;
};

struct found {
	enum image_kind kind;
	uint64_t id;
};

struct found_list {
	struct found *items;
	size_t n, cap;
};

void image_map_free(struct image_map *map)
{
	struct image_map *next;

	for (; map; map = next) {
		next = map->next;
		if (map->map)
			munmap(map->map, map->map_size);
		buf_deinit(&map->buf);
		free(map);
	}
}

static void map_freep(struct image_map **map)
{
	image_map_free(*map);
}

static int found_add(struct found_list *list, enum image_kind kind, uint64_t id, struct error *err)
{
	if (list->n == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 64;
		struct found *items = reallocarray(list->items, cap, sizeof(*items));

		if (!items)
			return error_nomem(err);
		list->items = items;
		list->cap = cap;
	}
	list->items[list->n++] = (struct found){ .kind = kind, .id = id };
	return 0;
}

static int found_compare(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* Which images the directory has, sorted: the order of a directory's names means nothing. */
static int find_images(int dirfd, struct found_list *list, struct error *err)
{
	_cleanup_closedir_ DIR *dir = NULL;
	_cleanup_close_ int fd = -1;
	const struct dirent *de;
	int r;

	fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "opening the image directory");
	dir = fdopendir(fd);
	if (!dir)
		return error_errno(err, errno, "reading the image directory");
	(void)TAKE_FD(fd);
	for (errno = 0; (de = readdir(dir)); errno = 0) {
		enum image_kind kind;
		uint64_t id;

		if (!image_parse_name(de->d_name, &kind, &id))
			continue;
		r = found_add(list, kind, id, err);
		if (r < 0)
			return r;
	}
	if (errno)
		return error_errno(err, errno, "reading the image directory");
	if (list->n)
		qsort(list->items, list->n, sizeof(*list->items), found_compare);
	return 0;
}

/* Map or read one file. -EINVAL is a file that is none, and a problem of this image only. */
static int load_bytes(int dirfd, const char *name, struct image_map *map, struct bytes *ret,
		      struct error *err)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r;

	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, errno, "opening image %s", name);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERROR_INPUT, EINVAL, "image %s is not a regular file", name);
	if ((uint64_t)st.st_size < MAP_FROM) {
		r = fd_read_all(fd, name, MAP_FROM, &map->buf, err);
		*ret = (struct bytes){ .data = map->buf.data, .len = map->buf.len };
		return r;
	}
	map->map_size = st.st_size;
	map->map = mmap(NULL, map->map_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map->map == MAP_FAILED) {
		map->map = NULL;
		return error_errno(err, errno, "mapping image %s", name);
	}
	*ret = (struct bytes){ .data = map->map, .len = map->map_size };
	return 0;
}

static int load_image(struct image_set *set, int dirfd, const struct found *found,
		      struct image_map **maps, struct error *err)
{
	struct image_map *map = calloc(1, sizeof(*map));
	struct bytes data = { 0 };
	char name[64];
	int r;

	if (!map)
		return error_nomem(err);
	map->next = *maps;
	*maps = map;
	image_name(found->kind, found->id, name, sizeof(name));
	r = load_bytes(dirfd, name, map, &data, err);
	if (r == 0)
		r = image_parse(set, name, data, err);
	if (r >= 0 || r == -ENOMEM)
		return r;
	r = image_problem_add(set, name, err->text);
	error_clear(err);
	return r < 0 ? error_nomem(err) : 0;
}

int image_set_load_dir(struct image_set *set, int dirfd, struct image_map **ret_map,
		       struct error *err)
{
	_cleanup_(map_freep) struct image_map *maps = NULL;
	struct found_list list = { 0 };
	struct error local = ERROR_INIT;
	int r;

	if (!err)
		err = &local;
	r = find_images(dirfd, &list, err);
	for (size_t i = 0; r >= 0 && i < list.n; i++)
		r = load_image(set, dirfd, &list.items[i], &maps, err);
	free(list.items);
	if (r < 0)
		return r;
	*ret_map = TAKE_PTR(maps);
	return 0;
}
