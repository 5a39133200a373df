/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anon: shared anonymous memory: one object, mapped by many tasks.
 *
 * The object is made by pid 1 of the sandbox as what it was (mmap of MAP_SHARED|MAP_ANONYMOUS),
 * filled, and kept as a descriptor through which every task maps it.
 */
#pragma once

#include "restore/run.h"

struct anon {
	uint64_t shmid;
	uint64_t size; /* bytes, as far as any mapping reaches */
};

/* anon_is - a mapping of such an object (SysV memory is not). */
bool anon_is(const Img__Vma *vma);

/* anon_collect - run->anons from all mappings of all tasks. Pure. */
int anon_collect(struct run *run, struct error *err) _must_check_;

/* anon_fd - the descriptor of an object in every task. -1 when there is none. */
int anon_fd(const struct run *run, uint64_t shmid);

/* anon_open_all - in pid 1, while /proc is still the host's: make and fill all objects. */
int anon_open_all(struct run *run, struct error *err) _must_check_;
