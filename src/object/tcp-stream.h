/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp-stream: a TCP connection from within: sequence numbers, queues, options, windows; both
 * directions.
 *
 * Sequence numbers in an image are those behind the last byte of a queue (a FIN counts), as
 * CRIU 4.2 has them. A captured connection lives on: it must not send a packet or lose one by being
 * looked at.
 */
#pragma once

#include "object/capture.h"
#include "object/restore.h"
#include "object/tcp-inject.h"

/*
 * tcp_stream_capture - make the tcp-stream image of a connection and set sk->state.
 * Needs cap->sockets with its guard. Returns 0, CAPTURE_GAP, or an error.
 */
int tcp_stream_capture(struct capture *cap, const struct fd_facts *facts, Img__InetSk *sk,
		       struct error *err) _must_check_;

/*
 * tcp_stream_open - first half of bringing it back: fd, bound and in repair mode, gets connected
 * with its sequence numbers, options and queues. Nothing is sent: the other end may not be there
 * yet.
 * @local, @peer: its addresses
 * Returns 0 or a negative errno.
 */
int tcp_stream_open(struct restore *rst, const Img__InetSk *sk, int fd,
		    const union sock_addr *local, const union sock_addr *peer,
		    struct error *err) _must_check_;

/*
 * tcp_stream_finish - second half, when all connections of the sandbox exist: data that was never
 * sent, closed directions, and the end of repair mode.
 */
int tcp_stream_finish(struct restore *rst, const Img__InetSk *sk, int fd,
		      const union sock_addr *local, const union sock_addr *peer,
		      struct error *err) _must_check_;

/* tcp_stream_ghost - a silent end for a connection whose other end was a program outside of the
 * container with an address of this namespace: *ret_fd takes what arrives and never answers. */
int tcp_stream_ghost(struct restore *rst, const Img__InetSk *sk, const union sock_addr *local,
		     const union sock_addr *peer, int *ret_fd, struct error *err) _must_check_;

/* tcp_stream_reset - end a connection (open, in repair mode) as if the peer had reset it. */
int tcp_stream_reset(struct restore *rst, const Img__InetSk *sk, int fd,
		     const union sock_addr *local, const union sock_addr *peer,
		     struct error *err) _must_check_;
