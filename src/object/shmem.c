// SPDX-License-Identifier: Apache-2.0
/*
 * shmem: shared memory objects, both directions. Never reads page contents itself in the stop.
 */
#include "object/shmem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "memory/fill.h"

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

/* Through a mapping: huge pages cannot be written to with write(). */
static int fill_mapping(const struct fill_plan *plan, unsigned char *memory, uint64_t size,
			struct error *err)
{
	struct fill_run part;
	uint64_t at = 0;
	size_t from = 0;
	int r = 0;

	while (r == 0 && fill_plan_clip(plan, 0, size, &from, &at, &part))
		r = fd_pread_all(plan->file->fd, memory + part.vaddr, part.len, part.offset, err);
	return r;
}

int shmem_fill(struct restore *rst, uint64_t shmid, uint64_t size, int fd, struct error *err)
{
	const struct image *pagemap = image_find(rst->set, IMAGE_PAGEMAP_SHMEM, shmid);
	struct fill_plan plan = { 0 };
	char name[48];
	void *memory;
	int r;

	if (ftruncate(fd, size) < 0)
		return error_errno(err, errno, "cannot make shared memory of %llu bytes",
				   (unsigned long long)size);
	if (!pagemap || !size)
		return 0; /* never written to */
	(void)snprintf(name, sizeof(name), "shared memory %llu", (unsigned long long)shmid);
	r = fill_plan_make(pagemap, rst->pages, rst->n_pages, name, &rst->set->arena, &plan, err);
	if (r < 0)
		return r;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return error_errno(err, errno, "cannot map %s", name);
	r = fill_mapping(&plan, memory, size, err);
	(void)munmap(memory, size);
	return r < 0 ? error_while(err, r, "filling %s", name) : 0;
}
