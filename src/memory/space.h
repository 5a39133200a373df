/* SPDX-License-Identifier: Apache-2.0 */
/*
 * space: a puppet's address space becomes the one of the image.
 *
 * By scripts only: clear, map, fill, finish. The scratch area survives (puppet_release() removes
 * it) and all descriptors named here are numbers in the puppet. What cannot be mapped is decided by
 * the caller before; here every failure is an error.
 */
#pragma once

#include "memory/fill.h"
#include "task/puppet.h"

enum space_vma_kind {
	SPACE_SKIP, /* not restored: the caller has said why */
	SPACE_ANON, /* private anonymous memory */
	SPACE_FILE, /* a file, a memfd, or shared anonymous memory behind a descriptor */
	SPACE_SYSV, /* SysV shared memory */
};

struct space_vma {
	enum space_vma_kind kind;
	int fd;	     /* of SPACE_FILE */
	bool reopen; /* the descriptor's access mode is not the mapping's: open it anew for that */
	int sysv_id; /* of SPACE_SYSV */
};

struct space {
	struct op *op;
	struct puppet *puppet;
	uint64_t area, area_size; /* scratch area of scripts */
	uint64_t park;		  /* free room in both spaces, SPACE_PARK_SIZE bytes */
	const Img__Mm *mm;
	const struct space_vma *vmas; /* as mm->vmas */
	struct fill_plan fill;
	int proc_fd; /* a /proc, for reopening */
	int exe_fd;  /* -1: the executable cannot be had */
	pid_t pid;   /* in the container, for errors */

	bool vdso_differs; /* result: the image's vdso is not this kernel's */
};

#define SPACE_PARK_SIZE (256 * AMBER_PAGE_SIZE)
#define SPACE_AREA_SIZE (512 * AMBER_PAGE_SIZE)

/* space_build - all of it. The puppet has one thread and stands. Returns 0 or a negative errno; the
 * puppet is then good for nothing and has to be killed. */
int space_build(struct space *space, struct error *err) _must_check_;
