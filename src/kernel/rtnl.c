// SPDX-License-Identifier: Apache-2.0
/*
 * rtnl: links, addresses, routes and rules of a network namespace. Never judges which of them
 * matter.
 */
#include "kernel/rtnl.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/netlink.h"

/* What the fixed part of a message is followed by, and where the copies go. */
struct rtnl_parse {
	struct arena *arena;
	struct error *err;
};

static int malformed(struct error *err, const char *what)
{
	return error_set(err, ERROR_INPUT, EBADMSG, "netlink message is not as expected: %s", what);
}

/*
 * next_item - the next message of a type, its fixed part copied out.
 * @ret_message: a copy of the whole message in the arena
 * @ret_attrs: its attributes, in that copy
 */
static int next_item(struct bytes *messages, uint16_t type, void *ret_fixed, size_t fixed,
		     struct arena *arena, struct bytes *ret_message, struct bytes *ret_attrs,
		     struct error *err)
{
	struct nlmsghdr head;
	struct bytes body;
	int r;

	while ((r = netlink_next(messages, &head, &body, err)) > 0) {
		size_t skip = MIN((size_t)NLMSG_ALIGN(fixed), body.len);
		unsigned char *copy;

		if (head.nlmsg_type != type)
			continue;
		if (body.len < fixed)
			return malformed(err, "it is cut short");
		memcpy(ret_fixed, body.data, fixed);
		copy = arena_memdup(arena, body.data - sizeof(head), head.nlmsg_len);
		if (!copy)
			return error_nomem(err);
		*ret_message = (struct bytes){ copy, head.nlmsg_len };
		*ret_attrs = (struct bytes){ copy + sizeof(head) + skip, body.len - skip };
		return 1;
	}
	return r;
}

static int grow(struct arena *arena, void *items, size_t n, size_t size, struct error *err)
{
	void **array = items;

	if (n >= RTNL_MAX)
		return error_set(err, ERROR_SYSTEM, E2BIG,
				 "more than %zu links, addresses or routes", RTNL_MAX);
	*array = arena_grow(arena, *array, n, size);
	return *array ? 0 : error_nomem(err);
}

static int take_string(struct bytes value, struct rtnl_parse *p, const char **ret)
{
	size_t len = value.len ? strnlen((const char *)value.data, value.len) : 0;

	*ret = arena_memdup(p->arena, value.data, len);
	return *ret ? 0 : error_nomem(p->err);
}

static void take_mac(struct bytes value, unsigned char mac[RTNL_MAC_MAX], size_t *ret_len)
{
	*ret_len = MIN(value.len, (size_t)RTNL_MAC_MAX);
	memcpy(mac, value.data, *ret_len);
}

/* An IPv4 or IPv6 address. */
static bool take_ip(struct bytes value, unsigned char ip[16])
{
	if (value.len != 4 && value.len != 16)
		return false;
	memcpy(ip, value.data, value.len);
	return true;
}

static int take_linkinfo(struct bytes attrs, struct rtnl_link *link, struct rtnl_parse *p)
{
	struct bytes value;
	uint16_t type;
	int r;

	while ((r = netlink_attr_next(&attrs, &type, &value, p->err)) > 0) {
		if (type == IFLA_INFO_KIND)
			r = take_string(value, p, &link->kind);
		else if (type == IFLA_INFO_SLAVE_KIND)
			r = take_string(value, p, &link->slave_kind);
		else if (type == IFLA_INFO_DATA)
			link->info_data = value;
		if (r < 0)
			return r;
	}
	return r;
}

static int take_link_attr(uint16_t type, struct bytes value, struct rtnl_link *link,
			  struct rtnl_parse *p)
{
	switch (type) {
	case IFLA_IFNAME:
		return take_string(value, p, &link->name);
	case IFLA_QDISC:
		return take_string(value, p, &link->qdisc);
	case IFLA_IFALIAS:
		return take_string(value, p, &link->alias);
	case IFLA_LINKINFO:
		return take_linkinfo(value, link, p);
	case IFLA_ADDRESS:
		take_mac(value, link->mac, &link->mac_len);
		return 0;
	case IFLA_BROADCAST:
		take_mac(value, link->broadcast, &link->broadcast_len);
		return 0;
	case IFLA_MTU:
		(void)netlink_u32(value, &link->mtu);
		return 0;
	case IFLA_TXQLEN:
		(void)netlink_u32(value, &link->txqlen);
		return 0;
	case IFLA_GROUP:
		(void)netlink_u32(value, &link->group);
		return 0;
	case IFLA_LINK:
		(void)netlink_u32(value, (uint32_t *)&link->link);
		return 0;
	case IFLA_LINK_NETNSID:
		(void)netlink_u32(value, (uint32_t *)&link->link_netnsid);
		return 0;
	case IFLA_MASTER:
		(void)netlink_u32(value, (uint32_t *)&link->master);
		return 0;
	case IFLA_OPERSTATE:
		(void)netlink_u8(value, &link->operstate);
		return 0;
	}
	return 0;
}

