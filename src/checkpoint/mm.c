// SPDX-License-Identifier: Apache-2.0
/*
 * mm: the memory map of one stopped task. Its pages are planned in pages.c.
 *
 * A mapping that cannot be named becomes a gap; contents are not touched here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "checkpoint/run.h"
#include "kernel/proc.h"
#include "memory/vma.h"
#include "object/reg-file.h"
#include "object/shmem.h"

#define AUXV_MAX 4096

/* The file behind the mapping before: neighbours are mostly segments of one file. */
struct last_file {
	uint64_t ino;
	uint32_t major, minor, flags, id;
	const char *path;
};

static int vma_gap(struct checkpoint *c, struct task *task, const struct proc_vma *src,
		   const char *reason, struct error *err)
{
	char subject[512];

	snprintf(subject, sizeof(subject), "%llx-%llx %s", (unsigned long long)src->start,
		 (unsigned long long)src->end,
		 src->path   ? src->path
		 : src->name ? src->name
			     : "");
	if (gap_add(c->gaps, GAP_DEGRADED, "vma", task->ns_pid, subject, "%s", reason) < 0)
		return error_nomem(err);
	return CAPTURE_GAP;
}

/* The name of a mapping's file below /proc/<pid>. */
static void map_link(const struct proc_vma *src, char *ret, size_t size)
{
	snprintf(ret, size, "map_files/%llx-%llx", (unsigned long long)src->start,
		 (unsigned long long)src->end);
}

/* How the file was opened when it was mapped: the mode bits of the map_files link tell. */
static uint32_t open_flags(struct task *task, const char *link)
{
	struct stat st;

	if (fstatat(task->proc_fd, link, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return O_RDONLY;
	switch (st.st_mode & 0600) {
	case 0600:
		return O_RDWR;
	case 0200:
		return O_WRONLY;
	default:
		return O_RDONLY;
	}
}

static bool same_file(const struct last_file *last, const struct proc_vma *src, uint32_t flags)
{
	return last->path && last->ino == src->ino && last->major == src->major &&
	       last->minor == src->minor && last->flags == flags &&
	       strcmp(last->path, src->path) == 0;
}

static int name_file(struct checkpoint *c, struct task *task, const struct proc_vma *src,
		     Img__Vma *vma, struct last_file *last, struct error *err)
{
	uint32_t flags, id = 0;
	char link[64];
	int r;

	map_link(src, link, sizeof(link));
	flags = open_flags(task, link);
	vma->has_fdflags = true;
	vma->fdflags = flags;
	if (same_file(last, src, flags)) {
		vma->shmid = last->id;
		return 0;
	}
	r = reg_file_capture(&c->cap, task, task->proc_fd, link, flags, &id, err);
	if (r != 0)
		return r;
	vma->shmid = id;
	*last = (struct last_file){ src->ino, src->major, src->minor, flags, id, src->path };
	return 0;
}

/* Anonymous shared memory is an object of its own, whoever maps it. */
static int add_shmem(struct checkpoint *c, struct task *task, const struct proc_vma *src,
		     struct error *err)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	char link[64];

	map_link(src, link, sizeof(link));
	fd = openat(task->proc_fd, link, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return vma_gap(c, task, src, "its shared memory cannot be opened", err);
	return shmem_add(c->cap.shmem, src->ino, (uint64_t)st.st_size, fd, err);
}

static int back_vma(struct checkpoint *c, struct task *task, const struct proc_vma *src,
		    enum vma_backing backing, Img__Vma *vma, struct last_file *last,
		    struct error *err)
{
	int r;

	switch (backing) {
	case VMA_NONE:
		return 0;
	case VMA_FILE:
		return name_file(c, task, src, vma, last, err);
	case VMA_MEMFD:
		r = checkpoint_add_window(c, task, src, err);
		return r < 0 ? r : name_file(c, task, src, vma, last, err);
	case VMA_SHMEM:
		r = checkpoint_add_window(c, task, src, err);
		return r < 0 ? r : add_shmem(c, task, src, err);
	case VMA_SYSV:
		return 0; /* the ipc namespace has its contents */
	case VMA_UNKNOWN:
		break;
	}
	return vma_gap(c, task, src, "a mapping of this kind cannot be captured", err);
}

static int read_auxv(struct checkpoint *c, struct task *task, Img__Mm *mm, struct error *err)
{
	_cleanup_buf_ struct buf auxv = BUF_INIT;
	int r = proc_read(task->proc_fd, "auxv", AUXV_MAX, &auxv, err);

	if (r < 0)
		return r;
	mm->mm_saved_auxv = arena_memdup(&c->set.arena, auxv.data, auxv.len);
	if (!mm->mm_saved_auxv)
		return error_nomem(err);
	mm->n_mm_saved_auxv = auxv.len / sizeof(uint64_t);
	/* Without the closing AT_NULL, which the kernel adds itself: stock CRIU takes 44 words, and
	 * a current kernel's vector is just as long as that without it. */
	while (mm->n_mm_saved_auxv >= 2 && !mm->mm_saved_auxv[mm->n_mm_saved_auxv - 2])
		mm->n_mm_saved_auxv -= 2;
	return 0;
}

static int read_layout(struct checkpoint *c, struct task *task, Img__Mm *mm, struct error *err)
{
	struct proc_stat stat;
	int r;

	r = proc_stat_read(task->proc_fd, &stat, err);
	if (r < 0)
		return r;
	mm->mm_start_code = stat.start_code;
	mm->mm_end_code = stat.end_code;
	mm->mm_start_data = stat.start_data;
	mm->mm_end_data = stat.end_data;
	mm->mm_start_stack = stat.start_stack;
	mm->mm_start_brk = stat.start_brk;
	mm->mm_arg_start = stat.arg_start;
	mm->mm_arg_end = stat.arg_end;
	mm->mm_env_start = stat.env_start;
	mm->mm_env_end = stat.env_end;
	r = reg_file_capture(&c->cap, task, task->proc_fd, "exe", O_RDONLY, &mm->exe_file_id, err);
	if (r < 0)
		return r;
	return read_auxv(c, task, mm, err);
}

int checkpoint_capture_mm(struct checkpoint *c, struct task *task, Img__Mm **ret, struct error *err)
{
	Img__Mm *mm = img_new(&c->set, Img__Mm, mm);
	struct proc_maps maps = { 0 };
	struct last_file last = { 0 };
	enum vma_backing backing;
	Img__Vma *vma;
	size_t i;
	int r;

	if (!mm)
		return error_nomem(err);
	r = proc_maps_read(task->proc_fd, PROC_MAPS_SMAPS, &c->set.arena, &maps, err);
	if (r == 0)
		r = read_layout(c, task, mm, err);
	if (r < 0)
		return r;
	mm->vmas = arena_array(&c->set.arena, Img__Vma *, maps.n_vmas);
	if (!mm->vmas)
		return error_nomem(err);
	for (i = 0; i < maps.n_vmas; i++) {
		r = vma_describe(&c->set, &maps.vmas[i], &vma, &backing, err);
		if (r == 0)
			r = back_vma(c, task, &maps.vmas[i], backing, vma, &last, err);
		if (r < 0)
			return r;
		if (r == CAPTURE_GAP)
			continue;
		if (mm->n_vmas && vma_join_vvar(mm->vmas[mm->n_vmas - 1], vma))
			continue;
		c->pages_scanned += (vma->end - vma->start) / AMBER_PAGE_SIZE;
		mm->vmas[mm->n_vmas++] = vma;
	}
	*ret = mm;
	return 0;
}
