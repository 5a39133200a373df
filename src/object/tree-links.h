/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree-links: under which name a file with several names went into a tar first.
 */
#pragma once

#include <sys/stat.h>

#include "base/arena.h"

struct tree_link {
	dev_t dev;
	ino_t ino;
	const char *path; /* NULL: free slot */
};

/* Zeroed at first. */
struct tree_links {
	struct tree_link *slots; /* open addressing, n_slots a power of two */
	size_t n_links, n_slots;
	struct arena names;
};

void tree_links_deinit(struct tree_links *links);

/*
 * tree_links_find - where a file went before.
 * @prefix, @path: its name now, noted when it is new
 * *ret_path: the earlier name, NULL when the file is new. Returns 0 or -ENOMEM.
 */
int tree_links_find(struct tree_links *links, const struct stat *st, const char *prefix,
		    const char *path, const char **ret_path, struct error *err) _must_check_;
