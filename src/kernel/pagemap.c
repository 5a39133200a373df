// SPDX-License-Identifier: Apache-2.0
/*
 * pagemap: which pages of an address space hold what. Never touches their contents.
 */
#include "kernel/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "kernel/proc.h"

/* Of linux/fs.h since Linux 6.7; the headers we build with may be older. */
struct scan_region {
	uint64_t start, end, categories;
};

struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN_IOCTL	   _IOWR('f', 16, struct scan_arg)
#define SCAN_WP_MATCHING   (1ULL << 0)
#define SCAN_CHECK_WPASYNC (1ULL << 1)

/* Runs fetched by one call: 96 KiB of stack are too much for a thread's, so they are allocated. */
#define SCAN_REGIONS 1024

const struct pagemap_query PAGEMAP_DATA = {
	.inverted = PAGEMAP_PFNZERO | PAGEMAP_GUARD,
	.required = PAGEMAP_PFNZERO | PAGEMAP_GUARD,
	.any_of = PAGEMAP_PRESENT | PAGEMAP_SWAPPED,
	.returned = PAGEMAP_PRESENT | PAGEMAP_SWAPPED,
};

const struct pagemap_query PAGEMAP_DATA_PRIVATE = {
	.inverted = PAGEMAP_PFNZERO | PAGEMAP_FILE | PAGEMAP_GUARD,
	.required = PAGEMAP_PFNZERO | PAGEMAP_FILE | PAGEMAP_GUARD,
	.any_of = PAGEMAP_PRESENT | PAGEMAP_SWAPPED,
	.returned = PAGEMAP_PRESENT | PAGEMAP_SWAPPED,
};

int pagemap_open(int proc_fd, int *ret_fd, struct error *err)
{
	int fd = openat(proc_fd, "pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return error_errno(err, errno, "cannot open pagemap of a process");
	*ret_fd = fd;
	return 0;
}

/* Joins runs that touch and are alike, and hands on those that are complete. */
struct joiner {
	struct page_run run; /* not handed on yet; empty when start == end */
	pagemap_fn *fn;
	void *arg;
};

static int joiner_flush(struct joiner *j, struct error *err)
{
	struct page_run run = j->run;

	j->run = (struct page_run){ 0 };
	return run.end > run.start ? j->fn(&run, j->arg, err) : 0;
}

static int joiner_add(struct joiner *j, uint64_t start, uint64_t end, uint64_t categories,
		      struct error *err)
{
	int r = 0;

	if (j->run.end > j->run.start && j->run.end == start && j->run.categories == categories) {
		j->run.end = end;
		return 0;
	}
	if (j->run.end > j->run.start)
		r = joiner_flush(j, err);
	j->run = (struct page_run){ start, end, categories };
	return r;
}

static void scan_arg_init(struct scan_arg *arg, const struct pagemap_query *query)
{
	*arg = (struct scan_arg){
		.size = sizeof(*arg),
		.flags = (query->protect ? SCAN_WP_MATCHING : 0) |
			 (query->only_tracked ? SCAN_CHECK_WPASYNC : 0),
		.category_inverted = query->inverted,
		.category_mask = query->required,
		.category_anyof_mask = query->any_of,
		.return_mask = query->returned,
	};
}

/*
 * One call of the ioctl. Returns the number of regions, or a negative errno; *ret_next is where the
 * walk has to go on. The kernel's walk_end alone does not tell: when its inner buffer (512 regions)
 * has filled in between and the walk then reaches the end, walk_end is still that of the fill, and
 * going on from there would report the rest twice. So: fewer regions than asked for, and pages left
 * to be reported, mean that the end was reached; otherwise what was reported last bounds it from
 * below.
 */
static int scan_once(int fd, struct scan_arg *arg, const struct scan_region *regions,
		     uint64_t *ret_next, struct error *err)
{
	uint64_t pages = 0;
	int n;

	arg->walk_end = 0;
	n = ioctl(fd, SCAN_IOCTL, arg);
	if (n < 0)
		return error_errno(err, errno, "PAGEMAP_SCAN of 0x%llx-0x%llx failed",
				   (unsigned long long)arg->start, (unsigned long long)arg->end);
	for (int i = 0; i < n; i++)
		pages += (regions[i].end - regions[i].start) / AMBER_PAGE_SIZE;
	*ret_next = arg->end;
	if ((uint64_t)n == arg->vec_len || (arg->max_pages && pages >= arg->max_pages))
		*ret_next = MAX((uint64_t)arg->walk_end, n ? regions[n - 1].end : arg->start);
	return n;
}

/* Kernels from 6.7 on have the ioctl, but know guard regions only later. Takes the category out of
 * a query that was refused; false when it was not in it. */
static bool drop_guard(struct scan_arg *arg)
{
	uint64_t *const masks[] = { &arg->category_inverted, &arg->category_mask,
				    &arg->category_anyof_mask, &arg->return_mask };
	uint64_t had = 0;

	for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
		had |= *masks[i] & PAGEMAP_GUARD;
		*masks[i] &= ~PAGEMAP_GUARD;
	}
	return had;
}

