// SPDX-License-Identifier: Apache-2.0
/*
 * sk-inet: sockets of AF_INET and AF_INET6: TCP, UDP, UDP-Lite, ICMP, raw.
 *
 * Here is the capture; bringing them back is sk-inet-restore.c. Capture asks the duplicate alone
 * (addresses, TCP_INFO, options), so it needs no list of all sockets of the namespace. What a
 * connection holds inside is tcp-stream.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "object/fown.h"
#include "object/sk-inet.h"
#include "object/sk-kinds.h"
#include "object/socket.h"
#include "object/tcp-stream.h"

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif
#ifndef SO_PEERNAME
#define SO_PEERNAME 28
#endif
#define LISTEN_BACKLOG 4096 /* of a listener whose own value cannot be known */

static bool inet_match(const struct fd_facts *facts)
{
	return sock_match(facts, AF_INET) || sock_match(facts, AF_INET6);
}

static void addr_encode(const union sock_addr *addr, uint32_t *port, uint32_t *words)
{
	if (addr->sa.sa_family == AF_INET) {
		*port = ntohs(addr->v4.sin_port);
		memcpy(words, &addr->v4.sin_addr, 4);
	} else {
		*port = ntohs(addr->v6.sin6_port);
		memcpy(words, &addr->v6.sin6_addr, 16);
	}
}

/* Both addresses. A socket that is not connected has none of the other end. */
static int addrs_capture(struct capture *cap, int fd, Img__InetSk *sk, struct error *err)
{
	size_t words = sk->family == AF_INET6 ? 4 : 1;
	union sock_addr addr = { 0 };
	socklen_t len = sizeof(addr);
	char device[IFNAMSIZ];

	sk->src_addr = arena_array(&cap->set->arena, uint32_t, words);
	sk->dst_addr = arena_array(&cap->set->arena, uint32_t, words);
	if (!sk->src_addr || !sk->dst_addr)
		return error_nomem(err);
	sk->n_src_addr = sk->n_dst_addr = words;

	if (getsockname(fd, &addr.sa, &len) == 0 && addr.sa.sa_family == sk->family)
		addr_encode(&addr, &sk->src_port, sk->src_addr);
	if (sk->family == AF_INET6 && addr.v6.sin6_scope_id &&
	    if_indextoname(addr.v6.sin6_scope_id, device)) {
		sk->ifname = arena_strdup(&cap->set->arena, device);
		if (!sk->ifname)
			return error_nomem(err);
	}
	/* Unlike elsewhere more room than needed is refused. */
	len = sk->family == AF_INET6 ? sizeof(addr.v6) : sizeof(addr.v4);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERNAME, &addr, &len) == 0 &&
	    addr.sa.sa_family == sk->family)
		addr_encode(&addr, &sk->dst_port, sk->dst_addr);
	return 0;
}

/* A link-local address binds with its interface; our own namespace may number interfaces
 * differently, so the name comes from the socket where that tells it. */
static int ifname_capture(struct capture *cap, int fd, Img__InetSk *sk, struct error *err)
{
	char device[IFNAMSIZ] = "";
	socklen_t len = sizeof(device);

	if (sk->family != AF_INET6 || !IN6_IS_ADDR_LINKLOCAL((struct in6_addr *)sk->src_addr)) {
		sk->ifname = NULL;
		return 0;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &len) == 0 && device[0]) {
		sk->ifname = arena_strdup(&cap->set->arena, device);
		if (!sk->ifname)
			return error_nomem(err);
	}
	return 0;
}

static int raw_capture(struct capture *cap, int fd, const Img__InetSk *sk, Img__IpOpts *ip,
		       struct error *err)
{
	Img__IpOptsRaw *raw = img_new(cap->set, Img__IpOptsRaw, ip_opts_raw);
	bool v6 = sk->family == AF_INET6;
	struct icmp6_filter filter;
	socklen_t len = sizeof(filter);
	int value;

	if (!raw)
		return error_nomem(err);
	ip->raw = raw;
	value = sock_int(fd, v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_HDRINCL : IP_HDRINCL, 0);
	raw->has_hdrincl = raw->hdrincl = value != 0;
	if (!v6)
		raw->has_nodefrag = raw->nodefrag = sock_int(fd, SOL_IP, IP_NODEFRAG, 0) != 0;
	if (sk->proto != IPPROTO_ICMP && sk->proto != IPPROTO_ICMPV6)
		return 0;
	if (getsockopt(fd, v6 ? SOL_ICMPV6 : SOL_RAW, ICMP_FILTER_OPT, &filter, &len) < 0)
		return 0;
	raw->icmpv_filter = arena_array(&cap->set->arena, uint32_t, sizeof(filter) / 4);
	if (!raw->icmpv_filter)
		return error_nomem(err);
	memcpy(raw->icmpv_filter, &filter, MIN((size_t)len, sizeof(filter)));
	raw->n_icmpv_filter = len / 4;
	return 0;
}

