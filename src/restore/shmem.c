// SPDX-License-Identifier: Apache-2.0
/*
 * shmem: making shared anonymous memory again. Never touches SysV memory or memfds: those are
 * objects of their own (object/).
 */
#include "restore/shmem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "memory/vma.h"

bool shmem_is(const Img__Vma *vma)
{
	return (vma->status & VMA_STATUS_ANON_SHARED) && !(vma->status & VMA_STATUS_SYSVIPC);
}

int shmem_collect(struct run *run, struct error *err)
{
	struct restore *rst = &run->rst;
	size_t i, j, k;

	for (i = 0; i < rst->n_tasks; i++) {
		const Img__Mm *mm = rst->tasks[i].mm;

		for (j = 0; mm && j < mm->n_vmas; j++) {
			const Img__Vma *vma = mm->vmas[j];
			uint64_t end = vma->pgoff + (vma->end - vma->start);

			if (!shmem_is(vma))
				continue;
			if (vma->pgoff > INT64_MAX / 2)
				return error_set(err, ERROR_INPUT, EINVAL,
						 "shared memory %llu of task %d has no sane offset",
						 (unsigned long long)vma->shmid, rst->tasks[i].pid);
			for (k = 0; k < run->n_shmems && run->shmems[k].shmid != vma->shmid; k++)
				;
			if (k == run->n_shmems) {
				struct shmem *more = arena_grow(&rst->set->arena, run->shmems, k,
								sizeof(*run->shmems));

				if (!more)
					return error_nomem(err);
				run->shmems = more;
				run->shmems[k].shmid = vma->shmid;
				run->n_shmems++;
			}
			run->shmems[k].size = MAX(run->shmems[k].size, end);
		}
	}
	return 0;
}

int shmem_fd(const struct run *run, uint64_t shmid)
{
	size_t i;

	for (i = 0; i < run->n_shmems; i++)
		if (run->shmems[i].shmid == shmid)
			return run->fd_shmem + (int)i;
	return -1;
}

static int shmem_fill(struct run *run, const struct shmem *shmem, unsigned char *memory,
		      struct error *err)
{
	const struct image *pagemap =
		image_find(run->rst.set, IMAGE_PAGEMAP_SHMEM, (uint32_t)shmem->shmid);
	struct fill_plan plan;
	struct fill_run part;
	size_t from = 0;
	uint64_t at = 0;
	char name[48];
	int r;

	if (!pagemap)
		return 0; /* never written to */
	(void)snprintf(name, sizeof(name), "shared memory %llu", (unsigned long long)shmem->shmid);
	r = fill_plan_make(pagemap, run->req->pages, run->req->n_pages, name, &run->rst.set->arena,
			   &plan, err);
	if (r < 0)
		return r;
	while (fill_plan_clip(&plan, 0, shmem->size, &from, &at, &part)) {
		r = fd_pread_all(plan.file->fd, memory + part.vaddr, part.len, (off_t)part.offset,
				 err);
		if (r < 0)
			return error_while(err, r, "filling %s", name);
	}
	return 0;
}

static int shmem_open(struct run *run, size_t i, struct error *err)
{
	const struct shmem *shmem = &run->shmems[i];
	_cleanup_close_ int fd = -1;
	char path[96];
	void *memory;
	int r;

	memory = mmap(NULL, shmem->size, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return error_errno(err, errno, "making shared memory %llu of %llu bytes",
				   (unsigned long long)shmem->shmid,
				   (unsigned long long)shmem->size);
	r = shmem_fill(run, shmem, memory, err);
	if (r >= 0) {
		(void)snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx",
			       (unsigned long)memory,
			       (unsigned long)((uintptr_t)memory + PAGE_ALIGN_UP(shmem->size)));
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			r = error_errno(err, errno, "opening shared memory by %s", path);
	}
	if (r >= 0 && dup3(fd, run->fd_shmem + (int)i, O_CLOEXEC) < 0)
		r = error_errno(err, errno, "moving descriptor %d", fd);
	(void)munmap(memory, shmem->size);
	return r;
}

int shmem_open_all(struct run *run, struct error *err)
{
	size_t i;
	int r;

	for (i = 0; i < run->n_shmems; i++) {
		r = shmem_open(run, i, err);
		if (r < 0)
			return r;
	}
	return 0;
}
