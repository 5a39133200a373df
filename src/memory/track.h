/* SPDX-License-Identifier: Apache-2.0 */
/*
 * track: which pages of a running process were written since they were last copied.
 *
 * One tracker an address space. Trackers are chosen by probing: userfaultfd write protection in
 * asynchronous mode together with PAGEMAP_SCAN (Linux >= 6.7: Documentation/admin-guide/mm/
 * pagemap.rst and userfaultfd.rst), soft-dirty bits where the kernel has them, or none. The kernel
 * keeps the state; when our descriptor closes, however that comes, it is gone. What the process
 * itself does with userfaultfd is never touched: such mappings are simply not tracked.
 */
#pragma once

#include "base/op.h"
#include "kernel/pagemap.h"
#include "kernel/proc-maps.h"

enum track_kind { TRACK_NONE, TRACK_UFFD_WP, TRACK_SOFT_DIRTY };

/* For page_run.categories of a range. */
#define TRACK_OWN_PAGES (1ULL << 62) /* a private mapping of a file: only pages of its own */
#define TRACK_SHARED	(1ULL << 63) /* shared memory: also pages that nobody has mapped yet count */

struct track;

/* track_probe - the best tracker of this kernel, found by trying it on a page of our own. */
enum track_kind track_probe(void);

/*
 * track_open - begin to track a process that runs.
 * @kind: of track_probe(). With TRACK_UFFD_WP one thread of the process is stopped for less than a
 *        millisecond, in which a script makes the descriptor there; nothing of it stays in the
 *        process but the kernel's registration.
 * @proc_fd: /proc/<pid>; must stay open
 * -ESRCH when the process has ended, -EOPNOTSUPP when it cannot be tracked (32-bit, no place for a
 * script, its policy forbids the call): the caller then copies all of it in the stop.
 */
int track_open(struct op *op, enum track_kind kind, pid_t pid, int proc_fd, struct track **ret,
	       struct error *err) _must_check_;

/* track_stood_ns - how long a thread of the process stood still in track_open(). */
uint64_t track_stood_ns(const struct track *t);

/*
 * track_cover - also track these mappings; those that are already covered stay as they are.
 * Skips what is not worth it or cannot be tracked: small mappings, special ones, those that the
 * process has registered with a userfaultfd of its own.
 * @maps: of now; with PROC_MAPS_SMAPS small ones are known by what is in them, without it by their
 *        size, and mappings of files are left out
 * To be called before each round: what was unmapped and mapped anew is tracked anew.
 */
int track_cover(struct track *t, const struct proc_maps *maps, struct error *err) _must_check_;

/*
 * track_round - one round while the process runs: every page that holds data and was written since
 * the round before (in the first: every page that holds data) is reported, and from the same
 * instant on protected again. Only covered mappings are walked.
 * Takes the process's mmap lock for short whiles only. Runs ascend. Pages of shared mappings are
 * reported too, by address: the caller knows which object and offset that is; there a page that no
 * mapping of this process has touched is protected as well (WP_UNPOPULATED), so that a page that
 * was written and then let go (MADV_DONTNEED) still counts as written. The first round reports the
 * whole of a shared mapping: which pages of it hold data, its object tells (SEEK_DATA).
 * -ESRCH when the process has ended or runs another program.
 * What comes into memory not through page tables is not seen: direct I/O and io_uring into pages
 * that were pinned before the round, write(2) to a memfd.
 */
int track_round(struct track *t, pagemap_fn *fn, void *arg, struct error *err) _must_check_;

/*
 * track_last - in the stop, once: all pages that hold data, in the whole address space, ascending;
 * run.categories has PAGEMAP_WRITTEN where the page is not known to be as the last round reported
 * it (also whatever is not covered). Private mappings of files: only pages of the process's own.
 * @ranges: the mappings at the stop whose pages are wanted, ascending, with TRACK_OWN_PAGES or
 *          TRACK_SHARED as categories where it applies; pages outside of them are not reported.
 *          Shared mappings are reported whole, with and without PAGEMAP_WRITTEN; leave out those
 *          that can never be written (no PROC_VMF_MW): they are not tracked, and count as written
 */
int track_last(struct track *t, const struct page_run *ranges, size_t n_ranges, pagemap_fn *fn,
	       void *arg, struct error *err) _must_check_;

/*
 * track_close - after the thaw: take off protection and registration, in small steps so that no
 * thread of the process waits noticeably for the mmap lock; free. *t is NULL afterwards.
 */
void track_close(struct track **t);
