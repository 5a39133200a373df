/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run: one checkpoint under way, shared by the files of this folder and by nobody else.
 */
#pragma once

#include <time.h>

#include "archive/writer.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/precopy.h"
#include "object/capture.h"
#include "object/file-facts.h"
#include "object/shmem.h"
#include "task/seize.h"

/* One pages image: what of an address space or shared memory object is in the checkpoint. */
struct checkpoint_pages {
	uint32_t id;			   /* pages-<id>.img */
	const struct task *task;	   /* whose address space, NULL = shared memory */
	const Img__Mm *mm;		   /* what is mapped in it */
	const struct shmem_object *object; /* or the object; NULL = address space */
	struct precopy_space *known;	   /* as rounds know it; NULL = new */
	struct page_space *space;
	struct page_list runs; /* with PAGEMAP_WRITTEN: copied in the stop */
	uint64_t offset;       /* in the archive */
	int mem_fd;	       /* owned where known is NULL */
};

/* A mapping of shared memory as it was at the stop. */
struct checkpoint_window {
	pid_t pid;
	uint64_t start, end, pgoff, ino;
};

struct checkpoint {
	struct op op; /* a copy of the caller's, with our log */
	const struct checkpoint_request *request;
	struct checkpoint_result *result;
	struct buf log; /* becomes dump.log */
	struct image_set set;
	struct gap_list *gaps; /* the result's */
	struct task_tree tree;
	struct capture cap;
	struct file_facts_list facts;
	struct shmem_list shmem;
	struct checkpoint_mm **mms; /* mm.c: for the look after the thaw */
	size_t n_mms;
	int proc_fd; /* of the root task, opened before the stop */
	struct archive_writer archive;
	struct precopy *precopy;
	uint64_t memory_estimate; /* bytes */
	struct checkpoint_pages **pages;
	size_t n_pages;
	struct checkpoint_window *windows; /* by pid and address, ascending */
	size_t n_windows;
	uint64_t pages_scanned, pages_written, pages_last; /* the last: copied in the stop */
	struct timespec started, stopped, resumed;	   /* CLOCK_REALTIME */
	uint64_t started_ns;				   /* CLOCK_MONOTONIC */
	uint64_t memory_ns;				   /* spent on copying pages in the stop */
	const char *stdio[3];	      /* links of the init's standard streams */
	struct checkpoint_diff *diff; /* rootfs-diff.c */
	struct rootfs *rootfs;	      /* found before the stop, NULL = none */
};

/* namespaces.c - which namespaces the root task is in; fills cap.ns. Before the stop. */
int checkpoint_identify_namespaces(struct checkpoint *c, struct error *err) _must_check_;
/* Their contents: of those that change slowly before the stop, of the others in it, after the
 * tasks. */
int checkpoint_capture_namespaces_early(struct checkpoint *c, struct error *err) _must_check_;
int checkpoint_capture_namespaces(struct checkpoint *c, struct error *err) _must_check_;
/* The ids that the image set gives the root's namespaces; nested ones become gaps. */
int checkpoint_ns_ids(struct checkpoint *c, struct task *task, Img__TaskKobjIds *ids,
		      struct error *err) _must_check_;
/* inventory.img, which says what the image set is. */
int checkpoint_inventory(struct checkpoint *c, struct error *err) _must_check_;

/* tasks.c - process tree, cores, descriptors, files, memory maps of every task. In the stop. */
int checkpoint_capture_tasks(struct checkpoint *c, struct error *err) _must_check_;

/* mm.c - the memory map of one task, in the stop. */
int checkpoint_capture_mm(struct checkpoint *c, struct task *task, Img__Mm **ret,
			  struct error *err) _must_check_;
/* mm.c - what smaps tells of mappings that no look saw before the stop; and mappings that only our
 * tracking kept apart become one. After the thaw, when nothing is tracked any more. */
int checkpoint_review_mms(struct checkpoint *c, struct error *err) _must_check_;

/* rounds.c - memory in rounds while the container runs. Before the stop; the end after the thaw.
 */
int checkpoint_precopy(struct checkpoint *c, struct error *err) _must_check_;
void checkpoint_precopy_end(struct checkpoint *c);
void checkpoint_precopy_free(struct checkpoint *c);

/* pages.c - which pages are in the checkpoint, and the copying of those that rounds have not. In
 * the stop. */
int checkpoint_add_pages(struct checkpoint *c, const struct task *task, const Img__Mm *mm,
			 struct error *err) _must_check_;
int checkpoint_add_window(struct checkpoint *c, const struct task *task, const struct proc_vma *vma,
			  struct error *err) _must_check_;
int checkpoint_plan_pages(struct checkpoint *c, struct error *err) _must_check_;
int checkpoint_plan_shmem(struct checkpoint *c, struct error *err) _must_check_;
int checkpoint_copy_pages(struct checkpoint *c, struct error *err) _must_check_;
void checkpoint_pages_free(struct checkpoint *c);
/* pages.c - pagemaps, and every page to its place in the archive. After the thaw. */
int checkpoint_settle_pages(struct checkpoint *c, struct error *err) _must_check_;

/* metadata.c - where the standard streams lead; in the stop. */
int checkpoint_note_stdio(struct checkpoint *c, struct error *err) _must_check_;
/* metadata.c - config.dump, spec.dump, statistics, amber.json. After the thaw. */
int checkpoint_write_metadata(struct checkpoint *c, struct error *err) _must_check_;
int checkpoint_write_record(struct checkpoint *c, struct error *err) _must_check_;

/* write.c - the image files. After the thaw. */
int checkpoint_write_images(struct checkpoint *c, struct error *err) _must_check_;

/* rootfs-diff.c - the container's files in rounds: before the stop (follow: what changed by now,
 * the later the shorter the stop), and what changed since in the stop; put together after the thaw.
 */
int checkpoint_copy_rootfs(struct checkpoint *c, struct error *err) _must_check_;
int checkpoint_follow_rootfs(struct checkpoint *c, struct error *err) _must_check_;
int checkpoint_recopy_rootfs(struct checkpoint *c, struct error *err) _must_check_;
void checkpoint_rootfs_free(struct checkpoint *c);
int checkpoint_write_rootfs(struct checkpoint *c, struct error *err) _must_check_;