static int ip_opts_capture(struct capture *cap, int fd, Img__InetSk *sk, struct error *err)
{
	Img__IpOpts *ip = img_new(cap->set, Img__IpOpts, ip_opts);

	if (!ip)
		return error_nomem(err);
	sk->ip_opts = ip;
	if (sk->family == AF_INET6) {
		ip->freebind = sock_int(fd, SOL_IPV6, IPV6_FREEBIND, 0) == 1;
		ip->pktinfo = sock_int(fd, SOL_IPV6, IPV6_RECVPKTINFO, 0) == 1;
		sk->has_v6only = true;
		sk->v6only = sock_int(fd, SOL_IPV6, IPV6_V6ONLY, 0) == 1;
	} else {
		ip->freebind = sock_int(fd, SOL_IP, IP_FREEBIND, 0) == 1;
		ip->pktinfo = sock_int(fd, SOL_IP, IP_PKTINFO, 0) == 1;
		ip->tos = sock_int(fd, SOL_IP, IP_TOS, 0);
		ip->ttl = sock_int(fd, SOL_IP, IP_TTL, 0);
	}
	ip->has_freebind = ip->freebind;
	ip->has_pktinfo = ip->pktinfo;
	ip->has_tos = ip->tos != 0;
	ip->has_ttl = ip->ttl != 0;
	return sk->type == SOCK_RAW ? raw_capture(cap, fd, sk, ip, err) : 0;
}

static int tcp_opts_capture(struct capture *cap, int fd, Img__InetSk *sk, struct error *err)
{
	Img__TcpOpts *tcp = img_new(cap->set, Img__TcpOpts, tcp_opts);

	if (!tcp)
		return error_nomem(err);
	sk->tcp_opts = tcp;
	tcp->has_nodelay = tcp->nodelay = sock_int(fd, IPPROTO_TCP, TCP_NODELAY, 0) == 1;
	tcp->has_cork = tcp->cork = sock_int(fd, IPPROTO_TCP, TCP_CORK, 0) == 1;
	tcp->keepcnt = sock_int(fd, IPPROTO_TCP, TCP_KEEPCNT, 0);
	tcp->keepidle = sock_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 0);
	tcp->keepintvl = sock_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, 0);
	tcp->has_keepcnt = tcp->keepcnt != 0;
	tcp->has_keepidle = tcp->keepidle != 0;
	tcp->has_keepintvl = tcp->keepintvl != 0;
	return 0;
}

/* Closed directions, from what poll() shows; it clears nothing. */
static unsigned int tcp_shutdown(int fd, uint32_t state)
{
	struct pollfd pfd = { .fd = fd, .events = POLLRDHUP };
	unsigned int bits = 0;

	if (poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLRDHUP))
		bits |= 1;
	if (state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 || state == TCP_CLOSING ||
	    state == TCP_LAST_ACK)
		bits |= 2;
	return bits;
}

static int tcp_capture(struct capture *cap, const struct fd_facts *facts, Img__InetSk *sk,
		       struct error *err)
{
	struct tcp_info info = { .tcpi_state = TCP_CLOSE };
	socklen_t len = sizeof(info);
	unsigned int shut;
	int r;

