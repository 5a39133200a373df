/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtnl: links, addresses, routes and rules of a network namespace, asked of NETLINK_ROUTE.
 *
 * Also the raw streams that `ip addr save` and its kin write (CRIU's ifaddr, route, route6 and rule
 * images hold them): a magic and then the kernel's own messages, made and replayed without that
 * program.
 */
#pragma once

#include <linux/netlink.h>

#include "base/arena.h"
#include "base/buf.h"

#define RTNL_MAX     ((size_t)1 << 20) /* things in one list */
#define RTNL_MAC_MAX 32

struct rtnl_link {
	int32_t index;
	uint16_t type;	/* ARPHRD_* */
	uint32_t flags; /* IFF_* */
	const char *name;
	const char *kind; /* "veth", "bridge", "dummy"; NULL = none told (lo, physical) */
	const char *slave_kind;
	const char *qdisc, *alias; /* may be NULL */
	uint32_t mtu, txqlen, group;
	unsigned char mac[RTNL_MAC_MAX], broadcast[RTNL_MAC_MAX];
	size_t mac_len, broadcast_len;
	int32_t link;	      /* IFLA_LINK: index of the other or lower one; 0 = none */
	int32_t link_netnsid; /* of IFLA_LINK, -1 = this namespace */
	int32_t master;	      /* bridge or bond it belongs to; 0 = none */
	uint8_t operstate;
	struct bytes info_data; /* IFLA_INFO_DATA raw, for the kind's own settings */
	struct bytes message;	/* the whole message with its header */
};

struct rtnl_addr {
	uint8_t family, prefix_len, scope;
	uint32_t flags; /* IFA_F_* */
	int32_t ifindex;
	unsigned char local[16], address[16], broadcast[16]; /* 4 bytes used for AF_INET */
	bool has_local, has_address, has_broadcast;
	const char *label;	   /* may be NULL */
	uint32_t preferred, valid; /* seconds, UINT32_MAX = for ever */
	struct bytes message;
};

struct rtnl_route {
	uint8_t family, dst_len, src_len, tos, protocol, scope, type;
	uint32_t table; /* RT_TABLE_* */
	uint32_t flags; /* RTM_F_*; RTM_F_CLONED are cache entries */
	unsigned char dst[16], gateway[16], prefsrc[16];
	bool has_dst, has_gateway, has_prefsrc;
	bool indirect; /* RTA_VIA or RTA_MULTIPATH: gateways of another form */
	int32_t oif;   /* 0 = none or several (RTA_MULTIPATH in message) */
	uint32_t priority;
	struct bytes message; /* all attributes, to be replayed */
};

struct rtnl_rule {
	uint8_t family, dst_len, src_len, tos, action;
	uint32_t table, priority;
	struct bytes message;
};

#define RTNL_LIST(noun)                                                                            \
	struct rtnl_##noun##s {                                                                    \
		struct rtnl_##noun *items;                                                         \
		size_t n_items;                                                                    \
	}
RTNL_LIST(link);
RTNL_LIST(addr);
RTNL_LIST(route);
RTNL_LIST(rule);

/* rtnl_* - lists of the namespace in which fd (NETLINK_ROUTE) was made. family AF_UNSPEC = all. */
int rtnl_links(int fd, struct arena *arena, struct rtnl_links *ret, struct error *err) _must_check_;
int rtnl_addrs(int fd, int family, struct arena *arena, struct rtnl_addrs *ret,
	       struct error *err) _must_check_;
int rtnl_routes(int fd, int family, struct arena *arena, struct rtnl_routes *ret,
		struct error *err) _must_check_;
int rtnl_rules(int fd, int family, struct arena *arena, struct rtnl_rules *ret,
	       struct error *err) _must_check_;

/* The parsers of the answers, appending; all copies live in the arena. 0, -EBADMSG, -E2BIG,
 * -ENOMEM. */
int rtnl_parse_links(struct bytes messages, struct arena *arena, struct rtnl_links *ret,
		     struct error *err) _must_check_;
int rtnl_parse_addrs(struct bytes messages, struct arena *arena, struct rtnl_addrs *ret,
		     struct error *err) _must_check_;
int rtnl_parse_routes(struct bytes messages, struct arena *arena, struct rtnl_routes *ret,
		      struct error *err) _must_check_;
int rtnl_parse_rules(struct bytes messages, struct arena *arena, struct rtnl_rules *ret,
		     struct error *err) _must_check_;

/* rtnl_link_up - set or clear IFF_UP of one link. */
int rtnl_link_up(int fd, int32_t ifindex, bool up, struct error *err) _must_check_;

/* rtnl_link_mtu, rtnl_link_mac - change one link. */
int rtnl_link_mtu(int fd, int32_t ifindex, uint32_t mtu, struct error *err) _must_check_;
int rtnl_link_mac(int fd, int32_t ifindex, const unsigned char *mac, size_t mac_len,
		  struct error *err) _must_check_;

/* A link to be made. What is zero is the kernel's choice. */
struct rtnl_link_new {
	const char *name;
	const char *kind; /* "dummy", "bridge", "veth" ... */
	int32_t index;
	uint32_t mtu;
	unsigned char mac[RTNL_MAC_MAX];
	size_t mac_len;
	struct bytes info_data; /* raw IFLA_INFO_DATA; not together with peer */
	const char *peer;	/* veth only: name of the other end */
	bool peer_elsewhere;	/* it is made in the namespace peer_ns_fd */
	int peer_ns_fd;
};

/* rtnl_link_add - make it. -EEXIST: name or index is taken. */
int rtnl_link_add(int fd, const struct rtnl_link_new *link, struct error *err) _must_check_;

/* rtnl_link_del - remove a link; the other end of a veth goes with it. */
int rtnl_link_del(int fd, int32_t ifindex, struct error *err) _must_check_;
