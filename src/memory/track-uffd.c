// SPDX-License-Identifier: Apache-2.0
/*
 * track-uffd: writes are noticed by asynchronous userfaultfd write protection (Linux >= 6.7,
 * Documentation/admin-guide/mm/userfaultfd.rst): a fault on a protected page takes the protection
 * off in the kernel and goes on; nobody waits for us, and kernel-mode writes need no privilege.
 *
 * The descriptor is made in the process and taken out of it; it holds nothing but the registration,
 * which ends with it. Never registers what the process has registered itself, never protects
 * mappings that are not ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kernel/pidfd.h"
#include "kernel/proc-stat.h"
#include "kernel/proc-status.h"
#include "memory/track-impl.h"
#include "task/script.h"
#include "task/visit.h"

/* Of linux/userfaultfd.h since Linux 5.11, 5.19, 6.4 and 6.7. */
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#define FEATURES                                                                                   \
	(1ULL << 0 /* WP */ | 1ULL << 12 /* HUGETLBFS_SHMEM */ | 1ULL << 13 /* UNPOPULATED */ |    \
	 1ULL << 15 /* ASYNC */)
#define UFFD_FLAGS (O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY)

#define HUGE	      (2ULL << 20)
#define ROUND_CHUNK   (32ULL << 20) /* walked under one read lock of the mappings: 0.1 ms */
#define CLOSE_CHUNK   (8ULL << 20)  /* of data, let go under one write lock: 0.1 ms */
#define WORTH_IT      (64ULL << 10) /* less data than this is copied in the stop */
#define OWN_WORTH     (1ULL << 20)  /* the same for a file's own pages: these cost more to ask */
#define HOLES_MAX     (4ULL << 30)  /* protecting holes costs page tables, a 512th of this */
#define ROOM_NS	      50000
#define ROOM_EVERY_NS 40000
#define NOWHERE	      0x7fffffffe000ULL /* the last page below 47 bits: no mapping gets there */

/*
 * The kernel lets a waiter have the lock of the mappings for certain only after 4 ms: one that
 * takes it again and again must leave it free for as long as a waiter needs to wake up.
 */
static void leave_room(struct track *t)
{
	if (clock_ns() - t->left_room_ns < ROOM_EVERY_NS)
		return;
	nanosleep(&(struct timespec){ .tv_nsec = ROOM_NS }, NULL);
	t->left_room_ns = clock_ns();
}

static bool handshake(int fd)
{
	struct uffdio_api api = { .api = UFFD_API, .features = FEATURES };

	return ioctl(fd, UFFDIO_API, &api) == 0;
}

static int register_range(int fd, uint64_t start, uint64_t end)
{
	struct uffdio_register reg = { { start, end - start }, UFFDIO_REGISTER_MODE_WP, 0 };

	return ioctl(fd, UFFDIO_REGISTER, &reg) < 0 ? -errno : 0;
}

static int count_page(const struct page_run *run, void *arg, struct error *err)
{
	*(uint64_t *)arg += (run->end - run->start) / AMBER_PAGE_SIZE;
	return 0;
}

/* Two pages of our own: both are written and protected, one is written again. */
static bool tells_writes(int uffd, int pagemap_fd, volatile char *pages)
{
	const uint64_t start = (uintptr_t)pages, end = start + 2 * AMBER_PAGE_SIZE;
	struct pagemap_query query = { .required = PAGEMAP_WRITTEN,
				       .any_of = TRACK_DATA,
				       .returned = PAGEMAP_WRITTEN,
				       .protect = true };
	uint64_t first = 0, second = 0;

	pages[0] = pages[AMBER_PAGE_SIZE] = 1;
	if (register_range(uffd, start, end) < 0 ||
	    pagemap_scan(pagemap_fd, start, end, &query, count_page, &first, NULL, NULL) < 0)
		return false;
	pages[AMBER_PAGE_SIZE] = 2;
	return pagemap_scan(pagemap_fd, start, end, &query, count_page, &second, NULL, NULL) == 0 &&
	       first == 2 && second == 1;
}

bool track_uffd_probe(void)
{
	_cleanup_close_ int pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int uffd = (int)syscall(SYS_userfaultfd, UFFD_FLAGS);
	bool works = false;
	void *pages;

	if (pagemap_fd < 0 || uffd < 0 || !handshake(uffd))
		return false;
	pages = mmap(NULL, 2 * AMBER_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0);
	if (pages == MAP_FAILED)
		return false;
	works = tells_writes(uffd, pagemap_fd, pages);
	munmap(pages, 2 * AMBER_PAGE_SIZE);
	return works;
}

