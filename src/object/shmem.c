// SPDX-License-Identifier: Apache-2.0
/*
 * shmem: shared memory objects, both directions. Never reads page contents itself in the stop.
 */
#include "object/shmem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "base/fd.h"

/* Flags of Pagemap entries. */
#define PE_PARENT  (1U << 0)
#define PE_PRESENT (1U << 2)

struct shmem_pool {
	struct shmem_object *objects;
	size_t n_objects;
};

void shmem_list_deinit(struct shmem_list *list)
{
	size_t i;

	for (i = 0; i < list->n_objects; i++)
		close(list->objects[i].fd);
	arena_deinit(&list->arena);
	*list = SHMEM_LIST_INIT;
}

int shmem_add(struct shmem_list *list, uint64_t shmid, uint64_t size, int fd, struct error *err)
{
	struct shmem_object *objects;
	char path[32];
	size_t i;
	int own;

	for (i = 0; i < list->n_objects; i++) {
		if (list->objects[i].shmid != shmid)
			continue;
		list->objects[i].size = MAX(list->objects[i].size, size);
		return 0;
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_RDONLY | O_NOATIME | O_CLOEXEC);
	if (own < 0)
		return error_errno(err, errno, "cannot open shared memory %llu for reading",
				   (unsigned long long)shmid);
	objects = arena_grow(&list->arena, list->objects, list->n_objects, sizeof(*objects));
	if (!objects) {
		close(own);
		return error_nomem(err);
	}
	list->objects = objects;
	objects[list->n_objects++] =
		(struct shmem_object){ .shmid = shmid, .size = size, .fd = own };
	return 0;
}

static bool pagemap_has_pages(const Img__Pagemap *map)
{
	if (map->has_flags)
		return map->flags & PE_PRESENT;
	return !map->in_parent;
}

/* One run of pages; the last page of a memfd may reach beyond its end. */
static int fill_run(int fd, uint64_t size, const Img__Pagemap *map, struct bytes pages,
		    uint64_t *at, struct error *err)
{
	uint64_t count = map->has_nr_pages ? map->nr_pages : map->compat_nr_pages;
	uint64_t len;

	if (count > UINT64_MAX / AMBER_PAGE_SIZE || count * AMBER_PAGE_SIZE > pages.len - *at ||
	    map->vaddr % AMBER_PAGE_SIZE)
		return error_set(err, ERROR_INPUT, EBADMSG,
				 "pages of shared memory are missing or misplaced");
	len = count * AMBER_PAGE_SIZE;
	*at += len;
	if (map->vaddr >= size)
		return 0;
	return fd_pwrite_all(fd, pages.data + *at - len, MIN(len, size - map->vaddr), map->vaddr,
			     err);
}

int shmem_fill(struct restore *rst, uint64_t shmid, uint64_t size, int fd, struct error *err)
{
	const struct image *maps = image_find(rst->set, IMAGE_PAGEMAP_SHMEM, shmid);
	const struct image *pages_image;
	const Img__PagemapHead *head = maps ? image_message(maps, 0) : NULL;
	struct bytes pages = { 0 };
	uint64_t at = 0;
	size_t i;
	int r;

	if (ftruncate(fd, size) < 0)
		return error_errno(err, errno, "cannot make shared memory of %llu bytes",
				   (unsigned long long)size);
	if (!head)
		return 0; /* all zeros, or never touched */
	if (head->base.descriptor != &img__pagemap_head__descriptor)
		return error_set(err, ERROR_INPUT, EBADMSG, "pagemap-shmem-%llu has no head",
				 (unsigned long long)shmid);
	pages_image = image_find(rst->set, IMAGE_PAGES, head->pages_id);
	if (pages_image && pages_image->n_entries)
		pages = pages_image->entries[0].extra;
	for (i = 1; i < maps->n_entries; i++) {
		const Img__Pagemap *map = image_message(maps, i);

		if (!map || !pagemap_has_pages(map))
			continue;
		r = fill_run(fd, size, map, pages, &at, err);
		if (r < 0)
			return error_while(err, r, "filling shared memory %llu",
					   (unsigned long long)shmid);
	}
	return 0;
}

int shmem_restore(struct restore *rst, uint64_t shmid, uint64_t size, int *ret_fd,
		  struct error *err)
{
	struct arena *arena = &rst->set->arena;
	_cleanup_close_ int fd = -1;
	struct shmem_object *objects;
	size_t i;
	int r;

	if (!rst->shmem) {
		rst->shmem = arena_new(arena, struct shmem_pool);
		if (!rst->shmem)
			return error_nomem(err);
	}
	for (i = 0; i < rst->shmem->n_objects; i++) {
		struct shmem_object *object = &rst->shmem->objects[i];

		if (object->shmid != shmid)
			continue;
		if (object->size < size) {
			if (ftruncate(object->fd, size) < 0)
				return error_errno(err, errno, "cannot enlarge shared memory %llu",
						   (unsigned long long)shmid);
			object->size = size;
		}
		*ret_fd = object->fd;
		return 0;
	}
	fd = memfd_create("", MFD_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "cannot make shared memory");
	r = shmem_fill(rst, shmid, size, fd, err);
	if (r < 0)
		return r;
	/* Out of the way of the descriptors that tasks will have. */
	if (fd < rst->fd_base) {
		int high = fcntl(fd, F_DUPFD_CLOEXEC, rst->fd_base);

		if (high < 0)
			return error_errno(err, errno, "cannot move shared memory to descriptor %d",
					   rst->fd_base);
		close(fd);
		fd = high;
	}
	objects = arena_grow(arena, rst->shmem->objects, rst->shmem->n_objects, sizeof(*objects));
	if (!objects)
		return error_nomem(err);
	rst->shmem->objects = objects;
	objects[rst->shmem->n_objects++] =
		(struct shmem_object){ .shmid = shmid, .size = size, .fd = fd };
	*ret_fd = TAKE_FD(fd);
	return 0;
}
