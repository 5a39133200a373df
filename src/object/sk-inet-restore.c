// SPDX-License-Identifier: Apache-2.0
/*
 * sk-inet-restore: bringing sockets of AF_INET and AF_INET6 back.
 *
 * Everything binds first, with addresses reusable by all; SO_REUSEADDR is given back when nobody
 * binds any more. Connections stay in repair mode until all of them exist, because the other end of
 * one may be another. It never waits for a peer: there is no outside of a sandbox.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "object/fown.h"
#include "object/sk-inet.h"
#include "object/socket.h"
#include "object/tcp-stream.h"

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

static int addr_decode(const Img__InetSk *sk, bool source, union sock_addr *ret, struct error *err)
{
	const uint32_t *words = source ? sk->src_addr : sk->dst_addr;
	size_t n = source ? sk->n_src_addr : sk->n_dst_addr;
	uint32_t port = source ? sk->src_port : sk->dst_port;

	memset(ret, 0, sizeof(*ret));
	if (sk->family == AF_INET && n >= 1) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons(port);
		memcpy(&ret->v4.sin_addr, words, 4);
		return 0;
	}
	if (sk->family == AF_INET6 && n >= 4) {
		ret->v6.sin6_family = AF_INET6;
		ret->v6.sin6_port = htons(port);
		memcpy(&ret->v6.sin6_addr, words, 16);
		if (sk->ifname)
			ret->v6.sin6_scope_id = if_nametoindex(sk->ifname);
		return 0;
	}
	return error_set(err, ERROR_INPUT, EINVAL,
			 "socket %u: an address of %zu words in family %u", sk->ino, n, sk->family);
}

static bool addr_empty(const union sock_addr *addr)
{
	static const union sock_addr none;

	if (addr->sa.sa_family == AF_INET)
		return addr->v4.sin_port == 0 && addr->v4.sin_addr.s_addr == 0;
	return addr->v6.sin6_port == 0 &&
	       memcmp(&addr->v6.sin6_addr, &none.v6.sin6_addr, sizeof(struct in6_addr)) == 0;
}

static socklen_t addr_size(const union sock_addr *addr)
{
	return addr->sa.sa_family == AF_INET ? sizeof(addr->v4) : sizeof(addr->v6);
}

static void subject_make(const Img__InetSk *sk, char *ret, size_t size)
{
	char src[INET6_ADDRSTRLEN] = "?", dst[INET6_ADDRSTRLEN] = "?";

	if (sk->n_src_addr >= (sk->family == AF_INET6 ? 4 : 1))
		(void)inet_ntop(sk->family, sk->src_addr, src, sizeof(src));
	if (sk->n_dst_addr >= (sk->family == AF_INET6 ? 4 : 1))
		(void)inet_ntop(sk->family, sk->dst_addr, dst, sizeof(dst));
	(void)snprintf(ret, size, "%s %s:%u -> %s:%u",
		       sk->proto == IPPROTO_TCP	  ? "tcp"
		       : sk->proto == IPPROTO_UDP ? "udp"
						  : "inet",
		       src, sk->src_port, dst, sk->dst_port);
}

/* Addresses of the images are there as a rule; freebind is for tentative IPv6 ones, transparent for
 * connections whose own address could not be made. */
static int inet_bind(const Img__InetSk *sk, int fd, const union sock_addr *local, struct error *err)
{
	bool v6 = sk->family == AF_INET6;
	int r = 0;

	if (addr_empty(local) ||
	    (sk->type == SOCK_DGRAM && !sk_inet_is_udp(sk) && !local->v4.sin_port))
		return 0;
	(void)sock_set_int(fd, SOL_IP, IP_FREEBIND, 1);
	if (v6)
		(void)sock_set_int(fd, SOL_IPV6, IPV6_FREEBIND, 1);
	if (bind(fd, &local->sa, addr_size(local)) < 0) {
		r = -errno;
		(void)sock_set_int(fd, v6 ? SOL_IPV6 : SOL_IP,
				   v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, 1);
		if (bind(fd, &local->sa, addr_size(local)) == 0)
			r = 0;
		(void)sock_set_int(fd, v6 ? SOL_IPV6 : SOL_IP,
				   v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, 0);
	}
	(void)sock_set_int(fd, SOL_IP, IP_FREEBIND, 0);
	if (v6)
		(void)sock_set_int(fd, SOL_IPV6, IPV6_FREEBIND, 0);
	return r < 0 ? error_errno(err, -r, "cannot bind") : 0;
}

static int tcp_open(struct restore *rst, const Img__InetSk *sk, int fd,
		    const union sock_addr *local, const union sock_addr *peer, struct error *err)
{
	int r;

	sock_widen(fd);
	r = sock_set_int(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON);
	if (r < 0)
		return error_errno(err, -r, "cannot enter repair mode");
	r = inet_bind(sk, fd, local, err);
	if (r < 0)
		return r;
	return tcp_stream_open(rst, sk, fd, local, peer, err);
}

