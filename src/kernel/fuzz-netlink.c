// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz-netlink: all parsers of netlink answers and of the saved streams; the first byte says which.
 */
#include "kernel/netlink.h"
#include "kernel/rtnl-stream.h"
#include "kernel/rtnl.h"
#include "kernel/sock-diag.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int parse(uint8_t which, struct bytes bytes, struct arena *arena, struct error *err)
{
	struct sock_inets inets = { 0 };
	struct sock_unixes unixes = { 0 };
	struct sock_netlinks netlinks = { 0 };
	struct sock_packets packets = { 0 };
	struct rtnl_links links = { 0 };
	struct rtnl_addrs addrs = { 0 };
	struct rtnl_routes routes = { 0 };
	struct rtnl_rules rules = { 0 };
	size_t n;

	switch (which) {
	case 'i':
		return sock_diag_parse_inet(bytes, 6, arena, &inets, err);
	case 'u':
		return sock_diag_parse_unix(bytes, arena, &unixes, err);
	case 'n':
		return sock_diag_parse_netlink(bytes, arena, &netlinks, err);
	case 'p':
		return sock_diag_parse_packet(bytes, arena, &packets, err);
	case 'l':
		return rtnl_parse_links(bytes, arena, &links, err);
	case 'a':
		return rtnl_parse_addrs(bytes, arena, &addrs, err);
	case 'r':
		return rtnl_parse_routes(bytes, arena, &routes, err);
	case 'R':
		return rtnl_parse_rules(bytes, arena, &rules, err);
	case 'A':
		return rtnl_stream_check(RTNL_STREAM_ADDR, bytes, &n, err);
	case 'S':
		return rtnl_stream_check(RTNL_STREAM_ROUTE, bytes, &n, err);
	case 'T':
		return rtnl_stream_check(RTNL_STREAM_RULE, bytes, &n, err);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { .limit = 1 << 24 };
	struct error err = ERROR_INIT;
	int r;

	if (size == 0)
		return 0;
	r = parse(data[0], (struct bytes){ data + 1, size - 1 }, &arena, &err);
	if ((r < 0) != (err.errnum != 0))
		__builtin_trap();
	arena_deinit(&arena);
	return 0;
}
