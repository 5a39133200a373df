// SPDX-License-Identifier: Apache-2.0
/*
 * gadget: see gadget.h.
 */
#include "task/gadget.h"

#include <string.h>

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

/* A part that cannot be read ends the search; what was found before it counts. */
static int search(const struct task *task, const struct proc_vma *vma, uint64_t off[ARCH_GADGETS],
		  struct error *err)
{
	_cleanup_free_ unsigned char *code = malloc(CHUNK);
	uint64_t size = MIN(vma->end - vma->start, SEARCH_MAX);

	if (!code)
		return error_nomem(err);
	for (int g = 0; g < ARCH_GADGETS; g++)
		off[g] = NOT_THERE;
	for (uint64_t at = 0; at < size && !all_found(off); at += CHUNK - ARCH_GADGET_BYTES) {
		size_t len = (size_t)MIN(size - at, CHUNK);

		if (process_vm_read(task->pid, vma->start + at, code, len, NULL) < 0)
			break;
		search_chunk(code, len, at, off);
		if (len < CHUNK)
			break;
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

static void remember(struct gadget_cache *cache, const struct proc_vma *vma,
		     const uint64_t off[ARCH_GADGETS])
{
	struct cached *c;

	if (!cache || !vma->ino || cache->n == CACHE_MAX)
		return;
	c = &cache->file[cache->n++];
	*c = (struct cached){ .major = vma->major,
			      .minor = vma->minor,
			      .ino = vma->ino,
			      .pgoff = vma->pgoff,
			      .size = vma->end - vma->start };
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

static int take(struct gadget_cache *cache, const struct task *task, const struct proc_vma *vma,
		struct gadgets *ret, struct error *err)
{
	struct cached *c = remembered(cache, vma);
	uint64_t off[ARCH_GADGETS];
	int r;

	if (c) {
		memcpy(off, c->off, sizeof(off));
	} else {
		r = search(task, vma, off, err);
		if (r < 0)
			return r;
		remember(cache, vma, off);
	}
	for (int g = 0; g < ARCH_GADGETS; g++)
		if (!ret->at[g] && off[g] != NOT_THERE &&
		    still_there(task, (enum arch_gadget)g, vma->start + off[g]))
			ret->at[g] = vma->start + off[g];
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

int gadget_find(struct gadget_cache **cache, const struct task *task, const struct proc_maps *maps,
		uint64_t avoid, uint64_t avoid_size, struct gadgets *ret, struct error *err)
{
	int r;

	*ret = (struct gadgets){ 0 };
	if (cache && !*cache)
		*cache = calloc(1, sizeof(**cache));
	for (int wanted = 0; wanted <= 3 && !complete(ret); wanted++) {
		for (size_t i = 0; i < maps->n_vmas && !complete(ret); i++) {
			const struct proc_vma *vma = &maps->vmas[i];

			if (!(vma->prot & PROT_EXEC) || !(vma->prot & PROT_READ) ||
			    vma->kind == PROC_VMA_VSYSCALL || rank(vma) != wanted)
				continue;
			if (vma->start < avoid + avoid_size && avoid < vma->end)
				continue;
			r = take(cache ? *cache : NULL, task, vma, ret, err);
			if (r < 0)
				return r;
		}
	}
	return 0;
}
