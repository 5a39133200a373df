// SPDX-License-Identifier: Apache-2.0
/*
 * space: clear, map, fill, finish: a puppet's address space becomes the one of the image.
 *
 * Never reads or writes a page itself.
 */
#include "memory/space.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "kernel/proc-maps.h"
#include "memory/vdso.h"
#include "memory/vma.h"

#define SPACE_END     0x7ffffffff000ULL
#define SPACE_BATCH   2000	   /* calls of one run */
#define SPACE_IOVS    1000	   /* parts of one preadv() */
#define SPACE_IO_MAX  (1ULL << 30) /* bytes of one preadv() */
#define MADV_GUARD_ON 102	   /* MADV_GUARD_INSTALL */

/* The flags of mmap() that an image may carry; MAP_LOCKED is done by mlock() when pages are there.
 */
#define SPACE_MAP_FLAGS                                                                            \
	(MAP_SHARED | MAP_PRIVATE | 0x08 /* MAP_DROPPABLE */ | MAP_ANONYMOUS | MAP_GROWSDOWN |     \
	 MAP_NORESERVE | MAP_HUGETLB | (0x3fU << 26))

/* A row of calls that must all succeed, run when it is long enough. */
struct batch {
	struct space *space;
	struct script *s;
	const char *what;
	int first;
	size_t n;
	bool hold; /* a later call refers to the result of this one */
};

static int batch_run(struct batch *b, struct error *err)
{
	size_t i;
	int r;

	if (!b->n)
		return 0;
	r = script_run(b->s, err);
	if (r < 0)
		return error_while(err, r, "restoring memory of task %d", b->space->pid);
	for (i = 0; i < b->n; i++) {
		int64_t result = script_result(b->s, b->first + (int)i);

		if (result < 0 && result > -4096)
			return error_errno(err, (int)-result, "task %d: %s (call %zu of %zu)",
					   b->space->pid, b->what, i + 1, b->n);
	}
	script_reset(b->s);
	b->n = 0;
	return 0;
}

/* Account for a call that was just appended. */
static int batch_add(struct batch *b, int index, struct error *err)
{
	if (!b->n)
		b->first = index;
	b->n++;
	return b->n >= SPACE_BATCH && !b->hold ? batch_run(b, err) : 0;
}

#define batch_call(b, err, nr, ...) batch_add(b, script_need((b)->s, nr, ##__VA_ARGS__), err)

static uint64_t vma_len(const Img__Vma *vma)
{
	return vma->end - vma->start;
}

/* Everything goes but the scratch area, and the vdso, which is parked. */
static int space_clear(struct space *space, struct script *s, struct vdso_block *block,
		       struct error *err)
{
	struct batch b = { .space = space, .s = s, .what = "clearing the address space" };
	uint64_t low = MIN(space->area, space->park), low_end, high, high_end;
	size_t i;
	int r, first;

	if (block->end - block->start > SPACE_PARK_SIZE)
		return error_set(err, ERROR_SYSTEM, ENOTSUP,
				 "the vdso of this kernel is too large");

	first = script_need(s, SYS_getpid);
	b.first = first;
	b.n = 1;
	vdso_move(s, block, space->park);
	b.n += block->n_parts;

	low_end = low == space->area ? low + space->area_size : low + SPACE_PARK_SIZE;
	high = MAX(space->area, space->park);
	high_end = high == space->area ? high + space->area_size : high + SPACE_PARK_SIZE;
	(void)script_need(s, SYS_munmap, 0, low);
	if (high > low_end) {
		(void)script_need(s, SYS_munmap, low_end, high - low_end);
		b.n++;
	}
	(void)script_need(s, SYS_munmap, high_end, SPACE_END - high_end);
	b.n += 2;
	for (i = 0; i < block->n_parts; i++)
		op_debug(space->op, "task %d: vdso part %zu of %llu bytes", space->pid, i,
			 (unsigned long long)block->parts[i].len);
	r = batch_run(&b, err);
	return r;
}

