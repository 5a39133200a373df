// SPDX-License-Identifier: Apache-2.0
/*
 * netns-restore: an isolated network for a sandbox, that looks like the captured one.
 *
 * Runs in the sandbox's root task, in a fresh network namespace. Nothing here may ever connect it
 * to anything: there is no way out, by construction. What a kernel refuses becomes a note.
 */
#include "object/netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "kernel/netlink.h"
#include "kernel/ns.h"
#include "kernel/rtnl-stream.h"
#include "kernel/rtnl.h"
#include "object/net-conf.h"

#define STAND_IN_NAME "eth0" /* where the images name no interface */
#define ADDRESSES_MAX 256

static const char *const stand_in_kinds[] = { "dummy", "ifb" };

/* --- links */

/* Set and clear interface flags by name. */
static int flags_change(const char *name, short set, short clear)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = { 0 };

	if (fd < 0)
		return -errno;
	(void)snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFFLAGS, &req) < 0)
		return -errno;
	req.ifr_flags = (req.ifr_flags & ~clear) | set;
	return ioctl(fd, SIOCSIFFLAGS, &req) < 0 ? -errno : 0;
}

static int empty_ns(void *arg, struct buf *out, int *fd, struct error *err)
{
	if (unshare(CLONE_NEWNET) < 0)
		return error_errno(err, errno, "cannot make a network namespace");
	*fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return *fd < 0 ? error_errno(err, errno, "cannot open /proc/self/ns/net") : 0;
}

/* A veth whose other end is up in a namespace that nobody is in. */
static int veth_add(struct restore *rst, int fd, struct rtnl_link_new *link, struct error *err)
{
	_cleanup_close_ int ns = -1, inside = -1;
	int ns_fds[NS_KINDS];
	size_t i;
	int r;

	for (i = 0; i < NS_KINDS; i++)
		ns_fds[i] = -1;
	r = ns_call(ns_fds, empty_ns, NULL, NULL, &ns, err);
	if (r < 0)
		return r;
	link->kind = "veth";
	link->peer = "peer";
	link->peer_elsewhere = true;
	link->peer_ns_fd = ns;
	r = rtnl_link_add(fd, link, err);
	if (r < 0)
		return r;
	r = ns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, &inside, err);
	/* lo is 1, the only other one is the peer. */
	for (i = 2; r == 0 && i < 64; i++)
		if (rtnl_link_up(inside, i, true, NULL) == 0)
			break;
	if (r == 0)
		restore_hold(rst, TAKE_FD(ns), false);
	return r;
}

static int stand_in_add(struct restore *rst, int fd, struct rtnl_link_new *link, struct error *err)
{
	size_t i;
	int r = -EOPNOTSUPP;

	for (i = 0; i < ARRAY_SIZE(stand_in_kinds); i++) {
		error_clear(err);
		link->kind = stand_in_kinds[i];
		r = rtnl_link_add(fd, link, err);
		if (r == -EEXIST && link->index) {
			/* Tunnel modules put links of their own into every namespace. */
			link->index = 0;
			r = rtnl_link_add(fd, link, err);
		}
		if (r == 0 || r == -EEXIST)
			break;
	}
	if (r < 0 && r != -EEXIST) {
		error_clear(err);
		r = veth_add(rst, fd, link, err);
	}
	if (r == 0)
		r = flags_change(link->name, IFF_NOARP, 0);
	return r;
}

