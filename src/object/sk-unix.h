/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sk-unix: sockets of AF_UNIX. The kind's files share this; others need the row and the end of a
 * capture.
 */
#pragma once

#include "object/capture.h"
#include "object/restore.h"

#define UNIX_UFLAG_EXTERN 1 /* an entry that stands for a socket outside of the container */

/* The restoring half, as struct fd_kind describes it. */
int sk_unix_open(struct restore *rst, Img__FileEntry *entry, int *ret_fd, struct error *err);
int sk_unix_connect(struct restore *rst, Img__FileEntry *entry, int fd, struct error *err);
int sk_unix_attach(struct restore *rst, struct restore_task *task, Img__FileEntry *entry, int fd,
		   struct error *err);