static bool has_pages(const struct space *space, const Img__Vma *vma, size_t *from)
{
	struct fill_run run;
	uint64_t at = 0;

	return fill_plan_clip(&space->fill, vma->start, vma->end, from, &at, &run);
}

static bool is_private(const struct space_vma *how, const Img__Vma *vma)
{
	return how->kind != SPACE_SKIP && how->kind != SPACE_SYSV && (vma->flags & MAP_PRIVATE);
}

static int map_sysv(struct batch *b, const Img__Vma *vma, int id, struct error *err)
{
	int flags =
		(vma->prot & PROT_WRITE ? 0 : SHM_RDONLY) | (vma->prot & PROT_EXEC ? SHM_EXEC : 0);

	return batch_call(b, err, SYS_shmat, id, vma->start, flags | SHM_REMAP);
}

/* The mapping wants another access mode than the descriptor has (a memfd, say). */
static int map_reopened(struct batch *b, const Img__Vma *vma, const struct space_vma *how,
			uint32_t prot, uint32_t flags, struct error *err)
{
	char path[32];
	int index, r;

	(void)snprintf(path, sizeof(path), "self/fd/%d", how->fd);
	index = script_need(b->s, SYS_openat, b->space->proc_fd, script_string(b->s, path),
			    (vma->fdflags & O_ACCMODE) | O_CLOEXEC, 0);
	b->hold = true;
	r = batch_add(b, index, err);
	if (r >= 0)
		r = batch_call(b, err, SYS_mmap, vma->start, vma_len(vma), prot, flags,
			       SCRIPT_RESULT(index), vma->pgoff);
	b->hold = false;
	if (r >= 0)
		r = batch_call(b, err, SYS_close, SCRIPT_RESULT(index));
	return r;
}

static int space_map(struct space *space, struct script *s, struct error *err)
{
	struct batch b = { .space = space, .s = s, .what = "mapping memory" };
	const Img__Mm *mm = space->mm;
	size_t i, from = 0;
	int r;

	for (i = 0; i < mm->n_vmas; i++) {
		const struct space_vma *how = &space->vmas[i];
		const Img__Vma *vma = mm->vmas[i];
		uint32_t flags = (vma->flags & SPACE_MAP_FLAGS) | MAP_FIXED;
		uint32_t prot = vma->prot;

		if (how->kind == SPACE_SKIP)
			continue;
		if (how->kind == SPACE_SYSV) {
			r = map_sysv(&b, vma, how->sysv_id, err);
		} else {
			if (is_private(how, vma) && has_pages(space, vma, &from))
				prot |= PROT_WRITE;
			if (how->kind == SPACE_FILE)
				flags &= ~(uint32_t)MAP_ANONYMOUS;
			else
				flags |= MAP_ANONYMOUS;
			if (how->reopen)
				r = map_reopened(&b, vma, how, prot, flags, err);
			else
				r = batch_call(&b, err, SYS_mmap, vma->start, vma_len(vma), prot,
					       flags, how->kind == SPACE_FILE ? how->fd : -1,
					       how->kind == SPACE_FILE ? vma->pgoff : 0);
		}
		if (r < 0)
			return r;
	}
	return batch_run(&b, err);
}

/* Rows of a pages image that lie one behind the other are read by one preadv(). */
struct reader {
	struct batch batch;
	struct iovec iovs[SPACE_IOVS];
	size_t n;
	uint64_t offset, bytes;
	uint64_t expected; /* of all calls of the batch */
};

static int reader_flush(struct reader *rd, struct error *err)
{
	struct space *space = rd->batch.space;
	uint64_t iovs;
	int index, r;

	if (!rd->n)
		return 0;
	iovs = script_data(rd->batch.s, rd->iovs, rd->n * sizeof(*rd->iovs));
	if (!iovs)
		return error_nomem(err);
	index = script_need(rd->batch.s, SYS_preadv, space->fill.file->fd, iovs, rd->n, rd->offset,
			    0);
	r = script_run(rd->batch.s, err);
	if (r < 0)
		return error_while(err, r, "filling memory of task %d", space->pid);
	if (script_result(rd->batch.s, index) != (int64_t)rd->bytes) {
		int64_t got = script_result(rd->batch.s, index);

		return error_errno(err, got < 0 ? (int)-got : ENODATA,
				   "task %d: reading memory at %p from pages-%u.img at offset %llu",
				   space->pid, rd->iovs[0].iov_base, space->fill.file->id,
				   (unsigned long long)rd->offset);
	}
	script_reset(rd->batch.s);
	rd->n = 0;
	rd->bytes = 0;
	return op_cancelled(space->op, err);
}

