// SPDX-License-Identifier: Apache-2.0
/*
 * netns: capturing a network namespace: links, addresses, routes, rules, settings.
 *
 * Links and the like are asked over a netlink socket made inside; settings are read by the same
 * child that makes it. Packet filters and connection tracking are noted as gaps where there are
 * any.
 */
#include "object/netns.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "kernel/netlink.h"
#include "kernel/ns.h"
#include "kernel/rtnl-stream.h"
#include "kernel/rtnl.h"
#include "object/net-conf.h"

#define RULES_STANDARD 3 /* local, main, default */

/* Links whose kind the image format knows; the rest is for whoever restores to provide. */
static Img__NdType link_type(const struct rtnl_link *link)
{
	static const struct {
		const char *kind;
		Img__NdType type;
	} types[] = {
		{ "veth", IMG__ND_TYPE__VETH },
		{ "bridge", IMG__ND_TYPE__BRIDGE },
		{ "macvlan", IMG__ND_TYPE__MACVLAN },
	};
	size_t i;

	if (link->flags & IFF_LOOPBACK)
		return IMG__ND_TYPE__LOOPBACK;
	for (i = 0; link->kind && i < ARRAY_SIZE(types); i++)
		if (strcmp(link->kind, types[i].kind) == 0)
			return types[i].type;
	return IMG__ND_TYPE__EXTLINK;
}

static int macvlan_capture(struct capture *cap, const struct rtnl_link *link, Img__NetDevice *dev,
			   struct error *err)
{
	struct bytes rest = link->info_data, value;
	uint16_t type;
	uint32_t mode;

	dev->macvlan = img_new(cap->set, Img__MacvlanLink, macvlan_link);
	if (!dev->macvlan)
		return error_nomem(err);
	while (netlink_attr_next(&rest, &type, &value, NULL) == 1)
		if (type == IFLA_MACVLAN_MODE && netlink_u32(value, &mode))
			dev->macvlan->mode = mode;
	return 0;
}

static int link_gap(struct capture *cap, const struct rtnl_link *link, struct error *err)
{
	if (gap_add(cap->gaps, GAP_COSMETIC, "link", 0, link->name,
		    "of a kind (%s) that only its settings are kept of; a copy has a stand-in",
		    link->kind ? link->kind : "hardware") < 0)
		return error_nomem(err);
	return 0;
}

static int link_capture(struct capture *cap, const struct capture_ns *ns,
			const struct rtnl_link *link, struct bytes conf, struct error *err)
{
	Img__NetDevice *dev = img_new(cap->set, Img__NetDevice, net_device);
	int r = 0;

	if (!dev)
		return error_nomem(err);
	dev->type = link_type(link);
	dev->ifindex = link->index;
	dev->mtu = link->mtu;
	dev->flags = link->flags;
	dev->name = arena_strdup(&cap->set->arena, link->name);
	if (!dev->name)
		return error_nomem(err);
	dev->has_peer_ifindex = true;
	dev->peer_ifindex = link->link ? link->link : link->index;
	/* An end in a namespace outside of the container has no number. */
	dev->has_peer_nsid = link->link_netnsid < 0;
	if (dev->has_peer_nsid)
		dev->peer_nsid = ns->id;
	if (link->mac_len && dev->type != IMG__ND_TYPE__LOOPBACK) {
		dev->has_address = true;
		dev->address.data = arena_memdup(&cap->set->arena, link->mac, link->mac_len);
		dev->address.len = link->mac_len;
		if (!dev->address.data)
			return error_nomem(err);
	}
	dev->has_master = link->master != 0;
	dev->master = link->master;
	if (dev->type == IMG__ND_TYPE__MACVLAN)
		r = macvlan_capture(cap, link, dev, err);
	if (r == 0 && dev->type == IMG__ND_TYPE__EXTLINK)
		r = link_gap(cap, link, err);
	if (r == 0)
		r = net_conf_device(cap->set, conf, dev, err);
	if (r < 0)
		return r;
	return image_add(cap->set, IMAGE_NETDEV, ns->id, &dev->base, (struct bytes){ 0 }, err);
}

static int links_capture(struct capture *cap, const struct capture_ns *ns, int fd,
			 struct bytes conf, struct error *err)
{
	_cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
	struct rtnl_links links = { 0 };
	size_t i;
	int r;

	r = rtnl_links(fd, &arena, &links, err);
	for (i = 0; r == 0 && i < links.n_items; i++)
		r = link_capture(cap, ns, &links.items[i], conf, err);
	return r;
}

static int stream_capture(struct capture *cap, const struct capture_ns *ns, int fd,
			  enum rtnl_stream stream, int family, bool all_tables,
			  enum image_kind image, struct error *err)
{
	_cleanup_buf_ struct buf buf = BUF_INIT;
	struct error reason = ERROR_INIT;
	void *data;