static bool name_ok(const char *name)
{
	return name && name[0] && strlen(name) < IFNAMSIZ && !strchr(name, '/') &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static void device_restore(struct restore *rst, int fd, const Img__NetDevice *dev)
{
	struct rtnl_link_new link = { .name = dev->name, .index = dev->ifindex, .mtu = dev->mtu };
	struct error err = ERROR_INIT;
	short flags = 0;
	int r;

	if (!name_ok(dev->name)) {
		restore_gap(rst, GAP_DEGRADED, "link", 0, "", "the images name it badly");
		return;
	}
	if (dev->type != IMG__ND_TYPE__LOOPBACK) {
		if (dev->has_address && dev->address.len <= sizeof(link.mac)) {
			memcpy(link.mac, dev->address.data, dev->address.len);
			link.mac_len = dev->address.len;
		}
		r = stand_in_add(rst, fd, &link, &err);
		if (r < 0) {
			restore_gap(rst, GAP_DEGRADED, "link", 0, dev->name,
				    "it cannot be made: %s", err.text);
			return;
		}
		if (link.index == 0)
			restore_gap(rst, GAP_COSMETIC, "link", 0, dev->name,
				    "its index is not %u: that one is taken", dev->ifindex);
		if (dev->type != IMG__ND_TYPE__VETH)
			restore_gap(rst, GAP_COSMETIC, "link", 0, dev->name,
				    "an isolated stand-in (%s)", link.kind);
	} else if (dev->mtu && rtnl_link_mtu(fd, 1, dev->mtu, &err) < 0) {
		restore_gap(rst, GAP_COSMETIC, "link", 0, dev->name, "%s", err.text);
	}
	net_conf_restore_device(rst, dev);
	flags = dev->flags & (IFF_MULTICAST | IFF_ALLMULTI | IFF_PROMISC);
	if (dev->type == IMG__ND_TYPE__LOOPBACK)
		flags = 0;
	r = flags_change(dev->name, flags | (dev->flags & IFF_UP), 0);
	if (r < 0)
		restore_gap(rst, GAP_DEGRADED, "link", 0, dev->name, "it cannot be brought up: %s",
			    strerror(-r));
}

/* --- addresses, routes, rules */

static void stream_restore(struct restore *rst, int fd, uint32_t id, enum image_kind kind,
			   enum rtnl_stream stream, const char *what)
{
	const struct image *image = image_find(rst->set, kind, id);
	struct rtnl_replay replay = { 0 };
	struct error err = ERROR_INIT;
	size_t i;

	for (i = 0; image && i < image->n_entries; i++) {
		if (image->entries[i].extra.len == 0)
			continue;
		if (rtnl_stream_replay(fd, stream, image->entries[i].extra, &replay, &err) < 0)
			restore_gap(rst, GAP_DEGRADED, "netns", 0, what, "%s", err.text);
		else if (replay.refused)
			restore_gap(rst, GAP_COSMETIC, "netns", 0, what,
				    "%zu of %zu are not restored: %s", replay.refused,
				    replay.refused + replay.done, replay.first_refused.text);
	}
}

static void filters_note(struct restore *rst, uint32_t id)
{
	static const enum image_kind kinds[] = { IMAGE_IPTABLES, IMAGE_IP6TABLES, IMAGE_NFTABLES };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct image *image = image_find(rst->set, kinds[i], id);

		if (image && image->n_entries && image->entries[0].extra.len)
			restore_gap(rst, GAP_DEGRADED, "netns", 0, "packet filter",
				    "%s is not restored; the network is isolated anyway",
				    image_types[kinds[i]].name);
	}
}

static void images_restore(struct restore *rst, int fd, uint32_t id)
{
	const struct image *links = image_find(rst->set, IMAGE_NETDEV, id);
	const Img__Netns *netns = image_single(rst->set, IMAGE_NETNS, id);
	size_t i;

	if (netns)
		net_conf_restore(rst, netns);
	for (i = 0; links && i < links->n_entries; i++)
		if (image_message(links, i))
			device_restore(rst, fd, image_message(links, i));
	stream_restore(rst, fd, id, IMAGE_IFADDR, RTNL_STREAM_ADDR, "addresses");
	stream_restore(rst, fd, id, IMAGE_RULE, RTNL_STREAM_RULE, "routing rules");
	stream_restore(rst, fd, id, IMAGE_ROUTE, RTNL_STREAM_ROUTE, "routes");
	stream_restore(rst, fd, id, IMAGE_ROUTE6, RTNL_STREAM_ROUTE, "IPv6 routes");
	filters_note(rst, id);
}

/* --- images without interfaces: the container shared its host's network, or the engine that made
 * the checkpoint kept the network to itself (ext_key) */

struct address {
	int family;
	unsigned char bytes[16];
};

/* The local address that a socket needs, if it is one that an interface must have. */
static bool address_of(const Img__InetSk *sk, struct address *ret)
{
	static const unsigned char none[16];

	memset(ret, 0, sizeof(*ret));
	ret->family = sk->family;
	if (sk->family == AF_INET && sk->n_src_addr >= 1) {
		memcpy(ret->bytes, sk->src_addr, 4);
	} else if (sk->family == AF_INET6 && sk->n_src_addr >= 4) {
		const struct in6_addr *in6 = (const void *)sk->src_addr;

		memcpy(ret->bytes, sk->src_addr, 16);
		if (IN6_IS_ADDR_LOOPBACK(in6) || IN6_IS_ADDR_MULTICAST(in6))
			return false;
		if (IN6_IS_ADDR_V4MAPPED(in6)) {
			ret->family = AF_INET;
			memmove(ret->bytes, ret->bytes + 12, 4);
			memset(ret->bytes + 4, 0, 12);
		}
	} else {
		return false;
	}
	if (ret->family == AF_INET && (ret->bytes[0] == 127 || ret->bytes[0] >= 224))
		return false;
	return memcmp(ret->bytes, none, 16) != 0;
}

