// SPDX-License-Identifier: Apache-2.0
/*
 * gadget: see gadget.h.
 */
#include "task/gadget.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "kernel/process-vm.h"

#define CHUNK ((size_t)128 << 10)
#define SEARCH_MAX                                                                                 \
	((uint64_t)32 << 20) /* of one mapping: the call wrappers of a libc lie early              \
			      */
#define CACHE_MAX 256
#define NOT_THERE UINT64_MAX

struct cached {
	uint32_t major, minor;
	uint64_t ino, pgoff, size;
	bool whole;		    /* all of it was searched, not only what was there */
	uint64_t off[ARCH_GADGETS]; /* from the start of the mapping */
};

struct gadget_cache {
	size_t n;
	struct cached file[CACHE_MAX];
};

void gadget_cache_free(struct gadget_cache *cache)
{
	free(cache);
}

static bool all_found(const uint64_t off[ARCH_GADGETS])
{
	for (int i = 0; i < ARCH_GADGETS; i++)
		if (off[i] == NOT_THERE)
			return false;
	return true;
}

static void search_chunk(const unsigned char *code, size_t len, uint64_t base,
			 uint64_t off[ARCH_GADGETS])
{
	size_t found[ARCH_GADGETS];

	arch_gadget_search(code, len, found);
	for (int g = 0; g < ARCH_GADGETS; g++)
		if (off[g] == NOT_THERE && found[g] != SIZE_MAX)
			off[g] = base + found[g];
}

/* One task while it is looked at. */
struct view {
	const struct task *task;
	int pagemap; /* -1: it cannot be told which pages are there */
	bool whole;  /* also look at pages that are not there */
};

/*
 * Is this page mapped? Reading one that is not brings it in, and fifteen around it: the process
 * would see its resident memory grow (bit 63 of an entry:
 * Documentation/admin-guide/mm/pagemap.rst).
 */
static bool page_there(const struct view *view, uint64_t addr)
{
	uint64_t entry = 0;

	return view->pagemap >= 0 &&
	       pread(view->pagemap, &entry, sizeof(entry),
		     (off_t)(addr / AMBER_PAGE_SIZE * sizeof(entry))) == sizeof(entry) &&
	       entry >> 63;
}

/* The end of the stretch from `start` that may be looked at in one read. */
static uint64_t stretch(const struct view *view, uint64_t start, uint64_t end)
{
	uint64_t at = start;

	end = MIN(end, start + CHUNK);
	if (view->whole)
		return end;
	while (at < end && page_there(view, at))
		at += AMBER_PAGE_SIZE;
	return MIN(at, end);
}

/* A part that cannot be read ends the search; what was found before it counts. */
static int search(const struct view *view, const struct proc_vma *vma, uint64_t off[ARCH_GADGETS],
		  struct error *err)
{
	_cleanup_free_ unsigned char *code = malloc(CHUNK);
	uint64_t end = vma->start + MIN(vma->end - vma->start, SEARCH_MAX), at, next;

	if (!code)
		return error_nomem(err);
	for (int g = 0; g < ARCH_GADGETS; g++)
		off[g] = NOT_THERE;
	for (at = vma->start; at < end && !all_found(off); at = next) {
		next = stretch(view, at, end);
		if (next == at) {
			next += AMBER_PAGE_SIZE;
			continue;
		}
		if (process_vm_read(view->task->pid, at, code, next - at, NULL) < 0)
			break;
		search_chunk(code, next - at, at - vma->start, off);
		/* A gadget may lie across the border of two pieces. */
		if (next < end && next - at == CHUNK)
			next -= AMBER_PAGE_SIZE;
	}
	return 0;
}

static struct cached *remembered(struct gadget_cache *cache, const struct proc_vma *vma)
{
	for (size_t i = 0; cache && i < cache->n; i++) {
		struct cached *c = &cache->file[i];

		if (c->ino == vma->ino && c->major == vma->major && c->minor == vma->minor &&
		    c->pgoff == vma->pgoff && c->size == vma->end - vma->start)
			return c;
	}
	return NULL;
}