/* A descriptor on its way from the process to us. */
struct passage {
	uint64_t above; /* where its number may lie; 0 = anywhere */
	int fd;
};

/*
 * Other threads run on, and one of them may be about to count on the lowest free number: the
 * descriptor leaves it at once for one further up.
 */
static int make_descriptor(struct script *s, const struct passage *passage)
{
	int fd, high;

	fd = script_need(s, SYS_userfaultfd, UFFD_FLAGS);
	if (!passage->above) {
		script_heal_call(s, SYS_close, SCRIPT_RESULT(fd));
		return fd;
	}
	high = script_call(s, SYS_fcntl, SCRIPT_RESULT(fd), F_DUPFD_CLOEXEC, passage->above);
	script_call(s, SYS_close, SCRIPT_RESULT(fd));
	script_heal_call(s, SYS_close, SCRIPT_RESULT(high));
	return high;
}

/* The task_visit_fn: make it, take it, close it there. */
static int fetch_descriptor(struct op *op, struct task_tree *tree, struct thread *thread, void *arg,
			    struct error *err)
{
	_cleanup_script_ struct script *s = NULL;
	struct passage *passage = arg;
	int64_t there;
	int r, made;

	r = script_begin(op, tree, thread, false, &s, err);
	if (r < 0)
		return r;
	made = make_descriptor(s, passage);
	r = script_run(s, err);
	if (r < 0)
		return r;
	there = script_result(s, made);
	if (there < 0)
		return error_errno(err, there == SCRIPT_NOT_RUN ? EPERM : (int)-there,
				   "making a userfaultfd in it");
	r = pidfd_take_fd(thread->task->pidfd, (int)there, &passage->fd, err);
	script_unheal(s);
	script_call(s, SYS_close, there);
	if (script_run(s, r < 0 ? NULL : err) < 0 && r == 0)
		r = -ESRCH;
	if (script_end(&s, r < 0 ? NULL : err) < 0 && r == 0)
		r = -ESRCH;
	return r;
}

/* A number that is surely not the lowest free one, within the table that the process has. */
static uint64_t high_number(const struct track *t)
{
	struct arena scratch = ARENA_INIT;
	struct proc_status status;
	uint64_t above = 0;

	if (proc_status_read(t->proc_fd, &scratch, &status, NULL) == 0 && status.threads > 1)
		above = status.fd_size - status.fd_size / 4;
	arena_deinit(&scratch);
	return above;
}

int track_uffd_open(struct track *t, struct error *err)
{
	struct passage passage = { .above = high_number(t), .fd = -1 };
	int r;

	r = task_visit(t->op, t->pid, fetch_descriptor, &passage, &t->stood_ns, err);
	if (r == -EINVAL && passage.above) { /* above its limit of open files */
		passage.above = 0;
		error_clear(err);
		r = task_visit(t->op, t->pid, fetch_descriptor, &passage, &t->stood_ns, err);
	}
	t->uffd = passage.fd;
	if (r == 0 && !handshake(t->uffd))
		r = error_errno(err, EOPNOTSUPP, "this kernel lacks asynchronous write protection");
	if (r == 0)
		op_debug(t->op, "task %d is tracked, it stood %llu us for that", t->pid,
			 (unsigned long long)t->stood_ns / 1000);
	return r == 0 || r == -ESRCH || r == -ENOMEM || r == -ECANCELED ? r : -EOPNOTSUPP;
}

bool track_uffd_alive(const struct track *t)
{
	struct uffdio_writeprotect nothing = { { NOWHERE, AMBER_PAGE_SIZE }, 0 };

	/* -ENOENT as a rule: nothing is registered there. */
	return ioctl(t->uffd, UFFDIO_WRITEPROTECT, &nothing) == 0 || errno != ESRCH;
}

