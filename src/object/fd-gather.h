/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fd-gather: the facts of a task's descriptors: duplicate, stat, fdinfo, link.
 *
 * In the stop the container's processors are idle: where there are many descriptors, a second
 * thread gathers ahead of the one that captures. Nothing here decides or records anything.
 */
#pragma once

#include "object/capture.h"

/* fd_gather - see fd_facts_gather(). @look: NULL is accepted; @info_fd: its fdinfo, open; or -1 */
int fd_gather(const struct look *look, struct task *task, int fd, int info_fd, struct arena *arena,
	      struct fd_facts *ret, struct error *err) _must_check_;

struct fd_gatherer;

/*
 * fd_gatherer_new - begin with the descriptors of a stopped task.
 * @fds: ascending; borrowed
 * Returns 0 or -ENOMEM. The caller owns *ret.
 */
int fd_gatherer_new(struct look *look, struct task *task, const int *fds, size_t n,
		    struct fd_gatherer **ret, struct error *err) _must_check_;

/*
 * fd_gatherer_take - the facts of the i-th descriptor, again if need be.
 * *ret: valid until the next call; its duplicate is the gatherer's.
 * Returns 0, 1 when the descriptor is gone, or an error.
 */
int fd_gatherer_take(struct fd_gatherer *g, size_t i, const struct fd_facts **ret,
		     struct error *err) _must_check_;

/* fd_gatherer_free - waits for the thread, closes all duplicates. NULL is accepted. */
void fd_gatherer_free(struct fd_gatherer *g);
