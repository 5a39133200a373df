// SPDX-License-Identifier: Apache-2.0
/*
 * proc-maps: the mappings of a process. Never decides what is worth copying.
 */
#include "kernel/proc-maps.h"

#include <errno.h>
#include <string.h>

#include "kernel/proc.h"
#include "kernel/scan.h"

#define DELETED " (deleted)"

/* In the order of the bits of PROC_VMF_*. */
static const char vmflag_codes[][3] = {
	"rd", "wr", "ex", "sh", "mr", "mw", "me", "ms", "gd", "pf", "lo", "io", "sr",
	"rr", "dc", "de", "lf", "ac", "nr", "ht", "sf", "ar", "wf", "dd", "sd", "mm",
	"hg", "nh", "mg", "um", "uw", "ui", "ss", "sl", "bt", "mt", "dp", "gu",
};

static bool ends_with(const struct scan *s, const char *suffix)
{
	size_t len = strlen(suffix);

	return scan_left(s) >= len && memcmp(s->end - len, suffix, len) == 0;
}

/* [name], [anon:name], [anon_shmem:name]: what stands between the brackets says what it is. */
static int parse_bracketed(struct scan s, struct proc_vma *vma, struct arena *arena,
			   struct error *err)
{
	static const struct {
		const char *name;
		enum proc_vma_kind kind;
	} names[] = {
		{ "heap", PROC_VMA_HEAP },	  { "stack", PROC_VMA_STACK },
		{ "vdso", PROC_VMA_VDSO },	  { "vvar", PROC_VMA_VVAR },
		{ "vvar_vclock", PROC_VMA_VVAR }, { "vsyscall", PROC_VMA_VSYSCALL },
		{ "uprobes", PROC_VMA_UPROBES },
	};

	s.at++;
	s.end--;
	vma->kind = PROC_VMA_SPECIAL;
	if (scan_lit(&s, "anon:"))
		vma->kind = PROC_VMA_ANON;
	else if (scan_lit(&s, "anon_shmem:"))
		vma->kind = PROC_VMA_ANON_SHARED;
	for (size_t i = 0; vma->kind == PROC_VMA_SPECIAL && i < ARRAY_SIZE(names); i++)
		if (scan_is(&s, names[i].name))
			vma->kind = names[i].kind;
	vma->name = scan_str(arena, &s);
	return vma->name ? 0 : error_nomem(err);
}

static int parse_path(struct scan s, struct proc_vma *vma, struct arena *arena, struct error *err)
{
	if (scan_done(&s))
		return 0;
	if (*s.at == '[' && ends_with(&s, "]") && scan_left(&s) >= 2)
		return parse_bracketed(s, vma, arena, err);
	if (ends_with(&s, DELETED)) {
		vma->deleted = true;
		s.end -= strlen(DELETED);
	}
	/* A tmpfs file of the kernel's own backs shared anonymous memory; nobody else has this
	 * name, since a file called so on disk would not be deleted, and shared by a device of
	 * major 0. */
	vma->kind = PROC_VMA_FILE;
	if (vma->deleted && vma->major == 0 && scan_is(&s, "/dev/zero"))
		vma->kind = PROC_VMA_ANON_SHARED;
	/* Only a newline is escaped in this file; a backslash stands for itself. */
	vma->path = scan_unescape(arena, &s, '\n');
	return vma->path ? 0 : error_nomem(err);
}

/* "start-end rwxp pgoff maj:min ino   path" */
static int parse_head(struct scan s, struct proc_vma *vma, struct arena *arena, struct error *err)
{
	struct scan perms;

	*vma = (struct proc_vma){ .protection_key = -1 };
	if (!scan_u64(&s, 16, &vma->start) || !scan_lit(&s, "-") || !scan_u64(&s, 16, &vma->end) ||
	    vma->end <= vma->start)
		return proc_malformed(err, "maps", "address range");
	if (!scan_word(&s, &perms) || scan_left(&perms) != 4)
		return proc_malformed(err, "maps", "permissions");
	vma->prot = (perms.at[0] == 'r' ? PROT_READ : 0) | (perms.at[1] == 'w' ? PROT_WRITE : 0) |
		    (perms.at[2] == 'x' ? PROT_EXEC : 0);
	vma->shared = perms.at[3] == 's';
	if (!scan_u64(&s, 16, &vma->pgoff) || !scan_u32(&s, 16, &vma->major) ||
	    !scan_lit(&s, ":") || !scan_u32(&s, 16, &vma->minor) || !scan_u64(&s, 10, &vma->ino))
		return proc_malformed(err, "maps", "offset, device or inode");
	scan_blanks(&s);
	return parse_path(s, vma, arena, err);
}

static int parse_vmflags(struct scan s, struct proc_vma *vma, struct arena *arena,
			 struct error *err)
{
	struct scan word;