	if (rtnl_stream_save(fd, stream, family, all_tables, &buf, &reason) < 0) {
		/* No IPv6 in this kernel, as a rule. */
		if (gap_add(cap->gaps, GAP_COSMETIC, "netns", 0, image_types[image].name, "%s",
			    reason.text) < 0)
			return error_nomem(err);
		return 0;
	}
	data = arena_memdup(&cap->set->arena, buf.data, buf.len);
	if (!data)
		return error_nomem(err);
	return image_add(cap->set, image, ns->id, NULL, (struct bytes){ data, buf.len }, err);
}

static int streams_capture(struct capture *cap, const struct capture_ns *ns, int fd,
			   struct error *err)
{
	_cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
	struct rtnl_rules rules = { 0 };
	struct error ignored = ERROR_INIT;
	bool all;
	int r;

	/* Other tables matter only when a rule leads to them. */
	all = rtnl_rules(fd, AF_INET, &arena, &rules, &ignored) == 0 &&
	      rules.n_items > RULES_STANDARD;
	r = stream_capture(cap, ns, fd, RTNL_STREAM_ADDR, AF_UNSPEC, false, IMAGE_IFADDR, err);
	if (r == 0)
		r = stream_capture(cap, ns, fd, RTNL_STREAM_ROUTE, AF_INET, all, IMAGE_ROUTE, err);
	if (r == 0)
		r = stream_capture(cap, ns, fd, RTNL_STREAM_ROUTE, AF_INET6, all, IMAGE_ROUTE6,
				   err);
	if (r == 0)
		r = stream_capture(cap, ns, fd, RTNL_STREAM_RULE, AF_INET, false, IMAGE_RULE, err);
	return r;
}

/* Does the namespace of the calling task have nftables? (The iptables of today are nftables too.)
 */
static bool has_nftables(void)
{
	struct {
		struct nlmsghdr header;
		struct nfgenmsg body;
	} request = { .header = { .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE },
		      .body = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 } };
	_cleanup_buf_ struct buf answer = BUF_INIT;
	_cleanup_close_ int fd = -1;
	struct error ignored = ERROR_INIT;

	if (netlink_open(NETLINK_NETFILTER, &fd, &ignored) < 0)
		return false;
	return netlink_dump(fd, &request.header, sizeof(request), &answer, &ignored) == 0 &&
	       answer.len > 0;
}

static int filters_note(struct capture *cap, struct bytes conf, struct error *err)
{
	static const char *const marks[] = { "netfilter - ip_tables ", "netfilter - ip6_tables ",
					     "netfilter - nf_tables " };
	bool filters = false;
	size_t i;
	int32_t tracked = net_conf_number(conf, "netfilter", "-", "nf_conntrack_count", 0);

	for (i = 0; i < ARRAY_SIZE(marks); i++)
		filters |= memmem(conf.data, conf.len, marks[i], strlen(marks[i])) != NULL;
	if (filters && gap_add(cap->gaps, GAP_DEGRADED, "netns", 0, "packet filter",
			       "rules of the namespace are not captured") < 0)
		return error_nomem(err);
	if (tracked > 0 && gap_add(cap->gaps, GAP_COSMETIC, "netns", 0, "connection tracking",
				   "%d entries are not captured", tracked) < 0)
		return error_nomem(err);
	return 0;
}

/* In a child inside the namespace: read the settings, hand a socket back. */
static int look_inside(void *arg, struct buf *out, int *fd, struct error *err)
{
	int r = netlink_open(NETLINK_ROUTE, fd, err);

	if (r == 0)
		r = net_conf_read(out, err);
	if (r == 0 && has_nftables())
		r = buf_printf(out, err, "netfilter - nf_tables 1\n");
	return r;
}

static int netns_capture(struct capture *cap, const struct capture_ns *ns, struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	_cleanup_close_ int fd = -1;
	int ns_fds[NS_KINDS];
	Img__Netns *netns;
	struct bytes conf;
	size_t i;
	int r;

	for (i = 0; i < NS_KINDS; i++)
		ns_fds[i] = -1;
	ns_fds[NS_NET] = ns->fd;
	r = ns_call(ns_fds, look_inside, NULL, &text, &fd, err);
	if (r < 0)
		return error_while(err, r, "looking into the network namespace");
	conf = (struct bytes){ text.data, text.len };

	netns = net_conf_namespace(cap->set, conf, err);
	if (!netns)
		return -ENOMEM;
	r = image_add(cap->set, IMAGE_NETNS, ns->id, &netns->base, (struct bytes){ 0 }, err);
	if (r == 0)
		r = links_capture(cap, ns, fd, conf, err);
	if (r == 0)
		r = streams_capture(cap, ns, fd, err);
	if (r == 0)
		r = filters_note(cap, conf, err);
	return r;
}

const struct namespace_kind netns_kind = {
	.name = "net",
	.kind = NS_NET,
	.clone_flag = CLONE_NEWNET,
	.early = true,
	.capture = netns_capture,
	.restore = netns_restore,
};
