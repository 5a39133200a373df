/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sk-queue: what lies in the receive queue of a unix socket, both directions.
 *
 * Captured by peeking with an offset, so that nothing is consumed; restored by sending it again
 * from the other end. Descriptors in flight travel with their packet.
 */
#pragma once

#include "object/capture.h"
#include "object/restore.h"

/*
 * sock_queue_capture - put what a unix socket has to read into the sk-queues image, for facts->id.
 * What cannot be kept becomes a gap. Returns 0 or an error.
 */
int sock_queue_capture(struct capture *cap, const struct fd_facts *facts, int type,
		       struct error *err) _must_check_;

/* sock_queue_has - there are packets for the file of an id. */
bool sock_queue_has(const struct image_set *set, uint32_t id);

/*
 * sock_queue_restore - send the packets of the file of an id from the socket fd, which is connected
 * to it. What the kernel refuses becomes a note.
 * @subject: of the receiving socket, for notes
 */
int sock_queue_restore(struct restore *rst, uint32_t id, int fd, const char *subject,
		       struct error *err) _must_check_;
