/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipe-data: what lies unread in a pipe or FIFO.
 */
#pragma once

#include "object/capture.h"
#include "object/restore.h"

/*
 * pipe_data_capture - copy the content without consuming it, once for each pipe.
 * @kind: IMAGE_PIPES_DATA or IMAGE_FIFO_DATA
 * @facts: a reading end
 * In packet mode one entry is written for each packet. Returns 0 or an error; what cannot be copied
 * is a gap, and 0.
 */
int pipe_data_capture(struct capture *cap, enum image_kind kind, const struct fd_facts *facts,
		      uint32_t pipe_id, struct error *err) _must_check_;

/*
 * pipe_data_restore - capacity and content, into a fresh pipe.
 * @fd: a writing end (or one opened O_RDWR)
 * @packets: write each entry as a packet (fd has O_DIRECT)
 * Returns 0 or an error.
 */
int pipe_data_restore(struct restore *rst, enum image_kind kind, int fd, uint32_t pipe_id,
		      bool packets, struct error *err) _must_check_;
