/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sk-unix-name: names of unix sockets in a sandbox: binding, and reaching what is bound.
 *
 * The sandbox's file tree is a private copy, in which the socket files of the captured container
 * may lie about: they make room for new ones. A name whose file was deleted is bound too; until all
 * connections are made its file stands beside under another name.
 */
#pragma once

#include "object/restore.h"

struct unix_place {
	const Img__UnixSk *sk; /* whose name it is */
	bool bound;
	bool deleted;	 /* the file goes away at the end */
	char file[109];	 /* what connect() takes, relative to the directory; empty: abstract */
	const char *dir; /* the directory of file */
	char dir_buf[4096 + 109];
};

/*
 * unix_place_bind - bind fd to the name of sk.
 * A name that cannot be had becomes a note; the socket then has none.
 * Returns 0, RESTORE_GAP, or an error.
 */
int unix_place_bind(struct restore *rst, struct unix_place *place, const Img__UnixSk *sk, int fd,
		    const char *subject, struct error *err) _must_check_;

/* unix_place_connect - connect fd to what is bound there. Returns 0 or -errno; sets no text. */
int unix_place_connect(const struct unix_place *place, int fd) _must_check_;

/* unix_place_finish - remove the file of a deleted name. */
void unix_place_finish(struct unix_place *place);
