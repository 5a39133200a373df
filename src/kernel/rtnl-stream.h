/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtnl-stream: the streams of `ip addr save`, `ip route save` and `ip rule save`, made and replayed
 * natively. A stream is a 32-bit magic in host byte order and the kernel's messages behind it.
 *
 * Replay tries everything: what the namespace refuses is counted and named, and the rest is still
 * done.
 */
#pragma once

#include "base/buf.h"

enum rtnl_stream { RTNL_STREAM_ADDR, RTNL_STREAM_ROUTE, RTNL_STREAM_RULE };

#define RTNL_STREAM_MAX ((size_t)256 << 20)

/*
 * rtnl_stream_save - append one stream.
 * @fd: NETLINK_ROUTE socket of the namespace
 * @family: AF_INET, AF_INET6, AF_UNSPEC = all. CRIU keeps IPv4 and IPv6 routes in separate images.
 * Routes are those of the main table, as `ip route save` has them, unless all_tables.
 */
int rtnl_stream_save(int fd, enum rtnl_stream stream, int family, bool all_tables, struct buf *ret,
		     struct error *err) _must_check_;

struct rtnl_replay {
	size_t done;		    /* messages that took effect, or were there already */
	size_t refused;		    /* others */
	struct error first_refused; /* why the first was refused */
};

/*
 * rtnl_stream_replay - make what a stream tells of. Routes are tried in the order link scope, then
 * host, then with gateways, so that gateways are reachable when named. Things the kernel makes by
 * itself (local and broadcast routes, rules for the standard tables) count as done when they are
 * there. Returns 0 (see *ret for what was refused), -EBADMSG for bytes that are no such stream, or
 * the negative errno of a broken socket.
 */
int rtnl_stream_replay(int fd, enum rtnl_stream stream, struct bytes bytes, struct rtnl_replay *ret,
		       struct error *err) _must_check_;

/* rtnl_stream_check - the magic is right and whole messages of the right kind follow it. Offline.
 */
int rtnl_stream_check(enum rtnl_stream stream, struct bytes bytes, size_t *ret_messages,
		      struct error *err) _must_check_;
