// SPDX-License-Identifier: Apache-2.0
/*
 * sock-diag: the sockets of a network namespace. Never asks a socket itself.
 */
#include "kernel/sock-diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink_diag.h>
#include <linux/packet_diag.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/netlink.h"

static int too_many(struct error *err)
{
	return error_set(err, ERROR_SYSTEM, E2BIG, "more than %zu sockets in one list",
			 SOCK_DIAG_MAX);
}

static int malformed(struct error *err, const char *what)
{
	return error_set(err, ERROR_INTERNAL, EBADMSG, "sock_diag answer is not as expected: %s",
			 what);
}

static uint64_t cookie_of(const uint32_t cookie[2])
{
	return (uint64_t)cookie[1] << 32 | cookie[0];
}

/* next_sock - the next answer that tells of a socket, its fixed part copied out, and its
 * attributes. */
static int next_sock(struct bytes *messages, void *ret_fixed, size_t fixed, struct bytes *ret_attrs,
		     struct error *err)
{
	struct nlmsghdr head;
	struct bytes body;
	int r;

	while ((r = netlink_next(messages, &head, &body, err)) > 0) {
		size_t skip = NLMSG_ALIGN(fixed);

		if (head.nlmsg_type != SOCK_DIAG_BY_FAMILY)
			continue;
		if (body.len < fixed)
			return malformed(err, "it is cut short");
		memcpy(ret_fixed, body.data, fixed);
		skip = MIN(skip, body.len);
		*ret_attrs = (struct bytes){ body.data + skip, body.len - skip };
		return 1;
	}
	return r;
}

/* A row of 32-bit words of the arena. */
static int copy_words(struct bytes value, struct arena *arena, uint32_t **ret, size_t *ret_n,
		      struct error *err)
{
	size_t n = value.len / sizeof(uint32_t);

	if (n == 0)
		return 0;
	*ret = arena_memdup(arena, value.data, n * sizeof(uint32_t));
	if (!*ret)
		return error_nomem(err);
	*ret_n = n;
	return 0;
}

static int parse_inet_attrs(struct bytes attrs, struct sock_inet *sock, struct error *err)
{
	struct bytes value;
	uint16_t type;
	uint8_t byte;
	int r;

	while ((r = netlink_attr_next(&attrs, &type, &value, err)) > 0) {
		if (type == INET_DIAG_SHUTDOWN)
			sock->has_shutdown = netlink_u8(value, &sock->shutdown);
		else if (type == INET_DIAG_PROTOCOL)
			(void)netlink_u8(value, &sock->raw_protocol);
		else if (type == INET_DIAG_MARK)
			sock->has_mark = netlink_u32(value, &sock->mark);
		else if (type == INET_DIAG_SKV6ONLY && netlink_u8(value, &byte)) {
			sock->has_v6only = true;
			sock->v6only = byte != 0;
		}
	}
	return r;
}

int sock_diag_parse_inet(struct bytes messages, uint8_t protocol, struct arena *arena,
			 struct sock_inets *ret, struct error *err)
{
	struct inet_diag_msg msg;
	struct bytes attrs;
	int r;

	while ((r = next_sock(&messages, &msg, sizeof(msg), &attrs, err)) > 0) {
		struct sock_inet *sock;

		if (ret->n_socks >= SOCK_DIAG_MAX)
			return too_many(err);
		ret->socks = arena_grow(arena, ret->socks, ret->n_socks, sizeof(*ret->socks));
		if (!ret->socks)
			return error_nomem(err);
		sock = &ret->socks[ret->n_socks];
		*sock = (struct sock_inet){
			.family = msg.idiag_family,
			.protocol = protocol,
			.state = msg.idiag_state,
			.src_port = ntohs(msg.id.idiag_sport),
			.dst_port = ntohs(msg.id.idiag_dport),
			.ifindex = msg.id.idiag_if,
			.ino = msg.idiag_inode,
			.uid = msg.idiag_uid,
			.rqueue = msg.idiag_rqueue,
			.wqueue = msg.idiag_wqueue,
			.cookie = cookie_of(msg.id.idiag_cookie),
		};
		memcpy(sock->src, msg.id.idiag_src, sizeof(sock->src));
		memcpy(sock->dst, msg.id.idiag_dst, sizeof(sock->dst));
		r = parse_inet_attrs(attrs, sock, err);
		if (r < 0)
			return r;
		ret->n_socks++;
	}
	return r;
}

