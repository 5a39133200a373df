// SPDX-License-Identifier: Apache-2.0
/*
 * rtnl-link: making and changing links. Never touches a link it was not given.
 */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/netlink.h"
#include "kernel/rtnl.h"

/* The head of every message here. */
struct link_head {
	struct nlmsghdr head;
	struct ifinfomsg info;
};

static int begin(struct buf *message, uint16_t type, uint16_t flags, const struct ifinfomsg *info,
		 struct error *err)
{
	const struct link_head head = {
		.head = { .nlmsg_type = type, .nlmsg_flags = flags },
		.info = *info,
	};

	return buf_append(message, &head, sizeof(head), err);
}

static int talk(int fd, struct buf *message, struct error *err)
{
	return netlink_talk(fd, (struct nlmsghdr *)(void *)message->data, message->len, err);
}

int rtnl_link_up(int fd, int32_t ifindex, bool up, struct error *err)
{
	const struct ifinfomsg info = { .ifi_index = ifindex,
					.ifi_flags = up ? IFF_UP : 0,
					.ifi_change = IFF_UP };
	_cleanup_buf_ struct buf message = BUF_INIT;
	int r;

	r = begin(&message, RTM_NEWLINK, 0, &info, err);
	if (r == 0)
		r = talk(fd, &message, err);
	return r < 0 ? error_while(err, r, "setting link %d %s", ifindex, up ? "up" : "down") : 0;
}

/* One attribute of one link. */
static int change(int fd, int32_t ifindex, uint16_t type, const void *data, size_t len,
		  struct error *err)
{
	const struct ifinfomsg info = { .ifi_index = ifindex };
	_cleanup_buf_ struct buf message = BUF_INIT;
	int r;

	r = begin(&message, RTM_NEWLINK, 0, &info, err);
	if (r == 0)
		r = netlink_put(&message, type, data, len, err);
	if (r == 0)
		r = talk(fd, &message, err);
	return r < 0 ? error_while(err, r, "changing link %d", ifindex) : 0;
}

int rtnl_link_mtu(int fd, int32_t ifindex, uint32_t mtu, struct error *err)
{
	return change(fd, ifindex, IFLA_MTU, &mtu, sizeof(mtu), err);
}

int rtnl_link_mac(int fd, int32_t ifindex, const unsigned char *mac, size_t mac_len,
		  struct error *err)
{
	return change(fd, ifindex, IFLA_ADDRESS, mac, mac_len, err);
}

/* The other end of a veth: a whole link message inside of IFLA_INFO_DATA. */
static int put_peer(struct buf *message, const struct rtnl_link_new *link, struct error *err)
{
	const struct ifinfomsg info = { 0 };
	const int32_t ns_fd = link->peer_ns_fd;
	size_t data, peer;
	int r;

	r = netlink_nest(message, IFLA_INFO_DATA, &data, err);
	if (r == 0)
		r = netlink_nest(message, VETH_INFO_PEER, &peer, err);
	if (r == 0)
		r = buf_append(message, &info, sizeof(info), err);
	if (r == 0)
		r = netlink_put(message, IFLA_IFNAME, link->peer, strlen(link->peer) + 1, err);
	if (r == 0 && link->peer_elsewhere)
		r = netlink_put(message, IFLA_NET_NS_FD, &ns_fd, sizeof(ns_fd), err);
	if (r < 0)
		return r;
	netlink_nest_end(message, peer);
	netlink_nest_end(message, data);
	return 0;
}

static int put_linkinfo(struct buf *message, const struct rtnl_link_new *link, struct error *err)
{
	size_t at;
	int r;

	r = netlink_nest(message, IFLA_LINKINFO, &at, err);
	if (r == 0)
		r = netlink_put(message, IFLA_INFO_KIND, link->kind, strlen(link->kind) + 1, err);
	if (r == 0 && link->peer)
		r = put_peer(message, link, err);
	else if (r == 0 && link->info_data.len)
		r = netlink_put(message, IFLA_INFO_DATA, link->info_data.data, link->info_data.len,
				err);
	if (r == 0)
		netlink_nest_end(message, at);
	return r;
}

int rtnl_link_add(int fd, const struct rtnl_link_new *link, struct error *err)
{
	const struct ifinfomsg info = { .ifi_index = link->index };
	_cleanup_buf_ struct buf message = BUF_INIT;
	int r;

	r = begin(&message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, err);
	if (r == 0)
		r = netlink_put(&message, IFLA_IFNAME, link->name, strlen(link->name) + 1, err);
	if (r == 0 && link->mtu)
		r = netlink_put(&message, IFLA_MTU, &link->mtu, sizeof(link->mtu), err);
	if (r == 0 && link->mac_len)
		r = netlink_put(&message, IFLA_ADDRESS, link->mac, link->mac_len, err);
	if (r == 0 && link->kind)
		r = put_linkinfo(&message, link, err);
	if (r == 0)
		r = talk(fd, &message, err);
	return r < 0 ? error_while(err, r, "making link %s of kind %s", link->name,
				   link->kind ? link->kind : "none")
		     : 0;
}

int rtnl_link_del(int fd, int32_t ifindex, struct error *err)
{
	const struct ifinfomsg info = { .ifi_index = ifindex };
	_cleanup_buf_ struct buf message = BUF_INIT;
	int r;

	r = begin(&message, RTM_DELLINK, 0, &info, err);
	if (r == 0)
		r = talk(fd, &message, err);
	return r < 0 ? error_while(err, r, "removing link %d", ifindex) : 0;
}
