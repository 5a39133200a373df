// SPDX-License-Identifier: Apache-2.0
/*
 * mm: the memory map of one stopped task. Its pages are planned in pages.c.
 *
 * In the stop only /proc/<pid>/maps is read. What smaps knows besides (advice, locks) costs a walk
 * through all page tables: it comes from the look before the stop and is reviewed after the thaw.
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
#include "object/look.h"
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

/*
 * How the file must be open when it is mapped again. For a private mapping of a named file
 * reading is enough, whatever its protection becomes; for others it is what it was: the mode bits
 * of the map_files link tell.
 */
static uint32_t open_flags(struct task *task, const Img__Vma *vma, const char *link)
{
	struct stat st;

	if (vma->status & VMA_STATUS_FILE_PRIVATE && !(vma->status & VMA_STATUS_MEMFD))
		return O_RDONLY;
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
	flags = open_flags(task, vma, link);
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
		r = src->shared ? checkpoint_add_window(c, task, src, err) : 0;
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

static int read_layout(struct checkpoint *c, struct task *task, Img__Mm *mm,
		       uint64_t *ret_start_time, struct error *err)
{
	const struct proc_stat *stat = &task->stat;
	int r;

	*ret_start_time = stat->start_time;
	mm->mm_start_code = stat->start_code;
	mm->mm_end_code = stat->end_code;
	mm->mm_start_data = stat->start_data;
	mm->mm_end_data = stat->end_data;
	mm->mm_start_stack = stat->start_stack;
	mm->mm_start_brk = stat->start_brk;
	mm->mm_arg_start = stat->arg_start;
	mm->mm_arg_end = stat->arg_end;
	mm->mm_env_start = stat->env_start;
	mm->mm_env_end = stat->env_end;
	r = reg_file_capture(&c->cap, task, task->proc_fd, "exe", O_RDONLY, &mm->exe_file_id, err);
	if (r < 0)
		return r;
	return read_auxv(c, task, mm, err);
}

/* What is known of the flags of each entry, for the look after the thaw. */
struct checkpoint_mm {
	struct task *task;
	Img__Mm *mm;
	struct proc_maps before; /* from the look, empty when there was none */
	struct mm_entry {
		const struct proc_vma *src; /* as in the stop, with the flags of before */
		bool known;		    /* ... if there were any */
	} * entries;			    /* one for each of mm->vmas */
};

static struct checkpoint_mm *mm_new(struct checkpoint *c, struct task *task, Img__Mm *mm,
				    size_t n_vmas)
{
	struct arena *arena = &c->set.arena;
	struct checkpoint_mm *seen = arena_new(arena, struct checkpoint_mm), **grown;

	grown = arena_grow(arena, c->mms, c->n_mms, sizeof(seen));
	mm->vmas = arena_array(arena, Img__Vma *, n_vmas);
	if (!seen || !grown || !mm->vmas)
		return NULL;
	*seen = (struct checkpoint_mm){ .task = task, .mm = mm };
	seen->entries = arena_array(arena, struct mm_entry, n_vmas);
	if (!seen->entries)
		return NULL;
	c->mms = grown;
	c->mms[c->n_mms++] = seen;
	return seen;
}

/* What the look saw, if this is still the same process. */
static void find_before(struct checkpoint *c, struct checkpoint_mm *seen, uint64_t start_time)
{
	const struct look_task *look = look_find(c->cap.look, seen->task->pid);

	if (look && look->start_time == start_time)
		seen->before = look->maps;
}

/*
 * The mappings without a walk through page tables: flags come from the look before, where it saw
 * the mapping. A container that is to be killed does not wait: then what is new is read here.
 */
static int read_maps(struct checkpoint *c, struct task *task, const struct proc_maps *before,
		     struct proc_maps *ret, struct error *err)
{
	const struct proc_vma *was;
	bool all = true;
	size_t i;
	int r;

	r = proc_maps_read(task->proc_fd, PROC_MAPS_ONLY, &c->set.arena, ret, err);
	/* The session will want them, too. */
	task->maps = r == 0 ? arena_memdup(&c->set.arena, ret, sizeof(*ret)) : NULL;
	for (i = 0; r == 0 && i < ret->n_vmas; i++) {
		was = vma_seen(before, &ret->vmas[i]);
		ret->vmas[i].has_smaps = was != NULL;
		ret->vmas[i].vmflags = was ? was->vmflags : 0;
		all &= was != NULL;
	}
	if (r < 0 || all || !c->request->stop)
		return r;
	return proc_maps_read(task->proc_fd, PROC_MAPS_SMAPS, &c->set.arena, ret, err);
}

static int add_vmas(struct checkpoint *c, struct checkpoint_mm *seen, const struct proc_maps *maps,
		    struct error *err)
{
	struct last_file last = { 0 };
	enum vma_backing backing;
	Img__Mm *mm = seen->mm;
	Img__Vma *vma;
	size_t i;
	int r;

	for (i = 0; i < maps->n_vmas; i++) {
		r = vma_describe(&c->set, &maps->vmas[i], &vma, &backing, err);
		if (r == 0)
			r = back_vma(c, seen->task, &maps->vmas[i], backing, vma, &last, err);
		if (r < 0)
			return r;
		if (r == CAPTURE_GAP)
			continue;
		if (mm->n_vmas && vma_join_vvar(mm->vmas[mm->n_vmas - 1], vma))
			continue;
		c->pages_scanned += (vma->end - vma->start) / AMBER_PAGE_SIZE;
		seen->entries[mm->n_vmas] =
			(struct mm_entry){ &maps->vmas[i], maps->vmas[i].has_smaps };
		mm->vmas[mm->n_vmas++] = vma;
	}
	return 0;
}

int checkpoint_capture_mm(struct checkpoint *c, struct task *task, Img__Mm **ret, struct error *err)
{
	Img__Mm *mm = img_new(&c->set, Img__Mm, mm);
	struct proc_maps maps = { 0 };
	struct checkpoint_mm found = { .task = task }, *seen;
	uint64_t start_time;
	int r;

	if (!mm)
		return error_nomem(err);
	r = read_layout(c, task, mm, &start_time, err);
	if (r < 0)
		return r;
	find_before(c, &found, start_time);
	r = read_maps(c, task, &found.before, &maps, err);
	if (r < 0)
		return r;
	seen = mm_new(c, task, mm, maps.n_vmas);
	if (!seen)
		return error_nomem(err);
	seen->before = found.before;
	*ret = mm;
	return add_vmas(c, seen, &maps, err);
}

static int flags_gap(struct checkpoint *c, const struct checkpoint_mm *seen,
		     const struct proc_vma *src, const char *reason, struct error *err)
{
	char subject[64];

	snprintf(subject, sizeof(subject), "%llx-%llx", (unsigned long long)src->start,
		 (unsigned long long)src->end);
	if (gap_add(c->gaps, GAP_COSMETIC, "vma", seen->task->ns_pid, subject, "%s", reason) < 0)
		return error_nomem(err);
	return 0;
}

/* One entry against what stands there after the thaw. */
static int review_vma(struct checkpoint *c, const struct checkpoint_mm *seen, size_t i,
		      const struct proc_maps *after, struct error *err)
{
	const struct mm_entry *entry = &seen->entries[i];
	const struct proc_vma *now = vma_seen(after, entry->src);

	if (!entry->known && now) {
		vma_put_flags(seen->mm->vmas[i], now);
		return 0;
	}
	if (!entry->known && entry->src->kind != PROC_VMA_VSYSCALL)
		return flags_gap(c, seen, entry->src,
				 "was made just before the stop and is gone: advice given for it "
				 "(madvise) is not in the checkpoint",
				 err);
	if (now && now->start == entry->src->start && now->end == entry->src->end &&
	    !vma_same_flags(now, entry->src))
		return flags_gap(c, seen, entry->src,
				 "advice given for it (madvise, mlock) changed around the stop: "
				 "the checkpoint has what was before",
				 err);
	return 0;
}

static bool has_border(const struct proc_maps *maps, uint64_t address)
{
	const struct proc_vma *vma = proc_maps_find(maps, address);

	return vma && vma->start == address && proc_maps_find(maps, address - 1);
}

/* Did only our tracking keep the two apart? It does so to neighbours that the kernel would have
 * joined: a heap that grew, say. */
static bool tracking_parted(const struct checkpoint_mm *seen, const Img__Vma *a, const Img__Vma *b,
			    const struct proc_maps *after)
{
	const struct proc_vma *now = proc_maps_find(after, b->start);

	if (a->end != b->start || a->status != b->status || a->flags != b->flags ||
	    a->prot != b->prot || a->madv != b->madv ||
	    (a->status & ~VMA_STATUS_HEAP) != (VMA_STATUS_REGULAR | VMA_STATUS_ANON_PRIVATE))
		return false;
	return now && now->start < b->start && !has_border(&seen->before, b->start);
}

static void join_parted(struct checkpoint_mm *seen, const struct proc_maps *after)
{
	Img__Mm *mm = seen->mm;
	size_t i, n = 0;

	for (i = 0; i < mm->n_vmas; i++) {
		if (n && tracking_parted(seen, mm->vmas[n - 1], mm->vmas[i], after))
			mm->vmas[n - 1]->end = mm->vmas[i]->end;
		else
			mm->vmas[n++] = mm->vmas[i];
	}
	mm->n_vmas = n;
}

int checkpoint_review_mms(struct checkpoint *c, struct error *err)
{
	size_t i, k;
	int r = 0;

	for (i = 0; r == 0 && i < c->n_mms; i++) {
		_cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
		struct checkpoint_mm *seen = c->mms[i];
		struct proc_maps after = { 0 };

		/* one that has ended since has no mappings */
		if (proc_maps_read(seen->task->proc_fd, PROC_MAPS_SMAPS, &arena, &after, NULL) < 0)
			after = (struct proc_maps){ 0 };
		for (k = 0; r == 0 && k < seen->mm->n_vmas; k++)
			r = review_vma(c, seen, k, &after, err);
		join_parted(seen, &after);
	}
	return r;
}