	while (scan_word(&s, &word)) {
		size_t i;

		for (i = 0; i < ARRAY_SIZE(vmflag_codes); i++)
			if (scan_is(&word, vmflag_codes[i]))
				break;
		if (i < ARRAY_SIZE(vmflag_codes)) {
			vma->vmflags |= (uint64_t)1 << i;
			continue;
		}
		/* A line has at most 64 codes, but a hostile text may have more. */
		if (scan_left(&word) != 2 ||
		    (vma->vmflags_unknown && strlen(vma->vmflags_unknown) > 256))
			return proc_malformed(err, "smaps", "VmFlags");
		vma->vmflags_unknown = arena_printf(
			arena, "%s%s%.*s", vma->vmflags_unknown ? vma->vmflags_unknown : "",
			vma->vmflags_unknown ? " " : "", 2, word.at);
		if (!vma->vmflags_unknown)
			return error_nomem(err);
	}
	return 0;
}

/* "Name:   123 kB" below a head. */
static int parse_detail(struct scan s, struct proc_vma *vma, struct arena *arena, struct error *err)
{
	const struct {
		const char *name;
		uint64_t *value;
	} sizes[] = {
		{ "Rss:", &vma->rss },
		{ "Pss:", &vma->pss },
		{ "Anonymous:", &vma->anonymous },
		{ "Swap:", &vma->swap },
		{ "Locked:", &vma->locked },
		{ "Private_Dirty:", &vma->private_dirty },
		{ "Shared_Dirty:", &vma->shared_dirty },
	};
	struct scan name;

	vma->has_smaps = true;
	if (!scan_word(&s, &name))
		return proc_malformed(err, "smaps", "empty line");
	if (scan_is(&name, "VmFlags:"))
		return parse_vmflags(s, vma, arena, err);
	if (scan_is(&name, "ProtectionKey:")) {
		if (!scan_i32(&s, &vma->protection_key))
			return proc_malformed(err, "smaps", "ProtectionKey");
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t kib;

		if (!scan_is(&name, sizes[i].name))
			continue;
		if (!scan_u64(&s, 10, &kib) || kib > UINT64_MAX >> 10)
			return proc_malformed(err, "smaps", sizes[i].name);
		*sizes[i].value = kib << 10;
	}
	return 0;
}

/* A head begins with a hex number and '-'; names of details begin with a capital letter, and some
 * of these are hex digits too ("Anonymous"), so both have to be looked at. */
static bool is_head(struct scan s)
{
	uint64_t start;

	return scan_u64(&s, 16, &start) && scan_lit(&s, "-");
}

int proc_maps_parse(struct bytes text, struct arena *arena, struct proc_maps *ret,
		    struct error *err)
{
	struct proc_maps maps = { 0 };
	struct scan s = scan_of(text), line;
	int r;

	while (scan_line(&s, &line)) {
		if (is_head(line)) {
			if (maps.n_vmas >= PROC_VMA_MAX)
				return proc_too_many(err, "mappings", PROC_VMA_MAX);
			maps.vmas = arena_grow(arena, maps.vmas, maps.n_vmas, sizeof(*maps.vmas));
			if (!maps.vmas)
				return error_nomem(err);
			r = parse_head(line, &maps.vmas[maps.n_vmas], arena, err);
			if (r < 0)
				return r;
			maps.n_vmas++;
		} else if (maps.n_vmas > 0) {
			r = parse_detail(line, &maps.vmas[maps.n_vmas - 1], arena, err);
			if (r < 0)
				return r;
		} else {
			return proc_malformed(err, "maps", "first line");
		}
	}
	*ret = maps;
	return 0;
}

/* Newer kernels answer ESRCH for a zombie and for a kernel thread, as for a process that is gone;
 * the latter has no stat either. */
static bool has_no_memory(int proc_fd)
{
	_cleanup_buf_ struct buf text = BUF_INIT;

	return proc_read(proc_fd, "stat", PROC_MAPS_MAX_BYTES, &text, NULL) == 0;
}

int proc_maps_read(int proc_fd, enum proc_maps_detail detail, struct arena *arena,
		   struct proc_maps *ret, struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	int r;

	r = proc_read(proc_fd, detail == PROC_MAPS_SMAPS ? "smaps" : "maps", PROC_MAPS_MAX_BYTES,
		      &text, err);
	if (r == -ESRCH && has_no_memory(proc_fd)) {
		error_clear(err);
		*ret = (struct proc_maps){ 0 };
		return 0;
	}
	if (r < 0)
		return r;
	return proc_maps_parse((struct bytes){ text.data, text.len }, arena, ret, err);
}

const struct proc_vma *proc_maps_find(const struct proc_maps *maps, uint64_t addr)
{
	size_t low = 0, high = maps->n_vmas;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (addr >= maps->vmas[mid].end)
			low = mid + 1;
		else
			high = mid;
	}
	return low < maps->n_vmas && addr >= maps->vmas[low].start ? &maps->vmas[low] : NULL;
}