int rtnl_parse_links(struct bytes messages, struct arena *arena, struct rtnl_links *ret,
		     struct error *err)
{
	struct rtnl_parse p = { arena, err };
	struct bytes message, attrs, value;
	struct ifinfomsg info;
	uint16_t type;
	int r;

	while ((r = next_item(&messages, RTM_NEWLINK, &info, sizeof(info), arena, &message, &attrs,
			      err)) > 0) {
		struct rtnl_link *link;

		r = grow(arena, &ret->items, ret->n_items, sizeof(*ret->items), err);
		if (r < 0)
			return r;
		link = &ret->items[ret->n_items];
		*link = (struct rtnl_link){ .index = info.ifi_index,
					    .type = info.ifi_type,
					    .flags = info.ifi_flags,
					    .link_netnsid = -1,
					    .message = message };
		while ((r = netlink_attr_next(&attrs, &type, &value, err)) > 0) {
			r = take_link_attr(type, value, link, &p);
			if (r < 0)
				return r;
		}
		if (r < 0)
			return r;
		if (!link->name)
			return malformed(err, "a link without a name");
		ret->n_items++;
	}
	return r;
}

static int take_addr_attr(uint16_t type, struct bytes value, struct rtnl_addr *addr,
			  struct rtnl_parse *p)
{
	struct ifa_cacheinfo cache;

	switch (type) {
	case IFA_LABEL:
		return take_string(value, p, &addr->label);
	case IFA_LOCAL:
		addr->has_local = take_ip(value, addr->local);
		return 0;
	case IFA_ADDRESS:
		addr->has_address = take_ip(value, addr->address);
		return 0;
	case IFA_BROADCAST:
		addr->has_broadcast = take_ip(value, addr->broadcast);
		return 0;
	case IFA_FLAGS:
		(void)netlink_u32(value, &addr->flags);
		return 0;
	case IFA_CACHEINFO:
		if (value.len < sizeof(cache))
			return malformed(p->err, "IFA_CACHEINFO");
		memcpy(&cache, value.data, sizeof(cache));
		addr->preferred = cache.ifa_prefered;
		addr->valid = cache.ifa_valid;
		return 0;
	}
	return 0;
}

int rtnl_parse_addrs(struct bytes messages, struct arena *arena, struct rtnl_addrs *ret,
		     struct error *err)
{
	struct rtnl_parse p = { arena, err };
	struct bytes message, attrs, value;
	struct ifaddrmsg info;
	uint16_t type;
	int r;

	while ((r = next_item(&messages, RTM_NEWADDR, &info, sizeof(info), arena, &message, &attrs,
			      err)) > 0) {
		struct rtnl_addr *addr;

		r = grow(arena, &ret->items, ret->n_items, sizeof(*ret->items), err);
		if (r < 0)
			return r;
		addr = &ret->items[ret->n_items];
		*addr = (struct rtnl_addr){ .family = info.ifa_family,
					    .prefix_len = info.ifa_prefixlen,
					    .scope = info.ifa_scope,
					    .flags = info.ifa_flags,
					    .ifindex = info.ifa_index,
					    .preferred = UINT32_MAX,
					    .valid = UINT32_MAX,
					    .message = message };
		while ((r = netlink_attr_next(&attrs, &type, &value, err)) > 0) {
			r = take_addr_attr(type, value, addr, &p);
			if (r < 0)
				return r;
		}
		if (r < 0)
			return r;
		ret->n_items++;
	}
	return r;
}

static void take_route_attr(uint16_t type, struct bytes value, struct rtnl_route *route)
{
	switch (type) {
	case RTA_DST:
		route->has_dst = take_ip(value, route->dst);
		break;
	case RTA_GATEWAY:
		route->has_gateway = take_ip(value, route->gateway);
		break;
	case RTA_PREFSRC:
		route->has_prefsrc = take_ip(value, route->prefsrc);
		break;
	case RTA_OIF:
		(void)netlink_u32(value, (uint32_t *)&route->oif);
		break;
	case RTA_PRIORITY:
		(void)netlink_u32(value, &route->priority);
		break;
	case RTA_TABLE:
		(void)netlink_u32(value, &route->table);
		break;
	case RTA_VIA:
	case RTA_MULTIPATH:
		route->indirect = true;
		break;
	}
}