static int plain_open(const Img__InetSk *sk, int fd, const union sock_addr *local,
		      const union sock_addr *peer, struct error *err)
{
	int r = inet_bind(sk, fd, local, err);

	if (r < 0)
		return r;
	if (sk->state == TCP_LISTEN && sk_inet_is_tcp(sk)) {
		if (listen(fd, sk->backlog) < 0)
			return error_errno(err, errno, "cannot listen");
		return 0;
	}
	if (sk->dst_port && connect(fd, &peer->sa, addr_size(peer)) < 0)
		return error_errno(err, errno, "cannot connect");
	return 0;
}

int sk_inet_open(struct restore *rst, Img__FileEntry *entry, int *ret_fd, struct error *err)
{
	const Img__InetSk *sk = entry->isk;
	_cleanup_close_ int fd = -1;
	union sock_addr local, peer;
	char subject[160];
	int r;

	if (!sk || addr_decode(sk, true, &local, err) < 0 || addr_decode(sk, false, &peer, err) < 0)
		return err->errnum ? -err->errnum
				   : error_set(err, ERROR_INPUT, EINVAL, "file %u is no socket",
					       entry->id);
	subject_make(sk, subject, sizeof(subject));
	fd = socket(sk->family, sk->type | SOCK_CLOEXEC, sk->proto);
	if (fd < 0) {
		restore_gap(rst, GAP_DEGRADED, "socket", 0, subject, "cannot be made: %s",
			    strerror(errno));
		return RESTORE_GAP;
	}
	if (sk->has_v6only)
		(void)sock_set_int(fd, SOL_IPV6, IPV6_V6ONLY, sk->v6only);
	(void)sock_set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	/* For datagrams it would spread what arrives over the sockets of a port. */
	if (sk_inet_is_tcp(sk) || sk->opts->so_reuseport)
		(void)sock_set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);

	if (sk_inet_is_tcp(sk) && sk->dst_port)
		r = tcp_open(rst, sk, fd, &local, &peer, err);
	else
		r = plain_open(sk, fd, &local, &peer, err);
	if (r < 0) {
		/* An unbound socket in its place: the program finds a descriptor that fails. */
		restore_gap(rst, GAP_DEGRADED, "socket", 0, subject, "%s", err->text);
		error_clear(err);
		close(fd);
		fd = socket(sk->family, sk->type | SOCK_CLOEXEC, sk->proto);
		if (fd < 0)
			return RESTORE_GAP;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static void ip_opts_restore(const Img__InetSk *sk, int fd)
{
	const Img__IpOpts *ip = sk->ip_opts;
	bool v6 = sk->family == AF_INET6;
	int level = v6 ? SOL_IPV6 : SOL_IP;

	if (!ip)
		return;
	if (ip->has_freebind)
		(void)sock_set_int(fd, level, v6 ? IPV6_FREEBIND : IP_FREEBIND, ip->freebind);
	if (ip->has_pktinfo)
		(void)sock_set_int(fd, level, v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, ip->pktinfo);
	if (!v6 && ip->has_tos)
		(void)sock_set_int(fd, SOL_IP, IP_TOS, ip->tos);
	if (!v6 && ip->has_ttl)
		(void)sock_set_int(fd, SOL_IP, IP_TTL, ip->ttl);
	if (!ip->raw)
		return;
	if (ip->raw->n_icmpv_filter)
		(void)setsockopt(fd, v6 ? SOL_ICMPV6 : SOL_RAW, ICMP_FILTER_OPT,
				 ip->raw->icmpv_filter, ip->raw->n_icmpv_filter * sizeof(uint32_t));
	if (ip->raw->has_nodefrag)
		(void)sock_set_int(fd, SOL_IP, IP_NODEFRAG, ip->raw->nodefrag);
	if (ip->raw->has_hdrincl)
		(void)sock_set_int(fd, level, v6 ? IPV6_HDRINCL : IP_HDRINCL, ip->raw->hdrincl);
}

static void tcp_opts_restore(const Img__InetSk *sk, int fd)
{
	const Img__TcpOpts *tcp = sk->tcp_opts;
	const Img__SkOpts *old = sk->opts;

	if (!sk_inet_is_tcp(sk))
		return;
	if (old->has_tcp_keepcnt)
		(void)sock_set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, old->tcp_keepcnt);
	if (old->has_tcp_keepidle)
		(void)sock_set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, old->tcp_keepidle);
	if (old->has_tcp_keepintvl)
		(void)sock_set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, old->tcp_keepintvl);
	if (!tcp)
		return;
	if (tcp->has_nodelay)
		(void)sock_set_int(fd, IPPROTO_TCP, TCP_NODELAY, tcp->nodelay);
	if (tcp->has_cork)
		(void)sock_set_int(fd, IPPROTO_TCP, TCP_CORK, tcp->cork);
	if (tcp->has_keepcnt)
		(void)sock_set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, tcp->keepcnt);
	if (tcp->has_keepidle)
		(void)sock_set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, tcp->keepidle);
	if (tcp->has_keepintvl)
		(void)sock_set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, tcp->keepintvl);
}