int sock_diag_inet(int fd, uint8_t family, uint8_t protocol, struct arena *arena,
		   struct sock_inets *ret, struct error *err)
{
	_cleanup_buf_ struct buf messages = BUF_INIT;
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 req;
	} ask = {
		.head.nlmsg_type = SOCK_DIAG_BY_FAMILY,
		.req = { .sdiag_family = family,
			 .sdiag_protocol = protocol,
			 .idiag_states = UINT32_MAX },
	};
	int r;

	r = netlink_dump(fd, &ask.head, sizeof(ask), &messages, err);
	if (r < 0)
		return error_while(err, r, "listing sockets of family %u, protocol %u", family,
				   protocol);
	return sock_diag_parse_inet((struct bytes){ messages.data, messages.len }, protocol, arena,
				    ret, err);
}

static int parse_unix_attr(uint16_t type, struct bytes value, struct arena *arena,
			   struct sock_unix *sock, struct error *err)
{
	struct unix_diag_vfs vfs;
	struct unix_diag_rqlen queues;

	switch (type) {
	case UNIX_DIAG_NAME:
		sock->name = arena_memdup(arena, value.data, value.len);
		sock->name_len = value.len;
		return sock->name ? 0 : error_nomem(err);
	case UNIX_DIAG_VFS:
		if (value.len < sizeof(vfs))
			return malformed(err, "UNIX_DIAG_VFS");
		memcpy(&vfs, value.data, sizeof(vfs));
		sock->has_vfs = true;
		sock->vfs_ino = vfs.udiag_vfs_ino;
		sock->vfs_dev = vfs.udiag_vfs_dev;
		return 0;
	case UNIX_DIAG_PEER:
		return netlink_u32(value, &sock->peer) ? 0 : malformed(err, "UNIX_DIAG_PEER");
	case UNIX_DIAG_ICONS:
		return copy_words(value, arena, &sock->icons, &sock->n_icons, err);
	case UNIX_DIAG_RQLEN:
		if (value.len < sizeof(queues))
			return malformed(err, "UNIX_DIAG_RQLEN");
		memcpy(&queues, value.data, sizeof(queues));
		sock->rqueue = queues.udiag_rqueue;
		sock->wqueue = queues.udiag_wqueue;
		return 0;
	case UNIX_DIAG_SHUTDOWN:
		return netlink_u8(value, &sock->shutdown) ? 0
							  : malformed(err, "UNIX_DIAG_SHUTDOWN");
	case UNIX_DIAG_UID:
		sock->has_uid = netlink_u32(value, &sock->uid);
		return 0;
	}
	return 0;
}

int sock_diag_parse_unix(struct bytes messages, struct arena *arena, struct sock_unixes *ret,
			 struct error *err)
{
	struct unix_diag_msg msg;
	struct bytes attrs, value;
	uint16_t type;
	int r;

	while ((r = next_sock(&messages, &msg, sizeof(msg), &attrs, err)) > 0) {
		struct sock_unix *sock;

		if (ret->n_socks >= SOCK_DIAG_MAX)
			return too_many(err);
		ret->socks = arena_grow(arena, ret->socks, ret->n_socks, sizeof(*ret->socks));
		if (!ret->socks)
			return error_nomem(err);
		sock = &ret->socks[ret->n_socks];
		*sock = (struct sock_unix){ .type = msg.udiag_type,
					    .state = msg.udiag_state,
					    .ino = msg.udiag_ino,
					    .cookie = cookie_of(msg.udiag_cookie) };
		while ((r = netlink_attr_next(&attrs, &type, &value, err)) > 0) {
			r = parse_unix_attr(type, value, arena, sock, err);
			if (r < 0)
				return r;
		}
		if (r < 0)
			return r;
		ret->n_socks++;
	}
	return r;
}

