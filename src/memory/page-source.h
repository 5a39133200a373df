/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page-source: where the bytes of pages come from: an address space, or a file of shared memory.
 */
#pragma once

#include <sys/types.h>

struct page_source {
	pid_t pid;  /* a task of ours to read, 0 = read shmem_fd */
	int mem_fd; /* /proc/<pid>/mem, for pages that the task itself may not read; -1 = none */
	int shmem_fd;
};