int rtnl_parse_routes(struct bytes messages, struct arena *arena, struct rtnl_routes *ret,
		      struct error *err)
{
	struct bytes message, attrs, value;
	struct rtmsg info;
	uint16_t type;
	int r;

	while ((r = next_item(&messages, RTM_NEWROUTE, &info, sizeof(info), arena, &message, &attrs,
			      err)) > 0) {
		struct rtnl_route *route;

		r = grow(arena, &ret->items, ret->n_items, sizeof(*ret->items), err);
		if (r < 0)
			return r;
		route = &ret->items[ret->n_items];
		*route = (struct rtnl_route){ .family = info.rtm_family,
					      .dst_len = info.rtm_dst_len,
					      .src_len = info.rtm_src_len,
					      .tos = info.rtm_tos,
					      .protocol = info.rtm_protocol,
					      .scope = info.rtm_scope,
					      .type = info.rtm_type,
					      .table = info.rtm_table,
					      .flags = info.rtm_flags,
					      .message = message };
		while ((r = netlink_attr_next(&attrs, &type, &value, err)) > 0)
			take_route_attr(type, value, route);
		if (r < 0)
			return r;
		ret->n_items++;
	}
	return r;
}

int rtnl_parse_rules(struct bytes messages, struct arena *arena, struct rtnl_rules *ret,
		     struct error *err)
{
	struct bytes message, attrs, value;
	struct fib_rule_hdr info;
	uint16_t type;
	int r;

	while ((r = next_item(&messages, RTM_NEWRULE, &info, sizeof(info), arena, &message, &attrs,
			      err)) > 0) {
		struct rtnl_rule *rule;

		r = grow(arena, &ret->items, ret->n_items, sizeof(*ret->items), err);
		if (r < 0)
			return r;
		rule = &ret->items[ret->n_items];
		*rule = (struct rtnl_rule){ .family = info.family,
					    .dst_len = info.dst_len,
					    .src_len = info.src_len,
					    .tos = info.tos,
					    .action = info.action,
					    .table = info.table,
					    .message = message };
		while ((r = netlink_attr_next(&attrs, &type, &value, err)) > 0) {
			if (type == FRA_TABLE)
				(void)netlink_u32(value, &rule->table);
			else if (type == FRA_PRIORITY)
				(void)netlink_u32(value, &rule->priority);
		}
		if (r < 0)
			return r;
		ret->n_items++;
	}
	return r;
}

/* One dump of a type; the fixed parts of all four are zero but for the family, which comes first.
 */
static int dump(int fd, uint16_t type, size_t fixed, int family, struct buf *messages,
		struct error *err)
{
	struct {
		struct nlmsghdr head;
		unsigned char fixed[sizeof(struct ifinfomsg)];
	} ask = { .head.nlmsg_type = type, .fixed = { (unsigned char)family } };
	int r;

	r = netlink_dump(fd, &ask.head, sizeof(ask.head) + fixed, messages, err);
	return r < 0 ? error_while(err, r, "asking for netlink list %u", type) : 0;
}

int rtnl_links(int fd, struct arena *arena, struct rtnl_links *ret, struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	int r;

	r = dump(fd, RTM_GETLINK, sizeof(struct ifinfomsg), AF_UNSPEC, &text, err);
	return r < 0 ? r : rtnl_parse_links((struct bytes){ text.data, text.len }, arena, ret, err);
}

int rtnl_addrs(int fd, int family, struct arena *arena, struct rtnl_addrs *ret, struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	int r;

	r = dump(fd, RTM_GETADDR, sizeof(struct ifaddrmsg), family, &text, err);
	return r < 0 ? r : rtnl_parse_addrs((struct bytes){ text.data, text.len }, arena, ret, err);
}

int rtnl_routes(int fd, int family, struct arena *arena, struct rtnl_routes *ret, struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	int r;

	r = dump(fd, RTM_GETROUTE, sizeof(struct rtmsg), family, &text, err);
	return r < 0 ? r
		     : rtnl_parse_routes((struct bytes){ text.data, text.len }, arena, ret, err);
}

int rtnl_rules(int fd, int family, struct arena *arena, struct rtnl_rules *ret, struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	int r;

	r = dump(fd, RTM_GETRULE, sizeof(struct fib_rule_hdr), family, &text, err);
	return r < 0 ? r : rtnl_parse_rules((struct bytes){ text.data, text.len }, arena, ret, err);
}
