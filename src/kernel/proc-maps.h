/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc-maps: the mappings of a process, from /proc/PID/maps or /proc/PID/smaps.
 *
 * smaps says more (VmFlags, resident, swapped) and walks the page tables for it: milliseconds for
 * each GiB. maps is cheap. Says what stands there; what to dump of it is decided elsewhere.
 */
#pragma once

#include <sys/mman.h>

#include "base/arena.h"
#include "base/buf.h"

#define PROC_MAPS_MAX_BYTES ((size_t)512 << 20)
#define PROC_VMA_MAX	    ((size_t)1 << 20)

/* What the last column says. */
enum proc_vma_kind {
	PROC_VMA_ANON, /* nothing: anonymous, or [anon:...] with its name in name */
	PROC_VMA_FILE, /* a path, or what stands for one: /memfd:x, /SYSV00000000, socket:[1] ... */
	PROC_VMA_ANON_SHARED, /* shared anonymous: /dev/zero (deleted) or [anon_shmem:...] */
	PROC_VMA_HEAP,
	PROC_VMA_STACK,
	PROC_VMA_VDSO,
	PROC_VMA_VVAR, /* [vvar] and [vvar_vclock] */
	PROC_VMA_VSYSCALL,
	PROC_VMA_UPROBES,
	PROC_VMA_SPECIAL, /* another name in brackets */
};

/* VmFlags of smaps. Bits are ours, names the kernel's. */
#define PROC_VMF_RD ((uint64_t)1 << 0)	/* readable */
#define PROC_VMF_WR ((uint64_t)1 << 1)	/* writable */
#define PROC_VMF_EX ((uint64_t)1 << 2)	/* executable */
#define PROC_VMF_SH ((uint64_t)1 << 3)	/* shared */
#define PROC_VMF_MR ((uint64_t)1 << 4)	/* may read */
#define PROC_VMF_MW ((uint64_t)1 << 5)	/* may write */
#define PROC_VMF_ME ((uint64_t)1 << 6)	/* may execute */
#define PROC_VMF_MS ((uint64_t)1 << 7)	/* may share */
#define PROC_VMF_GD ((uint64_t)1 << 8)	/* grows down */
#define PROC_VMF_PF ((uint64_t)1 << 9)	/* pure pfn range */
#define PROC_VMF_LO ((uint64_t)1 << 10) /* locked */
#define PROC_VMF_IO ((uint64_t)1 << 11) /* memory mapped I/O */
#define PROC_VMF_SR ((uint64_t)1 << 12) /* MADV_SEQUENTIAL */
#define PROC_VMF_RR ((uint64_t)1 << 13) /* MADV_RANDOM */
#define PROC_VMF_DC ((uint64_t)1 << 14) /* MADV_DONTFORK */
#define PROC_VMF_DE ((uint64_t)1 << 15) /* mremap may not expand it */
#define PROC_VMF_LF ((uint64_t)1 << 16) /* mlock on fault */
#define PROC_VMF_AC ((uint64_t)1 << 17) /* accounted */
#define PROC_VMF_NR ((uint64_t)1 << 18) /* MAP_NORESERVE */
#define PROC_VMF_HT ((uint64_t)1 << 19) /* hugetlb */
#define PROC_VMF_SF ((uint64_t)1 << 20) /* synchronous fault (DAX) */
#define PROC_VMF_AR ((uint64_t)1 << 21) /* architecture specific */
#define PROC_VMF_WF ((uint64_t)1 << 22) /* MADV_WIPEONFORK */
#define PROC_VMF_DD ((uint64_t)1 << 23) /* MADV_DONTDUMP */
#define PROC_VMF_SD ((uint64_t)1 << 24) /* soft-dirty tracked */
#define PROC_VMF_MM ((uint64_t)1 << 25) /* mixed map */
#define PROC_VMF_HG ((uint64_t)1 << 26) /* MADV_HUGEPAGE */
#define PROC_VMF_NH ((uint64_t)1 << 27) /* MADV_NOHUGEPAGE */
#define PROC_VMF_MG ((uint64_t)1 << 28) /* MADV_MERGEABLE */
#define PROC_VMF_UM ((uint64_t)1 << 29) /* userfaultfd missing */
#define PROC_VMF_UW ((uint64_t)1 << 30) /* userfaultfd write-protect */
#define PROC_VMF_UI ((uint64_t)1 << 31) /* userfaultfd minor */
#define PROC_VMF_SS ((uint64_t)1 << 32) /* shadow stack */
#define PROC_VMF_SL ((uint64_t)1 << 33) /* sealed */
#define PROC_VMF_BT ((uint64_t)1 << 34) /* arm64 BTI */
#define PROC_VMF_MT ((uint64_t)1 << 35) /* arm64 MTE */
#define PROC_VMF_DP ((uint64_t)1 << 36) /* droppable */
#define PROC_VMF_GU ((uint64_t)1 << 37) /* guard regions may lie in it */

struct proc_vma {
	uint64_t start, end; /* bytes, end is behind the last */
	uint64_t pgoff;	     /* bytes into the file */
	uint64_t ino;	     /* 0 = no file */
	uint32_t major, minor;
	int prot;	/* PROT_READ | PROT_WRITE | PROT_EXEC */
	bool shared;	/* 's' in place of 'p': VM_MAYSHARE */
	bool deleted;	/* " (deleted)" was split off path; a file may really be called so: compare
			   inodes */
	bool has_smaps; /* the fields below are known */
	enum proc_vma_kind kind;
	const char *path; /* PROC_VMA_FILE and _ANON_SHARED: the path; NULL otherwise */
	const char
		*name; /* [anon:NAME], [anon_shmem:NAME], [NAME] without brackets; NULL if none */

	uint64_t vmflags; /* PROC_VMF_* */
	const char
		*vmflags_unknown; /* codes that are none of the above, space-separated; or NULL */
	uint64_t rss, anonymous, swap, locked, pss, private_dirty, shared_dirty; /* bytes */
	int protection_key;							 /* -1 unknown */
};

struct proc_maps {
	struct proc_vma *vmas; /* ascending */
	size_t n_vmas;
};

/*
 * proc_maps_parse - both dialects: lines of smaps fill has_smaps and what follows it.
 * Returns 0, -EBADMSG (not such a text), -E2BIG (more than PROC_VMA_MAX), -ENOMEM.
 */
int proc_maps_parse(struct bytes text, struct arena *arena, struct proc_maps *ret,
		    struct error *err) _must_check_;

enum proc_maps_detail { PROC_MAPS_ONLY, PROC_MAPS_SMAPS };

/* proc_maps_read - /proc/PID/maps or smaps, read and parsed; strings live in the arena. A process
 * without an address space (zombie, kernel thread) has no mappings: 0. */
int proc_maps_read(int proc_fd, enum proc_maps_detail detail, struct arena *arena,
		   struct proc_maps *ret, struct error *err) _must_check_;

/* proc_maps_find - the mapping that holds addr, or NULL. */
const struct proc_vma *proc_maps_find(const struct proc_maps *maps, uint64_t addr);