/* A search of the whole file replaces one of what was there. */
static void remember(struct gadget_cache *cache, struct cached *c, const struct view *view,
		     const struct proc_vma *vma, const uint64_t off[ARCH_GADGETS])
{
	if (!cache || !vma->ino || (!c && cache->n == CACHE_MAX))
		return;
	if (!c)
		c = &cache->file[cache->n++];
	*c = (struct cached){ .major = vma->major,
			      .minor = vma->minor,
			      .ino = vma->ino,
			      .pgoff = vma->pgoff,
			      .size = vma->end - vma->start,
			      .whole = view->whole };
	memcpy(c->off, off, sizeof(c->off));
}

/* Text can be patched while it runs: what the file said is not enough. */
static bool still_there(const struct task *task, enum arch_gadget which, uint64_t addr)
{
	unsigned char code[ARCH_GADGET_BYTES];
	size_t len = sizeof(code);

	/* The longest may reach beyond the end of the mapping. */
	while (len && process_vm_read(task->pid, addr, code, len, NULL) < 0)
		len--;
	return arch_gadget_match(which, code, len);
}

static int take(struct gadget_cache *cache, const struct view *view, const struct proc_vma *vma,
		struct gadgets *ret, struct error *err)
{
	struct cached *c = remembered(cache, vma);
	uint64_t off[ARCH_GADGETS], addr;
	int r;

	if (c && (c->whole || !view->whole)) {
		memcpy(off, c->off, sizeof(off));
	} else {
		r = search(view, vma, off, err);
		if (r < 0)
			return r;
		remember(cache, c, view, vma, off);
	}
	for (int g = 0; g < ARCH_GADGETS; g++) {
		addr = vma->start + off[g];
		if (!ret->at[g] && off[g] != NOT_THERE && (view->whole || page_there(view, addr)) &&
		    still_there(view->task, (enum arch_gadget)g, addr))
			ret->at[g] = addr;
	}
	return 0;
}

static bool complete(const struct gadgets *gadgets)
{
	for (int g = 0; g < ARCH_GADGETS; g++)
		if (!gadgets->at[g])
			return false;
	return true;
}

/* Where to look first: the vdso is small, a libc has everything, the rest can be large. */
static int rank(const struct proc_vma *vma)
{
	const char *base;

	if (vma->kind == PROC_VMA_VDSO)
		return 0;
	if (vma->kind != PROC_VMA_FILE || !vma->path)
		return 3;
	base = strrchr(vma->path, '/');
	base = base ? base + 1 : vma->path;
	return !strncmp(base, "libc.", 5) || !strncmp(base, "libc-", 5) || !strncmp(base, "ld-", 3)
		       ? 1
		       : 2;
}

static int look(struct gadget_cache *cache, const struct view *view, const struct proc_maps *maps,
		uint64_t avoid, uint64_t avoid_size, struct gadgets *ret, struct error *err)
{
	int r;

	for (int wanted = 0; wanted <= 3 && !complete(ret); wanted++) {
		for (size_t i = 0; i < maps->n_vmas && !complete(ret); i++) {
			const struct proc_vma *vma = &maps->vmas[i];

			if (!(vma->prot & PROT_EXEC) || !(vma->prot & PROT_READ) ||
			    vma->kind == PROC_VMA_VSYSCALL || rank(vma) != wanted)
				continue;
			if (vma->start < avoid + avoid_size && avoid < vma->end)
				continue;
			r = take(cache, view, vma, ret, err);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int gadget_find(struct gadget_cache **cache, const struct task *task, const struct proc_maps *maps,
		uint64_t avoid, uint64_t avoid_size, struct gadgets *ret, struct error *err)
{
	_cleanup_close_ int pagemap = openat(task->proc_fd, "pagemap", O_RDONLY | O_CLOEXEC);
	struct view view = { .task = task, .pagemap = pagemap };
	int r = 0;

	*ret = (struct gadgets){ 0 };
	if (cache && !*cache)
		*cache = calloc(1, sizeof(**cache));
	/* First among the pages that are there; only what is in none of them is looked for further.
	 */
	if (pagemap >= 0)
		r = look(cache ? *cache : NULL, &view, maps, avoid, avoid_size, ret, err);
	view.whole = true;
	if (r == 0 && !complete(ret))
		r = look(cache ? *cache : NULL, &view, maps, avoid, avoid_size, ret, err);
	return r;
}
