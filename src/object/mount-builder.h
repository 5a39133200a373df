/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount-builder: what the two halves of restoring mounts share: mount-make.c makes detached mounts,
 * mount-restore.c puts them together. Of no use to anyone else.
 */
#pragma once

#include "object/mount-fs.h"
#include "object/mount.h"

enum point_state { POINT_WAITS, POINT_DONE, POINT_LOST };

struct point {
	const Img__Mnt *mnt;
	struct point *parent;
	int fd; /* root of the mount; of a lost one: the place where it would be; -1 = none */
	enum point_state state;
	bool origin; /* shows its file system from the root: others are bound from here */
};

struct builder {
	struct restore *rst;
	const struct sandbox_spec *spec;
	struct point *points;
	size_t n;
	struct point *root;
	struct proc_mounts host;
	struct arena arena;
	bool invented; /* the images have no mounts, the tree is a default one */
	struct error *err;
};

/* mount_lose - note what does not come back of a mount as it was. */
void mount_lose(struct builder *b, struct point *p, enum gap_effect effect, const char *why);

/* mount_make - the mount of a point, detached. Returns 0 with *ret_fd, 1: not yet, what it shows
 * part of comes later, 2: lost (noted), or an error. */
int mount_make(struct builder *b, struct point *p, int *ret_fd) _must_check_;

/* mount_originates - can this entry be made without anything else of the tree? */
bool mount_originates(const struct builder *b, const Img__Mnt *mnt);
