/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages-dir: the pages images of a directory of images, as open files.
 */
#pragma once

#include "memory/fill.h"

/*
 * pages_dir_open - one entry for each pages image of a set that was loaded from a directory.
 * *ret: array in the set's arena; its descriptors are the caller's, to be closed with
 * pages_dir_close(). Returns 0 or a negative errno.
 */
int pages_dir_open(struct image_set *set, int dirfd, struct pages_file **ret, size_t *ret_n,
		   struct error *err) _must_check_;

void pages_dir_close(struct pages_file *files, size_t n);