static size_t addresses_collect(const struct image_set *set, struct address *ret, size_t max)
{
	const struct image *files = image_find(set, IMAGE_FILES, 0);
	size_t i, k, n = 0;

	for (i = 0; files && i < files->n_entries && n < max; i++) {
		const Img__FileEntry *entry = image_message(files, i);

		if (!entry || !entry->isk || !address_of(entry->isk, &ret[n]))
			continue;
		for (k = 0; k < n && memcmp(&ret[k], &ret[n], sizeof(ret[n])) != 0; k++)
			;
		if (k == n)
			n++;
	}
	return n;
}

static int address_add(int fd, uint32_t ifindex, const struct address *address, struct error *err)
{
	size_t len = address->family == AF_INET ? 4 : 16;
	struct {
		struct nlmsghdr header;
		struct ifaddrmsg body;
	} head = {
		.header = { .nlmsg_type = RTM_NEWADDR,
			    .nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE },
		.body = { .ifa_family = address->family,
			  .ifa_prefixlen = len * 8,
			  .ifa_flags = IFA_F_PERMANENT | IFA_F_NODAD,
			  .ifa_index = ifindex },
	};
	_cleanup_buf_ struct buf message = BUF_INIT;
	int r;

	r = buf_append(&message, &head, sizeof(head), err);
	if (r == 0)
		r = netlink_put(&message, IFA_LOCAL, address->bytes, len, err);
	if (r == 0)
		r = netlink_put(&message, IFA_ADDRESS, address->bytes, len, err);
	if (r < 0)
		return r;
	return netlink_talk(fd, (struct nlmsghdr *)message.data, message.len, err);
}

/* Everything goes to the stand-in: far peers are silent then, not unreachable. */
static int default_route_add(int fd, uint32_t ifindex, int family, struct error *err)
{
	struct {
		struct nlmsghdr header;
		struct rtmsg body;
	} head = {
		.header = { .nlmsg_type = RTM_NEWROUTE, .nlmsg_flags = NLM_F_CREATE },
		.body = { .rtm_family = family,
			  .rtm_table = RT_TABLE_MAIN,
			  .rtm_protocol = RTPROT_BOOT,
			  .rtm_type = RTN_UNICAST,
			  .rtm_scope = family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE },
	};
	_cleanup_buf_ struct buf message = BUF_INIT;
	int r;

	r = buf_append(&message, &head, sizeof(head), err);
	if (r == 0)
		r = netlink_put(&message, RTA_OIF, &ifindex, sizeof(ifindex), err);
	if (r < 0)
		return r;
	return netlink_talk(fd, (struct nlmsghdr *)message.data, message.len, err);
}

static int default_restore(struct restore *rst, int fd, struct error *err)
{
	struct rtnl_link_new link = { .name = STAND_IN_NAME };
	struct address addresses[ADDRESSES_MAX];
	struct error refused = ERROR_INIT;
	char text[INET6_ADDRSTRLEN];
	uint32_t ifindex;
	size_t i, n;
	int r;

	r = flags_change("lo", IFF_UP, 0);
	if (r < 0)
		return error_errno(err, -r, "cannot bring up lo");
	r = stand_in_add(rst, fd, &link, &refused);
	if (r == 0)
		r = flags_change(STAND_IN_NAME, IFF_UP | IFF_MULTICAST, 0);
	ifindex = if_nametoindex(STAND_IN_NAME);
	if (r < 0 || !ifindex) {
		restore_gap(rst, GAP_DEGRADED, "link", 0, STAND_IN_NAME, "it cannot be made: %s",
			    refused.text);
		return 0;
	}
	n = addresses_collect(rst->set, addresses, ADDRESSES_MAX);
	for (i = 0; i < n; i++)
		if (address_add(fd, ifindex, &addresses[i], &refused) < 0)
			restore_gap(rst, GAP_DEGRADED, "netns", 0,
				    inet_ntop(addresses[i].family, addresses[i].bytes, text,
					      sizeof(text)),
				    "an address that sockets need: %s", refused.text);
	error_clear(&refused);
	if (default_route_add(fd, ifindex, AF_INET, &refused) < 0 ||
	    default_route_add(fd, ifindex, AF_INET6, &refused) < 0)
		op_debug(rst->op, "no default route: %s", refused.text);
	return 0;
}

int netns_restore(struct restore *rst, const struct sandbox_spec *spec, uint32_t id,
		  struct error *err)
{
	_cleanup_close_ int fd = -1;
	const struct image *links;
	int r;

	r = netlink_open(NETLINK_ROUTE, &fd, err);
	if (r < 0)
		return r;
	links = image_find(rst->set, IMAGE_NETDEV, id);
	if (id == 0 || !links || links->n_entries == 0)
		r = default_restore(rst, fd, err);
	if (r == 0 && id != 0)
		images_restore(rst, fd, id);
	return r;
}
