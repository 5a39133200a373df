// SPDX-License-Identifier: Apache-2.0
/*
 * feature-probe-net: sockets and their lists, tried on sockets that are bound to nothing.
 */
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/feature-probe.h"
#include "kernel/netlink.h"
#include "kernel/sock-diag.h"

static enum feature_state try_option(int domain, int type, int level, int option, int value,
				     char *detail)
{
	_cleanup_close_ int fd = socket(domain, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, level, option, &value, sizeof(value)) < 0)
		return feature_errno(errno, detail);
	return FEATURE_YES;
}

enum feature_state probe_tcp_repair(char *detail)
{
	return try_option(AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_REPAIR, 1, detail);
}

enum feature_state probe_so_peek_off(char *detail)
{
	return try_option(AF_UNIX, SOCK_STREAM, SOL_SOCKET, SO_PEEK_OFF, 0, detail);
}

enum list { LIST_INET, LIST_UNIX, LIST_NETLINK, LIST_PACKET };

/* Lists the sockets of the namespace we are in and forgets them again. */
static enum feature_state try_list(enum list list, int protocol, char *detail)
{
	_cleanup_close_ int fd = -1;
	struct arena arena = ARENA_INIT;
	struct error err = ERROR_INIT;
	struct sock_inets inets = { 0 };
	struct sock_unixes unixes = { 0 };
	struct sock_netlinks netlinks = { 0 };
	struct sock_packets packets = { 0 };
	int r;

	r = netlink_open(NETLINK_SOCK_DIAG, &fd, &err);
	if (r == 0 && list == LIST_INET)
		r = sock_diag_inet(fd, AF_INET, protocol, &arena, &inets, &err);
	else if (r == 0 && list == LIST_UNIX)
		r = sock_diag_unix(fd, &arena, &unixes, &err);
	else if (r == 0 && list == LIST_NETLINK)
		r = sock_diag_netlink(fd, &arena, &netlinks, &err);
	else if (r == 0)
		r = sock_diag_packet(fd, &arena, &packets, &err);
	arena_deinit(&arena);
	return r < 0 ? feature_errno(-r, detail) : FEATURE_YES;
}

enum feature_state probe_sock_diag_tcp(char *detail)
{
	return try_list(LIST_INET, IPPROTO_TCP, detail);
}

enum feature_state probe_sock_diag_udp(char *detail)
{
	return try_list(LIST_INET, IPPROTO_UDP, detail);
}

enum feature_state probe_sock_diag_raw(char *detail)
{
	return try_list(LIST_INET, IPPROTO_RAW, detail);
}

enum feature_state probe_sock_diag_unix(char *detail)
{
	return try_list(LIST_UNIX, 0, detail);
}

enum feature_state probe_sock_diag_netlink(char *detail)
{
	return try_list(LIST_NETLINK, 0, detail);
}

enum feature_state probe_sock_diag_packet(char *detail)
{
	return try_list(LIST_PACKET, 0, detail);
}

enum feature_state probe_net_ns(char *detail)
{
	return feature_unshare(CLONE_NEWNET, detail);
}