static int reader_add(struct reader *rd, struct fill_run run, struct error *err)
{
	int r;

	while (run.len) {
		uint64_t len = MIN(run.len, SPACE_IO_MAX - rd->bytes);

		if (rd->n == SPACE_IOVS || !len ||
		    (rd->n && rd->offset + rd->bytes != run.offset)) {
			r = reader_flush(rd, err);
			if (r < 0)
				return r;
			continue;
		}
		if (!rd->n)
			rd->offset = run.offset;
		rd->iovs[rd->n].iov_base = (void *)(uintptr_t)run.vaddr;
		rd->iovs[rd->n++].iov_len = len;
		rd->bytes += len;
		run.vaddr += len;
		run.offset += len;
		run.len -= len;
	}
	return 0;
}

static int space_fill(struct space *space, struct script *s, struct error *err)
{
	_cleanup_free_ struct reader *rd = calloc(1, sizeof(*rd));
	const Img__Mm *mm = space->mm;
	uint64_t at = 0;
	size_t i, from = 0;
	int r;

	if (!rd)
		return error_nomem(err);
	rd->batch = (struct batch){ .space = space, .s = s, .what = "filling memory" };
	for (i = 0; i < mm->n_vmas; i++) {
		const Img__Vma *vma = mm->vmas[i];
		struct fill_run run;

		if (!is_private(&space->vmas[i], vma))
			continue;
		while (fill_plan_clip(&space->fill, vma->start, vma->end, &from, &at, &run)) {
			r = reader_add(rd, run, err);
			if (r < 0)
				return r;
		}
	}
	return reader_flush(rd, err);
}

/* Protection as it was, advice, locks, guards. */
static int space_dress(struct space *space, struct script *s, struct error *err)
{
	struct batch b = { .space = space, .s = s, .what = "setting memory attributes" };
	const Img__Mm *mm = space->mm;
	size_t i, from = 0;
	unsigned int bit;
	int r = 0;

	for (i = 0; i < mm->n_vmas && r >= 0; i++) {
		const struct space_vma *how = &space->vmas[i];
		const Img__Vma *vma = mm->vmas[i];

		if (vma->status & VMA_STATUS_GUARD) {
			r = batch_call(&b, err, SYS_madvise, vma->start, vma_len(vma),
				       MADV_GUARD_ON);
			continue;
		}
		if (how->kind == SPACE_SKIP)
			continue;
		if (is_private(how, vma) && !(vma->prot & PROT_WRITE) &&
		    has_pages(space, vma, &from))
			r = batch_call(&b, err, SYS_mprotect, vma->start, vma_len(vma), vma->prot);
		for (bit = 0; r >= 0 && vma->has_madv && bit < 64; bit++)
			if (vma->madv & (1ULL << bit))
				r = batch_call(&b, err, SYS_madvise, vma->start, vma_len(vma), bit);
		if (r >= 0 && vma->flags & MAP_LOCKED)
			r = batch_call(&b, err, SYS_mlock, vma->start, vma_len(vma));
	}
	return r < 0 ? r : batch_run(&b, err);
}

/* The block of the image is free room now: nothing else was mapped there. */
static bool target_free(const Img__Mm *mm, uint64_t start, uint64_t end)
{
	size_t i;

	for (i = 0; i < mm->n_vmas; i++) {
		const Img__Vma *vma = mm->vmas[i];

		if (!(vma->status & (VMA_STATUS_VDSO | VMA_STATUS_VVAR | VMA_STATUS_GUARD)) &&
		    vma->start < end && vma->end > start)
			return false;
	}
	return end <= SPACE_END;
}

