// SPDX-License-Identifier: Apache-2.0
/*
 * feature-probe-memory: finding and tracking pages, tried on pages of our own.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "kernel/feature-probe.h"
#include "kernel/pagemap.h"
#include "kernel/proc-maps.h"
#include "kernel/proc.h"

#define UFFD_WP_UNPOPULATED (1ULL << 13)
#define UFFD_WP_ASYNC	    (1ULL << 15)
#define UFFD_USER_ONLY	    1

enum feature_state probe_pagemap_scan(char *detail)
{
	return pagemap_has_scan() ? FEATURE_YES : FEATURE_NO;
}

enum feature_state probe_pagemap_pfn(char *detail)
{
	return pagemap_zero_pfn() ? FEATURE_YES : FEATURE_DENIED;
}

/* A page just written carries the bit in every kernel that keeps it; nothing has to be cleared
 * first. */
enum feature_state probe_soft_dirty(char *detail)
{
	_cleanup_close_ int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	struct error err = ERROR_INIT;
	uint64_t entry = 0;
	char *page;
	int r;

	page = mmap(NULL, AMBER_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	if (fd < 0 || page == MAP_FAILED)
		return feature_errno(errno, detail);
	*(volatile char *)page = 1;
	r = fd_pread_all(fd, &entry, sizeof(entry),
			 (uintptr_t)page / AMBER_PAGE_SIZE * sizeof(entry), &err);
	munmap(page, AMBER_PAGE_SIZE);
	if (r < 0)
		return feature_errno(-r, detail);
	return pagemap_entry_categories(entry, 0) & PAGEMAP_SOFT_DIRTY ? FEATURE_YES : FEATURE_NO;
}

enum feature_state probe_uffd_wp_async(char *detail)
{
	_cleanup_close_ int fd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_ONLY);
	struct uffdio_api api = { .api = UFFD_API };

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0)
		return feature_errno(errno, detail);
	if (!(api.features & UFFD_WP_ASYNC) || !(api.features & UFFD_WP_UNPOPULATED))
		return FEATURE_NO;
	return pagemap_has_scan() ? FEATURE_YES : FEATURE_NO;
}

/* Our own program is mapped from a file. */
enum feature_state probe_map_files(char *detail)
{
	_cleanup_close_ int proc = -1, fd = -1;
	struct arena arena = ARENA_INIT;
	struct error err = ERROR_INIT;
	struct proc_maps maps = { 0 };
	char path[64] = "";
	int r;

	r = proc_open(getpid(), &proc, &err);
	if (r == 0)
		r = proc_maps_read(proc, PROC_MAPS_ONLY, &arena, &maps, &err);
	for (size_t i = 0; i < maps.n_vmas && !path[0]; i++)
		if (maps.vmas[i].kind == PROC_VMA_FILE)
			snprintf(path, sizeof(path), "map_files/%llx-%llx",
				 (unsigned long long)maps.vmas[i].start,
				 (unsigned long long)maps.vmas[i].end);
	arena_deinit(&arena);
	if (r < 0)
		return feature_errno(-r, detail);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? feature_errno(errno, detail) : FEATURE_YES;
}