int sock_diag_unix(int fd, struct arena *arena, struct sock_unixes *ret, struct error *err)
{
	_cleanup_buf_ struct buf messages = BUF_INIT;
	struct {
		struct nlmsghdr head;
		struct unix_diag_req req;
	} ask = {
		.head.nlmsg_type = SOCK_DIAG_BY_FAMILY,
		.req = { .sdiag_family = AF_UNIX,
			 .udiag_states = UINT32_MAX,
			 .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_PEER |
				       UDIAG_SHOW_ICONS | UDIAG_SHOW_RQLEN | UDIAG_SHOW_UID },
	};
	int r;

	r = netlink_dump(fd, &ask.head, sizeof(ask), &messages, err);
	if (r < 0)
		return error_while(err, r, "listing unix sockets");
	return sock_diag_parse_unix((struct bytes){ messages.data, messages.len }, arena, ret, err);
}

int sock_diag_parse_netlink(struct bytes messages, struct arena *arena, struct sock_netlinks *ret,
			    struct error *err)
{
	struct netlink_diag_msg msg;
	struct bytes attrs, value;
	uint16_t type;
	int r;

	while ((r = next_sock(&messages, &msg, sizeof(msg), &attrs, err)) > 0) {
		struct sock_netlink *sock;

		if (ret->n_socks >= SOCK_DIAG_MAX)
			return too_many(err);
		ret->socks = arena_grow(arena, ret->socks, ret->n_socks, sizeof(*ret->socks));
		if (!ret->socks)
			return error_nomem(err);
		sock = &ret->socks[ret->n_socks];
		*sock = (struct sock_netlink){ .type = msg.ndiag_type,
					       .protocol = msg.ndiag_protocol,
					       .state = msg.ndiag_state,
					       .portid = msg.ndiag_portid,
					       .dst_portid = msg.ndiag_dst_portid,
					       .dst_group = msg.ndiag_dst_group,
					       .ino = msg.ndiag_ino,
					       .cookie = cookie_of(msg.ndiag_cookie) };
		while ((r = netlink_attr_next(&attrs, &type, &value, err)) > 0) {
			if (type == NETLINK_DIAG_FLAGS)
				(void)netlink_u32(value, &sock->flags);
			else if (type == NETLINK_DIAG_GROUPS)
				r = copy_words(value, arena, &sock->groups, &sock->n_groups, err);
			if (r < 0)
				return r;
		}
		if (r < 0)
			return r;
		ret->n_socks++;
	}
	return r;
}

int sock_diag_netlink(int fd, struct arena *arena, struct sock_netlinks *ret, struct error *err)
{
	_cleanup_buf_ struct buf messages = BUF_INIT;
	struct {
		struct nlmsghdr head;
		struct netlink_diag_req req;
	} ask = {
		.head.nlmsg_type = SOCK_DIAG_BY_FAMILY,
		.req = { .sdiag_family = AF_NETLINK,
			 .sdiag_protocol = NDIAG_PROTO_ALL,
			 .ndiag_show = NDIAG_SHOW_GROUPS | NDIAG_SHOW_FLAGS },
	};
	int r;

	r = netlink_dump(fd, &ask.head, sizeof(ask), &messages, err);
	if (r < 0)
		return error_while(err, r, "listing netlink sockets");
	return sock_diag_parse_netlink((struct bytes){ messages.data, messages.len }, arena, ret,
				       err);
}

/* The kernel's rows have 2 bytes of type, 2 of length, and room for 32 of address. */
static int parse_mclist(struct bytes value, struct arena *arena, struct sock_packet *sock,
			struct error *err)
{
	struct packet_diag_mclist row;
	size_t n = value.len / sizeof(row);

	sock->mclist = arena_array(arena, struct sock_packet_mc, n);
	if (n && !sock->mclist)
		return error_nomem(err);
	for (size_t i = 0; i < n; i++) {
		struct sock_packet_mc *mc = &sock->mclist[i];

		memcpy(&row, value.data + i * sizeof(row), sizeof(row));
		mc->ifindex = row.pdmc_index;
		mc->count = row.pdmc_count;
		mc->type = row.pdmc_type;
		mc->alen = MIN((size_t)row.pdmc_alen, sizeof(mc->addr));
		memcpy(mc->addr, row.pdmc_addr, MIN(sizeof(mc->addr), sizeof(row.pdmc_addr)));
	}
	sock->n_mclist = n;
	return 0;
}