	if (getsockopt(facts->dup, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return sock_gap(cap, facts, GAP_DEGRADED, err, "its TCP state cannot be read: %s",
				strerror(errno));
	sk->state = info.tcpi_state;
	r = tcp_opts_capture(cap, facts->dup, sk, err);
	if (r < 0)
		return r;
	if (sk->state == TCP_LISTEN) {
		sk->backlog = info.tcpi_sacked;
		if (info.tcpi_unacked == 0)
			return 0;
		r = sock_gap(cap, facts, GAP_DEGRADED, err,
			     "%u connections that were not accepted yet are lost",
			     info.tcpi_unacked);
		return r < 0 ? r : 0;
	}
	if (sk->dst_port) {
		r = tcp_stream_capture(cap, facts, sk, err);
		if (r == CAPTURE_GAP) { /* without its inside it comes back as a new socket */
			sk->state = TCP_CLOSE;
			sk->dst_port = 0;
			memset(sk->dst_addr, 0, sk->n_dst_addr * sizeof(uint32_t));
		}
		if (r < 0)
			return r;
	}
	shut = tcp_shutdown(facts->dup, sk->state);
	sk->has_shutdown = shut != 0;
	sk->shutdown = sock_shutdown_encode(shut);
	return 0;
}

static int datagram_capture(struct capture *cap, const struct fd_facts *facts, Img__InetSk *sk,
			    struct error *err)
{
	const struct sock_inet *diag = NULL;
	int r, waiting = 0;

	sk->state = sk->dst_port ? TCP_ESTABLISHED : TCP_CLOSE;
	if (!sk_inet_is_udp(sk))
		return 0;
	if (sk->dst_port)
		diag = sock_index_datagram(cap, sk->ino);
	if (diag && diag->has_shutdown && diag->shutdown) {
		sk->has_shutdown = true;
		sk->shutdown = sock_shutdown_encode(diag->shutdown);
	}
	if (sock_int(facts->dup, IPPROTO_UDP, UDP_CORK, 0) == 1) {
		r = sock_gap(cap, facts, GAP_DEGRADED, err,
			     "a corked datagram that was not complete is lost");
		if (r < 0)
			return r;
	}
	struct pollfd pfd = { .fd = facts->dup, .events = POLLIN };
	waiting = poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLIN);
	if (!waiting)
		return 0;
	r = sock_gap(cap, facts, GAP_COSMETIC, err, "datagrams that were not read yet are lost");
	return r < 0 ? r : 0;
}

/* Go listens with MPTCP by default: such a listener is as good as a TCP one. */
static int mptcp_capture(struct capture *cap, const struct fd_facts *facts, Img__InetSk *sk,
			 struct error *err)
{
	bool listens = sock_int(facts->dup, SOL_SOCKET, SO_ACCEPTCONN, 0) == 1;
	int r;

	sk->proto = IPPROTO_TCP;
	sk->state = listens ? TCP_LISTEN : TCP_CLOSE;
	sk->backlog = listens ? LISTEN_BACKLOG : 0;
	if (!listens) {
		sk->dst_port = 0;
		memset(sk->dst_addr, 0, sk->n_dst_addr * sizeof(uint32_t));
	}
	r = sock_gap(cap, facts, listens ? GAP_COSMETIC : GAP_DEGRADED, err,
		     listens ? "an MPTCP listener is written as one of TCP"
			     : "an MPTCP connection cannot be captured; it is written as closed");
	return r < 0 ? r : 0;
}

static int state_capture(struct capture *cap, const struct fd_facts *facts, Img__InetSk *sk,
			 struct error *err)
{
	if (sk->proto == IPPROTO_MPTCP)
		return mptcp_capture(cap, facts, sk, err);
	if (sk_inet_is_tcp(sk))
		return tcp_capture(cap, facts, sk, err);
	return datagram_capture(cap, facts, sk, err);
}

static bool proto_known(const Img__InetSk *sk)
{
	switch (sk->proto) {
	case IPPROTO_IP:
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
	case IPPROTO_MPTCP:
		return true;
	default:
		return sk->type == SOCK_RAW;
	}
}

static int inet_capture(struct capture *cap, const struct fd_facts *facts, Img__FileEntry *entry,
			struct error *err)
{
	Img__InetSk *sk = img_new(cap->set, Img__InetSk, inet_sk);
	int r;

	if (!sk)
		return error_nomem(err);
	sk->id = facts->id;
	sk->ino = facts->st.st_ino;
	sk->flags = facts->flags & ~O_CLOEXEC;
	sk->family = sock_int(facts->dup, SOL_SOCKET, SO_DOMAIN, 0);
	sk->type = sock_int(facts->dup, SOL_SOCKET, SO_TYPE, 0);
	sk->proto = sock_int(facts->dup, SOL_SOCKET, SO_PROTOCOL, 0);
	sk->ns_id = sock_net_ns_id(cap);
	sk->has_ns_id = sk->ns_id != 0;
	if (!proto_known(sk))
		return sock_gap(cap, facts, GAP_DEGRADED, err,
				"sockets of protocol %u are not supported", sk->proto);

	r = fown_capture(cap, facts, &sk->fown, err);
	if (r < 0)
		return r;
	sk->opts = sock_opts_capture(cap, facts, sk->family, err);
	if (!sk->opts)
		return -ENOMEM;
	r = sock_opts_note(cap, facts, sk->family, sk_inet_is_tcp(sk), err);
	if (r == 0)
		r = addrs_capture(cap, facts->dup, sk, err);
	if (r == 0)
		r = ifname_capture(cap, facts->dup, sk, err);
	if (r == 0)
		r = ip_opts_capture(cap, facts->dup, sk, err);
	if (r == 0)
		r = state_capture(cap, facts, sk, err);
	if (r == 0)
		entry->isk = sk;
	return r;
}

const struct fd_kind sk_inet_kind = {
	.name = "inet-socket",
	.type = IMG__FD_TYPES__INETSK,
	.match = inet_match,
	.capture = inet_capture,
	.open = sk_inet_open,
	.connect = sk_inet_connect,
	.attach = sk_inet_attach,
};
