// SPDX-License-Identifier: Apache-2.0
/*
 * anon: making shared anonymous memory again. Never touches SysV memory or memfds: those are
 * objects of their own (object/).
 */
#include "restore/anon.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "memory/vma.h"

bool anon_is(const Img__Vma *vma)
{
	return (vma->status & VMA_STATUS_ANON_SHARED) && !(vma->status & VMA_STATUS_SYSVIPC);
}

int anon_collect(struct run *run, struct error *err)
{
	struct restore *rst = &run->rst;
	size_t i, j, k;

	for (i = 0; i < rst->n_tasks; i++) {
		const Img__Mm *mm = rst->tasks[i].mm;

		for (j = 0; mm && j < mm->n_vmas; j++) {
			const Img__Vma *vma = mm->vmas[j];
			uint64_t end = vma->pgoff + (vma->end - vma->start);

			if (!anon_is(vma))
				continue;
			if (vma->pgoff > INT64_MAX / 2)
				return error_set(err, ERROR_INPUT, EINVAL,
						 "shared memory %llu of task %d has no sane offset",
						 (unsigned long long)vma->shmid, rst->tasks[i].pid);
			for (k = 0; k < run->n_anons && run->anons[k].shmid != vma->shmid; k++)
				;
			if (k == run->n_anons) {
				struct anon *more = arena_grow(&rst->set->arena, run->anons, k,
							       sizeof(*run->anons));

				if (!more)
					return error_nomem(err);
				run->anons = more;
				run->anons[k].shmid = vma->shmid;
				run->n_anons++;
			}
			run->anons[k].size = MAX(run->anons[k].size, end);
		}
	}
	return 0;
}

int anon_fd(const struct run *run, uint64_t shmid)
{
	size_t i;

	for (i = 0; i < run->n_anons; i++)
		if (run->anons[i].shmid == shmid)
			return run->fd_anon + (int)i;
	return -1;
}

static int anon_fill(struct run *run, const struct anon *anon, unsigned char *memory,
		     struct error *err)
{
	const struct image *pagemap =
		image_find(run->rst.set, IMAGE_PAGEMAP_SHMEM, (uint32_t)anon->shmid);
	struct fill_plan plan;
	struct fill_run part;
	size_t from = 0;
	uint64_t at = 0;
	char name[48];
	int r;

	if (!pagemap)
		return 0; /* never written to */
	(void)snprintf(name, sizeof(name), "shared memory %llu", (unsigned long long)anon->shmid);
	r = fill_plan_make(pagemap, run->req->pages, run->req->n_pages, name, &run->rst.set->arena,
			   &plan, err);
	if (r < 0)
		return r;
	while (fill_plan_clip(&plan, 0, anon->size, &from, &at, &part)) {
		r = fd_pread_all(plan.file->fd, memory + part.vaddr, part.len, (off_t)part.offset,
				 err);
		if (r < 0)
			return error_while(err, r, "filling %s", name);
	}
	return 0;
}

static int anon_open(struct run *run, size_t i, struct error *err)
{
	const struct anon *anon = &run->anons[i];
	_cleanup_close_ int fd = -1;
	char path[96];
	void *memory;
	int r;

	memory = mmap(NULL, anon->size, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return error_errno(err, errno, "making shared memory %llu of %llu bytes",
				   (unsigned long long)anon->shmid, (unsigned long long)anon->size);
	r = anon_fill(run, anon, memory, err);
	if (r >= 0) {
		(void)snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx",
			       (unsigned long)memory,
			       (unsigned long)((uintptr_t)memory + PAGE_ALIGN_UP(anon->size)));
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			r = error_errno(err, errno, "opening shared memory by %s", path);
	}
	if (r >= 0 && dup3(fd, run->fd_anon + (int)i, O_CLOEXEC) < 0)
		r = error_errno(err, errno, "moving descriptor %d", fd);
	(void)munmap(memory, anon->size);
	return r;
}

int anon_open_all(struct run *run, struct error *err)
{
	size_t i;
	int r;

	for (i = 0; i < run->n_anons; i++) {
		r = anon_open(run, i, err);
		if (r < 0)
			return r;
	}
	return 0;
}
