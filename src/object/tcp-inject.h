/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp-inject: one hand-made segment from a connection's absent peer, inside a sandbox.
 *
 * The kernel has no call that puts a FIN or a RST into a receive queue; a segment that looks as if
 * the peer had sent it does. Only for sockets of a sandbox's isolated network: never used in a
 * capture.
 */
#pragma once

#include <netinet/in.h>

#include "base/error.h"

union sock_addr {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct tcp_segment {
	union sock_addr from, to; /* ports too; IPv4-mapped addresses travel as IPv4 */
	uint32_t seq, ack;
	uint16_t window;
	uint8_t flags; /* TH_FIN, TH_RST, TH_ACK */
};

/* tcp_inject - deliver a segment to the local socket it names. Returns 0 or a negative errno. */
int tcp_inject(const struct tcp_segment *segment, struct error *err) _must_check_;
