/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pagemap: which pages of an address space hold what, asked through /proc/PID/pagemap.
 *
 * By the PAGEMAP_SCAN ioctl (Linux >= 6.7) or, where it is missing, by reading the 8-byte entries;
 * both answer in runs. Says categories, decides nothing.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

/* The categories of PAGEMAP_SCAN, same bits as the kernel's PAGE_IS_*. */
#define PAGEMAP_WPALLOWED                                                                          \
	(1ULL << 0)		       /* the mapping is tracked by asynchronous write-protection  \
					*/
#define PAGEMAP_WRITTEN	   (1ULL << 1) /* written since it was protected */
#define PAGEMAP_FILE	   (1ULL << 2) /* a page of a file (or of shared memory) */
#define PAGEMAP_PRESENT	   (1ULL << 3)
#define PAGEMAP_SWAPPED	   (1ULL << 4)
#define PAGEMAP_PFNZERO	   (1ULL << 5) /* the zero page */
#define PAGEMAP_HUGE	   (1ULL << 6) /* mapped by a PMD */
#define PAGEMAP_SOFT_DIRTY (1ULL << 7)
#define PAGEMAP_GUARD	   (1ULL << 8) /* MADV_GUARD_INSTALL (Linux >= 6.16) */

struct page_run {
	uint64_t start, end; /* bytes */
	uint64_t categories; /* PAGEMAP_* that were asked for in returned */
};

struct page_runs {
	struct page_run *runs; /* ascending, not touching where categories are the same */
	size_t n_runs;
	uint64_t n_pages; /* in all runs */
};

/*
 * What to look for: a page is reported when ((its categories ^ inverted) & required) == required
 * and it has, inverted alike, at least one of any_of (0 = no such condition).
 */
struct pagemap_query {
	uint64_t inverted, required, any_of;
	uint64_t returned; /* which categories runs shall tell apart */
	bool protect; /* PM_SCAN_WP_MATCHING: write-protect what is reported, in one step with it */
	bool only_tracked;  /* PM_SCAN_CHECK_WPASYNC: -EPERM for a mapping without asynchronous
			       uffd-wp */
	uint64_t max_pages; /* stop after so many, 0 = no limit */
};

/*
 * Pages with data of their own in a mapping: there or swapped, not the zero page, not a guard
 * region. A kernel that has guard regions and no category for them (6.13 to 6.15) counts them as
 * swapped: reading one is then -EFAULT, and means that nothing is there. Untouched pages under
 * userfaultfd write-protection count as swapped in all kernels, and read as zeros.
 */
extern const struct pagemap_query PAGEMAP_DATA;
/* The same, without pages that only show a file (clean pages of private file mappings). */
extern const struct pagemap_query PAGEMAP_DATA_PRIVATE;

/* pagemap_open - /proc/PID/pagemap. The caller owns *ret_fd. */
int pagemap_open(int proc_fd, int *ret_fd, struct error *err) _must_check_;

/* Called for each run; a negative return ends the scan with it, a positive one ends it with 0. */
typedef int pagemap_fn(const struct page_run *run, void *arg, struct error *err);

/*
 * pagemap_scan - walk [start, end) by PAGEMAP_SCAN. Bounded memory. Runs that the kernel cut at the
 * end of its vector are joined.
 * @pagemap_fd: of pagemap_open()
 * @ret_end: where the walk ended (== end unless max_pages or fn stopped it); may be NULL
 * Returns 0, -ENOTTY or -EINVAL (no PAGEMAP_SCAN here, or not all of these categories), or a
 * negative errno.
 */
int pagemap_scan(int pagemap_fd, uint64_t start, uint64_t end, const struct pagemap_query *query,
		 pagemap_fn *fn, void *arg, uint64_t *ret_end, struct error *err) _must_check_;

/*
 * Room for the answers of one call of the kernel, made beforehand for scans that must not allocate,
 * nor fault pages in. One scan at a time may use it.
 */
struct pagemap_room {
	void *regions;
	size_t n_regions; /* more of them: fewer calls where pages of different kinds alternate */
};

int pagemap_room_init(struct pagemap_room *room, size_t n_regions, struct error *err) _must_check_;
void pagemap_room_deinit(struct pagemap_room *room);

/* pagemap_scan_in - pagemap_scan() that allocates nothing. */
int pagemap_scan_in(struct pagemap_room *room, int pagemap_fd, uint64_t start, uint64_t end,
		    const struct pagemap_query *query, pagemap_fn *fn, void *arg, uint64_t *ret_end,
		    struct error *err) _must_check_;

/*
 * pagemap_walk - the same by reading entries: knows PRESENT, SWAPPED, FILE, SOFT_DIRTY, WRITTEN
 * (the uffd-wp bit clear), GUARD, and PFNZERO only where the pfn is told (CAP_SYS_ADMIN) and
 * zero_pfn is not 0. Cannot protect (-EOPNOTSUPP).
 * @zero_pfn: of pagemap_zero_pfn(), 0 = not known
 */
int pagemap_walk(int pagemap_fd, uint64_t start, uint64_t end, const struct pagemap_query *query,
		 uint64_t zero_pfn, pagemap_fn *fn, void *arg, struct error *err) _must_check_;

/* pagemap_entries - categories of classic entries; the parser of pagemap_walk(), for tests. */
uint64_t pagemap_entry_categories(uint64_t entry, uint64_t zero_pfn);

/* pagemap_zero_pfn - frame of the zero page as seen by this process, 0 = not to be known. */
uint64_t pagemap_zero_pfn(void);

/* pagemap_has_scan - the kernel has PAGEMAP_SCAN (probed on this process). */
bool pagemap_has_scan(void);

/*
 * pagemap_collect - all runs of [start, end) in the arena: by PAGEMAP_SCAN, else by reading
 * entries. Appends to *ret, joining neighbours with the same categories. Returns 0 or a negative
 * errno.
 */
int pagemap_collect(int pagemap_fd, uint64_t start, uint64_t end, const struct pagemap_query *query,
		    struct arena *arena, struct page_runs *ret, struct error *err) _must_check_;
