/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shmem: memory that several mappings or descriptors share: anonymous shared memory and memfds.
 *
 * Capture only collects it: checkpoint/ has each object dumped as pagemap-shmem-<shmid>. Anonymous
 * memory is restored by restore/anon.h, memfds by object/memfd.h.
 */
#pragma once

#include "object/capture.h"
#include "object/restore.h"

struct shmem_object {
	uint64_t shmid; /* as CRIU numbers them: the inode */
	uint64_t size;	/* bytes; a page multiple for anonymous memory */
	int fd;		/* opened for reading only, owned by the list; data begins at offset 0 */
};

struct shmem_list {
	struct arena arena;
	struct shmem_object *objects;
	size_t n_objects;
};

#define SHMEM_LIST_INIT ((struct shmem_list){ 0 })

void shmem_list_deinit(struct shmem_list *list);

/*
 * shmem_add - note a shared memory object (once; the largest size counts).
 * @fd: any descriptor of it, O_PATH too; stays the caller's. The list opens its own through
 * /proc/self/fd, for reading only: a mapping of it then never stands in the way of a seal.
 */
int shmem_add(struct shmem_list *list, uint64_t shmid, uint64_t size, int fd,
	      struct error *err) _must_check_;

/*
 * shmem_fill - give a fresh object its size and the content of pagemap-shmem-<shmid>.
 * @fd: open for writing. Reads rst->pages. Returns 0 or an error.
 */
int shmem_fill(struct restore *rst, uint64_t shmid, uint64_t size, int fd,
	       struct error *err) _must_check_;