static int parse_packet_attr(uint16_t type, struct bytes value, struct arena *arena,
			     struct sock_packet *sock, struct error *err)
{
	struct packet_diag_info info;

	switch (type) {
	case PACKET_DIAG_INFO:
		if (value.len < sizeof(info))
			return malformed(err, "PACKET_DIAG_INFO");
		memcpy(&info, value.data, sizeof(info));
		sock->ifindex = info.pdi_index;
		sock->version = info.pdi_version;
		sock->reserve = info.pdi_reserve;
		sock->copy_thresh = info.pdi_copy_thresh;
		sock->tstamp = info.pdi_tstamp;
		sock->flags = info.pdi_flags;
		return 0;
	case PACKET_DIAG_MCLIST:
		return parse_mclist(value, arena, sock, err);
	case PACKET_DIAG_RX_RING:
		sock->has_rx_ring = true;
		return 0;
	case PACKET_DIAG_TX_RING:
		sock->has_tx_ring = true;
		return 0;
	case PACKET_DIAG_FANOUT:
		sock->has_fanout = netlink_u32(value, &sock->fanout);
		return 0;
	case PACKET_DIAG_UID:
		(void)netlink_u32(value, &sock->uid);
		return 0;
	}
	return 0;
}

int sock_diag_parse_packet(struct bytes messages, struct arena *arena, struct sock_packets *ret,
			   struct error *err)
{
	struct packet_diag_msg msg;
	struct bytes attrs, value;
	uint16_t type;
	int r;

	while ((r = next_sock(&messages, &msg, sizeof(msg), &attrs, err)) > 0) {
		struct sock_packet *sock;

		if (ret->n_socks >= SOCK_DIAG_MAX)
			return too_many(err);
		ret->socks = arena_grow(arena, ret->socks, ret->n_socks, sizeof(*ret->socks));
		if (!ret->socks)
			return error_nomem(err);
		sock = &ret->socks[ret->n_socks];
		*sock = (struct sock_packet){ .type = msg.pdiag_type,
					      .protocol = msg.pdiag_num,
					      .ino = msg.pdiag_ino,
					      .cookie = cookie_of(msg.pdiag_cookie) };
		while ((r = netlink_attr_next(&attrs, &type, &value, err)) > 0) {
			r = parse_packet_attr(type, value, arena, sock, err);
			if (r < 0)
				return r;
		}
		if (r < 0)
			return r;
		ret->n_socks++;
	}
	return r;
}

int sock_diag_packet(int fd, struct arena *arena, struct sock_packets *ret, struct error *err)
{
	_cleanup_buf_ struct buf messages = BUF_INIT;
	struct {
		struct nlmsghdr head;
		struct packet_diag_req req;
	} ask = {
		.head.nlmsg_type = SOCK_DIAG_BY_FAMILY,
		.req = { .sdiag_family = AF_PACKET,
			 .pdiag_show = PACKET_SHOW_INFO | PACKET_SHOW_MCLIST |
				       PACKET_SHOW_RING_CFG | PACKET_SHOW_FANOUT },
	};
	int r;

	r = netlink_dump(fd, &ask.head, sizeof(ask), &messages, err);
	if (r < 0)
		return error_while(err, r, "listing packet sockets");
	return sock_diag_parse_packet((struct bytes){ messages.data, messages.len }, arena, ret,
				      err);
}

/* Inode 0 belongs to sockets that no descriptor names: it finds nothing. */
#define FIND()                                                                                     \
	for (size_t i = 0; ino && i < socks->n_socks; i++)                                         \
		if (socks->socks[i].ino == ino)                                                    \
			return &socks->socks[i];                                                   \
	return NULL

const struct sock_inet *sock_inet_find(const struct sock_inets *socks, uint32_t ino)
{
	FIND();
}

const struct sock_unix *sock_unix_find(const struct sock_unixes *socks, uint32_t ino)
{
	FIND();
}

const struct sock_netlink *sock_netlink_find(const struct sock_netlinks *socks, uint32_t ino)
{
	FIND();
}

const struct sock_packet *sock_packet_find(const struct sock_packets *socks, uint32_t ino)
{
	FIND();
}
