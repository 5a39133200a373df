/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file-index: every open file description once, however many descriptors share it.
 *
 * Two descriptors share a description exactly when kcmp(KCMP_FILE) says so; it is asked only for
 * those with equal device, inode, position and flags.
 */
#pragma once

#include "object/capture.h"

struct file_index;

/* file_index_new - NULL when memory is exhausted. */
struct file_index *file_index_new(void);

/* file_index_free - also releases the contents of deleted files, which the image set borrows: only
 * after the images are written. Accepts NULL. */
void file_index_free(struct file_index *index);

/*
 * file_index_find - has this description been captured?
 * @facts: task, fd, st, pos and flags are used
 * *ret_id: its id, a fresh one when it is new. Returns 1 when known, 0 when new, or an error.
 */
int file_index_find(struct capture *cap, const struct fd_facts *facts, uint32_t *ret_id,
		    struct error *err) _must_check_;

/*
 * file_index_find_path - the same for what is not a descriptor (reg_file_capture()): equal file,
 * mount, name and flags are one entry. Returns as file_index_find().
 */
int file_index_find_path(struct capture *cap, const struct fd_facts *facts, uint32_t *ret_id,
			 struct error *err) _must_check_;

/* file_index_add - remember the entry of an id and put it into the files image. */
int file_index_add(struct capture *cap, Img__FileEntry *entry, struct error *err) _must_check_;

/* file_captured - the entry of a captured id, NULL when it became a gap. */
Img__FileEntry *file_captured(struct capture *cap, uint32_t id);

/* A number that the index keeps for another inode: the ghost file of a deleted one. Returns the
 * number, 0 when there is none. */
uint32_t file_index_ghost(const struct file_index *index, uint64_t dev, uint64_t ino);
int file_index_ghost_add(struct file_index *index, uint64_t dev, uint64_t ino, uint32_t id,
			 struct error *err) _must_check_;

/* file_index_keep - hand a mapping over to the index; it is unmapped by file_index_free(). */
int file_index_keep(struct file_index *index, void *map, size_t len,
		    struct error *err) _must_check_;

/* One descriptor of the task whose descriptors are being captured. */
struct file_slot {
	int fd;
	uint64_t dev, ino;
	uint32_t flags; /* O_* with O_CLOEXEC of the descriptor */
	uint32_t id;
	Img__FdTypes type;
};

/* file_index_slots - all descriptors of the task that fd_capture_task() is at, ascending. Valid
 * inside capture() of kinds that look at other descriptors (epoll). */
const struct file_slot *file_index_slots(const struct file_index *index, size_t *ret_n);
void file_index_set_slots(struct file_index *index, const struct file_slot *slots, size_t n);

/* file_index_path - a link text of /proc as the container's root sees it; NULL when it is outside
 * of that root. Borrowed from link or from the index. */
int file_index_path(struct capture *cap, const char *link, const char **ret,
		    struct error *err) _must_check_;