static bool starts_with(const char *s, const char *prefix)
{
	return s && strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Which kind of area a mapping would be; false = none. */
static bool area_kind_of(const struct proc_vma *vma, enum area_kind *ret)
{
	bool hugetlb = starts_with(vma->path, "/anon_hugepage");

	switch (vma->kind) {
	case PROC_VMA_ANON:
	case PROC_VMA_HEAP:
	case PROC_VMA_STACK:
		*ret = vma->shared ? AREA_SHARED : AREA_PRIVATE;
		return true;
	case PROC_VMA_ANON_SHARED:
		*ret = AREA_SHARED;
		return vma->shared;
	case PROC_VMA_FILE:
		if (!vma->shared) {
			*ret = hugetlb ? AREA_PRIVATE : AREA_OWN;
			return true;
		}
		*ret = AREA_SHARED;
		return hugetlb || starts_with(vma->path, "/SYSV") ||
		       starts_with(vma->path, "/memfd:");
	default:
		return false;
	}
}

/* Enough data to be worth it? Where smaps was not read, what might be there counts. */
static bool worth_it(const struct proc_vma *vma, enum area_kind kind)
{
	uint64_t size = vma->end - vma->start;

	switch (kind) {
	case AREA_SHARED:
		return size >= WORTH_IT &&
		       (size <= HOLES_MAX || (vma->has_smaps && vma->rss >= size / 8));
	case AREA_OWN:
		return vma->has_smaps && vma->anonymous + vma->swap >= OWN_WORTH;
	case AREA_PRIVATE:
		break;
	}
	if (!vma->has_smaps || vma->vmflags & PROC_VMF_HT)
		return size >= WORTH_IT;
	return vma->anonymous + vma->swap >= WORTH_IT;
}

static bool trackable(const struct proc_vma *vma)
{
	const uint64_t never = PROC_VMF_PF | PROC_VMF_IO | PROC_VMF_MM | PROC_VMF_SS | PROC_VMF_DP |
			       PROC_VMF_UM | PROC_VMF_UI;

	/* A shared mapping that can never be written is nobody's way to write. */
	return !(vma->vmflags & never) &&
	       !(vma->has_smaps && vma->shared && !(vma->vmflags & PROC_VMF_MW));
}

/* The first area that ends behind addr, from *at on. */
static const struct track_area *area_behind(const struct track *t, uint64_t addr, size_t *at)
{
	while (*at < t->n_areas && t->areas[*at].end <= addr)
		++*at;
	return *at < t->n_areas ? &t->areas[*at] : NULL;
}

/*
 * Is the mapping one that rounds have walked? It may have grown meanwhile; what it has gained is
 * known to have been written. Where smaps does not show our registration, the mapping is another
 * one in the same place.
 */
static bool walked(const struct proc_vma *vma, enum area_kind kind, const struct track_area *area)
{
	if (!area || area->start >= vma->end || area->kind != kind || area->fresh ||
	    (vma->has_smaps && !(vma->vmflags & PROC_VMF_UW)))
		return false;
	return kind != AREA_SHARED || (area->start <= vma->start && vma->end <= area->end);
}

int track_uffd_cover(struct track *t, const struct proc_maps *maps, struct error *err)
{
	_cleanup_free_ struct track_area *areas = calloc(maps->n_vmas + 1, sizeof(*areas));
	size_t n = 0, at = 0;

	if (!areas)
		return error_nomem(err);
	for (size_t i = 0; i < maps->n_vmas; i++) {
		const struct proc_vma *vma = &maps->vmas[i];
		const struct track_area *old = area_behind(t, vma->start, &at);
		enum area_kind kind;
		bool known;
		int r;

		if (!area_kind_of(vma, &kind) || !trackable(vma))
			continue;
		known = walked(vma, kind, old);
		if (!known && !worth_it(vma, kind))
			continue;
		r = register_range(t->uffd, vma->start, vma->end);
		if (r == -ESRCH)
			return error_set(err, ERROR_NOT_FOUND, ESRCH, "it has ended");
		/* Registered by the process itself (-EBUSY), or gone: copied in the stop. */
		if (r == 0)
			areas[n++] = (struct track_area){ .start = vma->start,
							  .end = vma->end,
							  .kind = kind,
							  .hugetlb = vma->vmflags & PROC_VMF_HT ||
								     starts_with(vma->path,
										 "/anon_hugepage"),
							  .fresh = !known };
	}
	free(t->areas);
	t->areas = TAKE_PTR(areas);
	t->n_areas = n;
	return 0;
}

static int skip_run(const struct page_run *run, void *arg, struct error *err)
{
	return 0;
}

/*
 * How far to go in one step from here: as far as there are so many bytes of data; in reservations
 * of terabytes with little in them that is far. Steps end where huge pages do: protecting a part of
 * one would split it.
 */
static uint64_t step_end(struct track *t, const struct track_area *area, uint64_t at,
			 uint64_t bytes)
{
	const struct pagemap_query query = { .any_of = TRACK_DATA,
					     .max_pages = bytes / AMBER_PAGE_SIZE };
	uint64_t end = at + bytes;

	if (area->hugetlb)
		return area->end;
	if (area->kind != AREA_SHARED && pagemap_scan_in(&t->room, t->pagemap_fd, at, area->end,
							 &query, skip_run, NULL, &end, NULL) < 0)
		end = at + bytes;
	return MIN(area->end, (end + HUGE - 1) & ~(HUGE - 1));
}

/* Private memory: what holds data, and was written since the last round. */
static int round_private(struct track *t, const struct track_area *area, uint64_t start,
			 uint64_t end, pagemap_fn *fn, void *arg, struct error *err)
{
	uint64_t not = TRACK_NO_DATA | (area->kind == AREA_OWN ? PAGEMAP_FILE : 0);
	struct pagemap_query query = { .inverted = not,
				       .required = not | (area->fresh ? 0 : PAGEMAP_WRITTEN),
				       .any_of = TRACK_DATA,
				       .protect = true };

	return pagemap_scan_in(&t->room, t->pagemap_fd, start, end, &query, fn, arg, NULL, err);
}

static int add_to_list(const struct page_run *run, void *arg, struct error *err)
{
	return page_list_add(arg, run->start, run->end, 0, err);
}

/*
 * Shared memory: what is not marked as protected, there or not. PAGEMAP_SCAN tells WRITTEN alone by
 * a walk of its own, in which an empty entry counts as written and is marked; it passes over places
 * without a page table, which are asked for by themselves.
 */
static int round_shared(struct track *t, const struct track_area *area, uint64_t start,
			uint64_t end, pagemap_fn *fn, void *arg, struct error *err)
{
	const struct pagemap_query written = { .required = PAGEMAP_WRITTEN,
					       .returned = PAGEMAP_WRITTEN,
					       .protect = true };
	const struct pagemap_query holes = { .inverted = TRACK_DATA,
					     .required = TRACK_DATA,
					     .protect = true };
	struct uffdio_writeprotect wp = { { start, end - start }, UFFDIO_WRITEPROTECT_MODE_WP };
	int r;

	if (area->fresh) {
		if (ioctl(t->uffd, UFFDIO_WRITEPROTECT, &wp) < 0 && errno != ENOENT)
			return error_errno(err, errno, "write-protecting 0x%llx-0x%llx",
					   (unsigned long long)start, (unsigned long long)end);
		return fn(&(struct page_run){ start, end, 0 }, arg, err);
	}
	page_list_clear(&t->written);
	r = pagemap_scan_in(&t->room, t->pagemap_fd, start, end, &written, add_to_list, &t->written,
			    NULL, err);
	if (r == 0)
		r = pagemap_scan_in(&t->room, t->pagemap_fd, start, end, &holes, add_to_list,
				    &t->written, NULL, err);
	page_list_sort(&t->written);
	for (size_t i = 0; r == 0 && i < t->written.n_runs; i++)
		r = fn(&t->written.runs[i], arg, err);
	return r;
}

static int round_area(struct track *t, const struct track_area *area, pagemap_fn *fn, void *arg,
		      struct error *err)
{
	uint64_t end;
	int r = 0;

	for (uint64_t at = area->start; r == 0 && at < area->end; at = end) {
		end = step_end(t, area, at, ROUND_CHUNK);
		leave_room(t);
		r = op_cancelled(t->op, err);
		if (r == 0)
			r = page_list_add(&t->steps, at, end, t->steps.n_runs, err);
		if (r == 0)
			r = area->kind == AREA_SHARED
				    ? round_shared(t, area, at, end, fn, arg, err)
				    : round_private(t, area, at, end, fn, arg, err);
	}
	return r;
}

int track_uffd_round(struct track *t, pagemap_fn *fn, void *arg, struct error *err)
{
	int r = 0;

	page_list_clear(&t->steps);
	for (size_t i = 0; r == 0 && i < t->n_areas; i++) {
		r = round_area(t, &t->areas[i], fn, arg, err);
		t->areas[i].fresh = t->areas[i].fresh && r < 0;
	}
	if (r >= 0 && !track_uffd_alive(t))
		r = error_set(err, ERROR_NOT_FOUND, ESRCH, "it has ended, or runs another program");
	return r;
}

/*
 * Letting go of a mapping as a whole would hold the write lock for 6 ms per GiB. A part of it is a
 * mapping of its own for as long as it takes to get to the next, and then joins the one before.
 */
static void let_go(struct track *t, const struct track_area *area)
{
	uint64_t end;

	for (uint64_t at = area->start; at < area->end; at = end) {
		struct uffdio_range range;

		end = step_end(t, area, at, CLOSE_CHUNK);
		range = (struct uffdio_range){ at, end - at };
		leave_room(t);
		/* What cannot be let go so (a limit of mappings) goes with the descriptor. */
		if (ioctl(t->uffd, UFFDIO_UNREGISTER, &range) < 0 &&
		    (errno == ENOMEM || errno == ESRCH))
			return;
	}
}

void track_uffd_close(struct track *t)
{
	for (size_t i = 0; t->uffd >= 0 && i < t->n_areas; i++)
		let_go(t, &t->areas[i]);
	if (t->uffd >= 0)
		close(t->uffd);
	t->uffd = -1;
}