/* The same address in one form, IPv4-mapped or not. */
static void addr_flat(const Img__InetSk *sk, bool source, unsigned char ret[16])
{
	const uint32_t *words = source ? sk->src_addr : sk->dst_addr;

	memset(ret, 0, 16);
	if (sk->family == AF_INET6) {
		memcpy(ret, words, 16);
		return;
	}
	ret[10] = ret[11] = 0xff;
	memcpy(ret + 12, words, 4);
}

/* Is the other end of a connection a socket of the checkpoint? */
static bool peer_inside(struct restore *rst, const Img__InetSk *sk)
{
	unsigned char src[16], dst[16], other_src[16], other_dst[16];
	size_t i;

	addr_flat(sk, true, src);
	addr_flat(sk, false, dst);
	for (i = 0; i < rst->n_files; i++) {
		const Img__InetSk *other = rst->files[i].entry->isk;

		if (!other || other == sk || !sk_inet_is_tcp(other) || rst->files[i].fd < 0 ||
		    other->src_port != sk->dst_port || other->dst_port != sk->src_port ||
		    other->n_src_addr < (other->family == AF_INET6 ? 4 : 1) ||
		    other->n_dst_addr < (other->family == AF_INET6 ? 4 : 1))
			continue;
		addr_flat(other, true, other_src);
		addr_flat(other, false, other_dst);
		if (memcmp(other_src, dst, 16) == 0 && memcmp(other_dst, src, 16) == 0)
			return true;
	}
	return false;
}

/* Silent ends that must live as long as the sandbox. There may be thousands, so they lie in the
 * queue of one unix socket that is held, and that nobody reads. */
struct tcp_seats {
	int in;
};

static struct tcp_seats *seats_get(struct restore *rst)
{
	struct tcp_seats *seats = rst->seats;
	int fds[2];

	if (seats)
		return seats;
	seats = arena_new(&rst->set->arena, struct tcp_seats);
	if (!seats || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return NULL;
	sock_widen(fds[0]);
	restore_hold(rst, fds[1], false);
	seats->in = fds[0];
	rst->seats = seats;
	return seats;
}

static int seat_take(struct tcp_seats *seats, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(seats->in, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* A peer that is not in the sandbox must be silent. Far addresses are by themselves (nobody
 * answers); at an address of our own the kernel would answer with a reset, so somebody has to sit
 * there. */
static void ghost_seat(struct restore *rst, const Img__InetSk *sk, const union sock_addr *local,
		       const union sock_addr *peer, const char *subject)
{
	struct error ignored = ERROR_INIT;
	_cleanup_close_ int ghost = -1;
	struct tcp_seats *seats;

	if (sk->state == TCP_SYN_SENT || sk->state == TCP_CLOSE || peer_inside(rst, sk))
		return;
	if (tcp_stream_ghost(rst, sk, local, peer, &ghost, &ignored) < 0)
		return;
	seats = seats_get(rst);
	if (!seats || seat_take(seats, ghost) < 0)
		restore_gap(rst, GAP_DEGRADED, "socket", 0, subject,
			    "its silent end cannot be kept: it will be reset");
}

static void connection_finish(struct restore *rst, const Img__InetSk *sk, int fd,
			      const char *subject)
{
	struct error err = ERROR_INIT;
	union sock_addr local, peer;
	int r;

	r = addr_decode(sk, true, &local, &err);
	if (r == 0)
		r = addr_decode(sk, false, &peer, &err);
	if (r == 0 && rst->tcp_close && sk->state != TCP_SYN_SENT) {
		r = tcp_stream_reset(rst, sk, fd, &local, &peer, &err);
	} else if (r == 0) {
		ghost_seat(rst, sk, &local, &peer, subject);
		r = tcp_stream_finish(rst, sk, fd, &local, &peer, &err);
	}
	if (r < 0)
		restore_gap(rst, GAP_DEGRADED, "socket", 0, subject, "%s", err.text);
}

int sk_inet_connect(struct restore *rst, Img__FileEntry *entry, int fd, struct error *err)
{
	const Img__InetSk *sk = entry->isk;
	char subject[160];
	int how;

	if (!sk)
		return 0;
	subject_make(sk, subject, sizeof(subject));
	if (sk_inet_is_tcp(sk) && sock_int(fd, IPPROTO_TCP, TCP_REPAIR, 0) == 1)
		connection_finish(rst, sk, fd, subject);

	sock_opts_restore(rst, fd, sk->opts, subject);
	(void)sock_set_int(fd, SOL_SOCKET, SO_REUSEADDR, sk->opts->reuseaddr);
	(void)sock_set_int(fd, SOL_SOCKET, SO_REUSEPORT, sk->opts->so_reuseport);
	ip_opts_restore(sk, fd);
	tcp_opts_restore(sk, fd);
	how = sk->has_shutdown ? sock_shutdown_decode(sk->shutdown) : -1;
	/* Refused where the other end closed first: then there is nothing left to close. */
	if (how >= 0)
		(void)shutdown(fd, how);
	return file_params_restore(fd, sk->flags, sk->fown, err);
}

int sk_inet_attach(struct restore *rst, struct restore_task *task, Img__FileEntry *entry, int fd,
		   struct error *err)
{
	return entry->isk ? fown_attach(rst, task, entry->isk->fown, fd, err) : 0;
}
