/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tty: terminals; shared by its two halves, tty-capture.c and tty-restore.c.
 */
#pragma once

#include "object/capture.h"
#include "object/restore.h"

#define TTY_MAJOR_AUX	5   /* 0 /dev/tty, 1 /dev/console, 2 /dev/ptmx */
#define TTY_MAJOR_SLAVE 136 /* /dev/pts/N, N is the minor */
#define TTY_TERMIOS_NCC 19  /* of the kernel's struct termios */

/* TtyInfo numbers, as CRIU makes them: two for each index. */
static inline uint32_t tty_info_id(uint32_t index, bool master)
{
	return (index << 1) + master;
}

/* tty_info_find - the terminal with a number, NULL when the set has none. */
Img__TtyInfo *tty_info_find(const struct image_set *set, uint32_t id);

/* tty_open, tty_attach - the restoring half of tty_kind. */
int tty_open(struct restore *rst, Img__FileEntry *entry, int *ret_fd,
	     struct error *err) _must_check_;
int tty_attach(struct restore *rst, struct restore_task *task, Img__FileEntry *entry, int fd,
	       struct error *err) _must_check_;
