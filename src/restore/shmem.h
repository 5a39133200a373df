/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shmem: shared anonymous memory: one object, mapped by many tasks.
 *
 * The object is made by pid 1 of the sandbox as what it was (mmap of MAP_SHARED|MAP_ANONYMOUS),
 * filled, and kept as a descriptor through which every task maps it.
 */
#pragma once

#include "restore/run.h"

struct shmem {
	uint64_t shmid;
	uint64_t size; /* bytes, as far as any mapping reaches */
};

/* shmem_is - a mapping of such an object (SysV memory is not). */
bool shmem_is(const Img__Vma *vma);

/* shmem_collect - run->shmems from all mappings of all tasks. Pure. */
int shmem_collect(struct run *run, struct error *err) _must_check_;

/* shmem_fd - the descriptor of an object in every task. -1 when there is none. */
int shmem_fd(const struct run *run, uint64_t shmid);

/* shmem_open_all - in pid 1, while /proc is still the host's: make and fill all objects. */
int shmem_open_all(struct run *run, struct error *err) _must_check_;