int pagemap_room_init(struct pagemap_room *room, size_t n_regions, struct error *err)
{
	void *map = mmap(NULL, n_regions * sizeof(struct scan_region), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	*room = (struct pagemap_room){ 0 };
	if (map == MAP_FAILED)
		return error_nomem(err);
	*room = (struct pagemap_room){ map, n_regions };
	return 0;
}

void pagemap_room_deinit(struct pagemap_room *room)
{
	if (room->regions)
		munmap(room->regions, room->n_regions * sizeof(struct scan_region));
	*room = (struct pagemap_room){ 0 };
}

int pagemap_scan_in(struct pagemap_room *room, int pagemap_fd, uint64_t start, uint64_t end,
		    const struct pagemap_query *query, pagemap_fn *fn, void *fn_arg,
		    uint64_t *ret_end, struct error *err)
{
	const struct scan_region *regions = room->regions;
	struct joiner joiner = { .fn = fn, .arg = fn_arg };
	uint64_t left = query->max_pages, next;
	struct scan_arg arg;
	int n, r = 0;

	scan_arg_init(&arg, query);
	arg.vec = (uintptr_t)regions;
	arg.vec_len = room->n_regions;
	while (r == 0 && start < end && (left || !query->max_pages)) {
		arg.start = start;
		arg.end = end;
		arg.max_pages = left;
		n = scan_once(pagemap_fd, &arg, regions, &next, err);
		if (n == -EINVAL && drop_guard(&arg)) {
			error_clear(err);
			n = scan_once(pagemap_fd, &arg, regions, &next, err);
		}
		if (n < 0)
			return n;
		for (int i = 0; r == 0 && i < n; i++) {
			left -= MIN(left, (regions[i].end - regions[i].start) / AMBER_PAGE_SIZE);
			r = joiner_add(&joiner, regions[i].start, regions[i].end,
				       regions[i].categories, err);
		}
		/* A kernel that does not move on would keep us here for ever. */
		if (next <= start || next > end)
			return error_set(err, ERROR_INTERNAL, EPROTO,
					 "PAGEMAP_SCAN stands still at 0x%llx",
					 (unsigned long long)start);
		start = next;
	}
	if (r == 0)
		r = joiner_flush(&joiner, err);
	if (ret_end)
		*ret_end = start;
	return r < 0 ? r : 0;
}

int pagemap_scan(int pagemap_fd, uint64_t start, uint64_t end, const struct pagemap_query *query,
		 pagemap_fn *fn, void *arg, uint64_t *ret_end, struct error *err)
{
	_cleanup_free_ struct scan_region *regions = calloc(SCAN_REGIONS, sizeof(*regions));
	struct pagemap_room room = { regions, SCAN_REGIONS };

	if (!regions)
		return error_nomem(err);
	return pagemap_scan_in(&room, pagemap_fd, start, end, query, fn, arg, ret_end, err);
}

#define ENTRY_PFN	 ((1ULL << 55) - 1)
#define ENTRY_SOFT_DIRTY (1ULL << 55)
#define ENTRY_UFFD_WP	 (1ULL << 57)
#define ENTRY_GUARD	 (1ULL << 58)
#define ENTRY_FILE	 (1ULL << 61)
#define ENTRY_SWAP	 (1ULL << 62)
#define ENTRY_PRESENT	 (1ULL << 63)

uint64_t pagemap_entry_categories(uint64_t entry, uint64_t zero_pfn)
{
	uint64_t categories = 0;

	if (entry & ENTRY_PRESENT)
		categories |= PAGEMAP_PRESENT;
	if (entry & ENTRY_SWAP)
		categories |= PAGEMAP_SWAPPED;
	if (entry & ENTRY_FILE)
		categories |= PAGEMAP_FILE;
	if (entry & ENTRY_SOFT_DIRTY)
		categories |= PAGEMAP_SOFT_DIRTY;
	if (entry & ENTRY_GUARD)
		categories |= PAGEMAP_GUARD;
	if (!(entry & ENTRY_UFFD_WP))
		categories |= PAGEMAP_WRITTEN;
	if (zero_pfn && (entry & ENTRY_PRESENT) && (entry & ENTRY_PFN) == zero_pfn)
		categories |= PAGEMAP_PFNZERO;
	return categories;
}

static bool query_matches(const struct pagemap_query *query, uint64_t categories)
{
	uint64_t c = categories ^ query->inverted;

	return (c & query->required) == query->required && (!query->any_of || c & query->any_of);
}

#define WALK_ENTRIES 8192

int pagemap_walk(int pagemap_fd, uint64_t start, uint64_t end, const struct pagemap_query *query,
		 uint64_t zero_pfn, pagemap_fn *fn, void *arg, struct error *err)
{
	_cleanup_free_ uint64_t *entries = calloc(WALK_ENTRIES, sizeof(*entries));
	struct joiner joiner = { .fn = fn, .arg = arg };
	uint64_t pages = 0, step;
	bool full = false;
	int r = 0;

	if (!entries)
		return error_nomem(err);
	if (query->protect || query->only_tracked)
		return error_set(err, ERROR_SYSTEM, EOPNOTSUPP,
				 "write tracking needs PAGEMAP_SCAN, which this kernel lacks");
	for (; r == 0 && !full && start < end; start += step * AMBER_PAGE_SIZE) {
		step = MIN((end - start) / AMBER_PAGE_SIZE, (uint64_t)WALK_ENTRIES);
		if (step == 0)
			break;
		r = fd_pread_all(pagemap_fd, entries, step * sizeof(*entries),
				 start / AMBER_PAGE_SIZE * sizeof(*entries), err);
		if (r < 0)
			return error_while(err, r, "reading pagemap at 0x%llx",
					   (unsigned long long)start);
		for (uint64_t i = 0; r == 0 && !full && i < step; i++) {
			uint64_t at = start + i * AMBER_PAGE_SIZE;
			uint64_t categories = pagemap_entry_categories(entries[i], zero_pfn);

			if (!query_matches(query, categories))
				continue;
			r = joiner_add(&joiner, at, at + AMBER_PAGE_SIZE,
				       categories & query->returned, err);
			full = ++pages == query->max_pages;
		}
	}
	if (r == 0)
		r = joiner_flush(&joiner, err);
	return r < 0 ? r : 0;
}

/* Reading a fresh private page maps the zero page; what pagemap says of it then is its frame. */
uint64_t pagemap_zero_pfn(void)
{
	_cleanup_close_ int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	volatile const char *page;
	uint64_t entry = 0;
	void *map;

	map = mmap(NULL, AMBER_PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return 0;
	page = map;
	(void)*page;
	if (fd < 0 || fd_pread_all(fd, &entry, sizeof(entry),
				   (uintptr_t)map / AMBER_PAGE_SIZE * sizeof(entry), NULL) < 0)
		entry = 0;
	munmap(map, AMBER_PAGE_SIZE);
	return entry & ENTRY_PRESENT ? entry & ENTRY_PFN : 0;
}

bool pagemap_has_scan(void)
{
	_cleanup_close_ int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	struct scan_region region;
	struct scan_arg arg;
	uint64_t page = (uintptr_t)&region & ~(AMBER_PAGE_SIZE - 1);

	if (fd < 0)
		return false;
	scan_arg_init(&arg, &PAGEMAP_DATA);
	arg.start = page;
	arg.end = page + AMBER_PAGE_SIZE;
	arg.vec = (uintptr_t)&region;
	arg.vec_len = 1;
	(void)drop_guard(&arg);
	return ioctl(fd, SCAN_IOCTL, &arg) >= 0;
}

struct collection {
	struct page_runs *runs;
	struct arena *arena;
};

static int collect(const struct page_run *run, void *arg, struct error *err)
{
	struct collection *c = arg;
	struct page_runs *runs = c->runs;
	struct page_run *last = runs->n_runs ? &runs->runs[runs->n_runs - 1] : NULL;

	runs->n_pages += (run->end - run->start) / AMBER_PAGE_SIZE;
	if (last && last->end == run->start && last->categories == run->categories) {
		last->end = run->end;
		return 0;
	}
	runs->runs = arena_grow(c->arena, runs->runs, runs->n_runs, sizeof(*runs->runs));
	if (!runs->runs)
		return error_nomem(err);
	runs->runs[runs->n_runs++] = *run;
	return 0;
}

int pagemap_collect(int pagemap_fd, uint64_t start, uint64_t end, const struct pagemap_query *query,
		    struct arena *arena, struct page_runs *ret, struct error *err)
{
	struct collection c = { ret, arena };
	int r;

	r = pagemap_scan(pagemap_fd, start, end, query, collect, &c, NULL, err);
	/* Neither has reported anything by then: the first call is refused. */
	if ((r != -ENOTTY && r != -EINVAL) || query->protect || query->only_tracked)
		return r;
	error_clear(err);
	return pagemap_walk(pagemap_fd, start, end, query, pagemap_zero_pfn(), collect, &c, err);
}