static int space_vdso(struct space *space, struct script *s, struct vdso_block *now,
		      struct error *err)
{
	struct batch b = { .space = space, .s = s, .what = "moving the vdso" };
	struct vdso_block image;
	uint64_t to;

	vdso_of_mm(space->mm, &image);
	if (!now->n_parts)
		return 0;
	space->vdso_differs = image.vdso && (now->end - now->start != image.end - image.start ||
					     now->vdso - now->start != image.vdso - image.start);
	b.first = script_need(s, SYS_getpid);
	b.n = 1;
	if (!image.vdso) {
		(void)script_need(s, SYS_munmap, now->start, now->end - now->start);
		b.n++;
		return batch_run(&b, err);
	}
	to = vdso_target(now, &image);
	if (!target_free(space->mm, to, to + (now->end - now->start))) {
		space->vdso_differs = true;
		return 0; /* stays where it is parked: the auxv still names the old place */
	}
	vdso_move(s, now, to);
	b.n += now->n_parts;
	return batch_run(&b, err);
}

static int space_describe(struct space *space, struct script *s, struct error *err)
{
	const Img__Mm *mm = space->mm;
	struct prctl_mm_map map = {
		.start_code = mm->mm_start_code,
		.end_code = mm->mm_end_code,
		.start_data = mm->mm_start_data,
		.end_data = mm->mm_end_data,
		.start_brk = mm->mm_start_brk,
		.brk = mm->mm_brk,
		.start_stack = mm->mm_start_stack,
		.arg_start = mm->mm_arg_start,
		.arg_end = mm->mm_arg_end,
		.env_start = mm->mm_env_start,
		.env_end = mm->mm_env_end,
		.auxv_size = (uint32_t)(mm->n_mm_saved_auxv * sizeof(uint64_t)),
		.exe_fd = (uint32_t)space->exe_fd,
	};
	struct batch b = { .space = space,
			   .s = s,
			   .what = "describing the address space (PR_SET_MM_MAP)" };
	int r;

	if (map.auxv_size)
		map.auxv = (void *)(uintptr_t)script_data(s, mm->mm_saved_auxv, map.auxv_size);
	r = batch_call(&b, err, SYS_prctl, PR_SET_MM, PR_SET_MM_MAP,
		       script_data(s, &map, sizeof(map)), sizeof(map), 0);
	if (r < 0)
		return r;
	r = batch_run(&b, err);
	if (r == -EBUSY || r == -EINVAL || r == -EACCES)
		error_hint(err, r,
			   "the executable in the rootfs may not be the one of the checkpoint");
	return r;
}

static int run_steps(struct space *space, struct script *s, struct vdso_block *block,
		     struct error *err)
{
	int r;

	r = space_clear(space, s, block, err);
	if (r < 0)
		return r;
	r = space_map(space, s, err);
	if (r < 0)
		return r;
	r = space_fill(space, s, err);
	if (r < 0)
		return r;
	r = space_dress(space, s, err);
	if (r < 0)
		return r;
	r = space_vdso(space, s, block, err);
	if (r < 0)
		return r;
	return space_describe(space, s, err);
}

int space_build(struct space *space, struct error *err)
{
	_cleanup_script_ struct script *s = NULL;
	struct task *task = &space->puppet->task;
	struct arena arena = ARENA_INIT;
	struct vdso_block block;
	struct proc_maps maps;
	int r;

	r = proc_maps_read(task->proc_fd, PROC_MAPS_ONLY, &arena, &maps, err);
	if (r >= 0)
		vdso_of_maps(&maps, &block);
	arena_deinit(&arena);
	if (r < 0)
		return r;

	r = script_adopt(space->op, &task->threads[0], space->area, space->area_size, &s, err);
	if (r < 0)
		return error_while(err, r, "building the address space of task %d", space->pid);
	r = run_steps(space, s, &block, err);
	if (r < 0)
		return r;
	return script_end(&s, err);
}
