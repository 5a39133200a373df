/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sock-diag: the sockets of a network namespace, as NETLINK_SOCK_DIAG lists them.
 *
 * The lists hold sockets that some descriptor names and such that none names (connections not yet
 * accepted, closing ones). Ports and addresses stay in network byte order where the field says so.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

#define SOCK_DIAG_MAX ((size_t)1 << 20) /* sockets in one list */

/* --- TCP, UDP, UDP-Lite, raw; IPv4 and IPv6 */
struct sock_inet {
	uint8_t family;	  /* AF_INET, AF_INET6 */
	uint8_t protocol; /* IPPROTO_TCP, _UDP, _UDPLITE, _RAW (type of list; see raw_protocol) */
	uint8_t raw_protocol; /* of a raw socket; 0 when the kernel does not tell */
	uint8_t state;	      /* TCP_ESTABLISHED, TCP_LISTEN, ...; UDP: 1 connected, 7 not */
	uint8_t shutdown;     /* bit 0 RCV, bit 1 SEND */
	bool has_shutdown;
	bool v6only, has_v6only;
	uint16_t src_port, dst_port;	/* host byte order */
	unsigned char src[16], dst[16]; /* 4 bytes used for AF_INET */
	uint32_t ifindex;		/* bound to, 0 = none */
	uint32_t ino;			/* 0 = no descriptor: not accepted yet, or TIME_WAIT */
	uint32_t uid;
	uint32_t rqueue, wqueue; /* bytes; of a listener: waiting connections and the backlog */
	uint64_t cookie;
	uint32_t mark;
	bool has_mark;
};

struct sock_inets {
	struct sock_inet *socks;
	size_t n_socks;
};

/* --- unix */
struct sock_unix {
	uint8_t type;  /* SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET */
	uint8_t state; /* TCP_LISTEN (10), TCP_ESTABLISHED (1), TCP_CLOSE (7) */
	uint32_t ino;
	const unsigned char
		*name; /* as bind() took it; starts with NUL when abstract; NULL = unnamed */
	size_t name_len;
	bool has_vfs;		   /* name is a path that was bound: its file */
	uint32_t vfs_ino, vfs_dev; /* dev as the kernel keeps it: major << 20 | minor */
	uint32_t peer;		   /* ino of the other end, 0 = none or gone */
	uint32_t *icons; /* listener: ino of the *client* of each connection not accepted yet */
	size_t n_icons;
	uint32_t rqueue,
		wqueue;	  /* listener: waiting connections, backlog; else bytes in, bytes out */
	uint8_t shutdown; /* bit 0 RCV, bit 1 SEND */
	uint32_t uid;
	bool has_uid;
	uint64_t cookie;
};

struct sock_unixes {
	struct sock_unix *socks;
	size_t n_socks;
};

/* --- netlink */
struct sock_netlink {
	uint8_t type, protocol, state;
	uint32_t portid, dst_portid, dst_group, ino;
	uint32_t *groups; /* bit map, 32 groups a word */
	size_t n_groups;  /* words */
	uint32_t flags;	  /* NDIAG_FLAG_* */
	uint64_t cookie;
};

struct sock_netlinks {
	struct sock_netlink *socks;
	size_t n_socks;
};

/* --- packet */
struct sock_packet {
	uint8_t type;
	uint16_t protocol; /* ETH_P_*, host byte order */
	uint32_t ino;
	uint32_t ifindex, version, reserve, copy_thresh, tstamp, flags; /* PACKET_DIAG_INFO */
	uint32_t uid;
	uint64_t cookie;
	bool has_rx_ring, has_tx_ring, has_fanout;
	uint32_t fanout;
	struct sock_packet_mc {
		uint32_t ifindex, count;
		uint16_t type, alen;
		unsigned char addr[32];
	} * mclist;
	size_t n_mclist;
};

struct sock_packets {
	struct sock_packet *socks;
	size_t n_socks;
};

/*
 * sock_diag_inet - all sockets of a family and protocol, in all states.
 * @fd: a NETLINK_SOCK_DIAG socket made in the namespace in question (netlink_open(), ns_socket())
 * Lists append to *ret, so that families and protocols can share one. -ENOENT, -EOPNOTSUPP: the
 * kernel cannot list this kind (error set; the caller makes it a gap).
 */
int sock_diag_inet(int fd, uint8_t family, uint8_t protocol, struct arena *arena,
		   struct sock_inets *ret, struct error *err) _must_check_;
int sock_diag_unix(int fd, struct arena *arena, struct sock_unixes *ret,
		   struct error *err) _must_check_;
int sock_diag_netlink(int fd, struct arena *arena, struct sock_netlinks *ret,
		      struct error *err) _must_check_;
int sock_diag_packet(int fd, struct arena *arena, struct sock_packets *ret,
		     struct error *err) _must_check_;

/* The parsers of the answers (whole netlink messages), appending. 0, -EBADMSG, -E2BIG, -ENOMEM. */
int sock_diag_parse_inet(struct bytes messages, uint8_t protocol, struct arena *arena,
			 struct sock_inets *ret, struct error *err) _must_check_;
int sock_diag_parse_unix(struct bytes messages, struct arena *arena, struct sock_unixes *ret,
			 struct error *err) _must_check_;
int sock_diag_parse_netlink(struct bytes messages, struct arena *arena, struct sock_netlinks *ret,
			    struct error *err) _must_check_;
int sock_diag_parse_packet(struct bytes messages, struct arena *arena, struct sock_packets *ret,
			   struct error *err) _must_check_;

/* Look-up by inode number; NULL when none has it. */
const struct sock_inet *sock_inet_find(const struct sock_inets *socks, uint32_t ino);
const struct sock_unix *sock_unix_find(const struct sock_unixes *socks, uint32_t ino);
const struct sock_netlink *sock_netlink_find(const struct sock_netlinks *socks, uint32_t ino);
const struct sock_packet *sock_packet_find(const struct sock_packets *socks, uint32_t ino);
