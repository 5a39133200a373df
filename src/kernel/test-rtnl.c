// SPDX-License-Identifier: Apache-2.0
/*
 * test-rtnl: links, addresses, routes and rules of network namespaces of our own, and their way
 * from one into another by streams.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "kernel/netlink.h"
#include "kernel/ns.h"
#include "kernel/rtnl-stream.h"
#include "kernel/rtnl.h"

/* Two empty network namespaces; they end with this process. */
struct world {
	int a, b; /* NETLINK_ROUTE sockets */
	int b_ns;
	struct arena arena;
	struct error err;
};

static int new_namespace(int *ret_ns, int *ret_sock, struct error *err)
{
	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	*ret_ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	return netlink_open(NETLINK_ROUTE, ret_sock, err);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	int a_ns = -1;

	*state = w;
	if (!w || new_namespace(&a_ns, &w->a, &w->err) < 0 ||
	    new_namespace(&w->b_ns, &w->b, &w->err) < 0)
		return -1;
	close(a_ns);
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	close(w->a);
	close(w->b);
	close(w->b_ns);
	arena_deinit(&w->arena);
	free(w);
	return 0;
}

static const struct rtnl_link *find_link(const struct rtnl_links *links, const char *name)
{
	for (size_t i = 0; i < links->n_items; i++)
		if (strcmp(links->items[i].name, name) == 0)
			return &links->items[i];
	return NULL;
}

/* Sends an address, route or rule made of its fixed part and one to three attributes. */
struct attr {
	uint16_t type;
	const void *data;
	size_t len;
};

static int add(int fd, uint16_t type, const void *fixed, size_t size, const struct attr *attrs,
	       size_t n, struct error *err)
{
	const struct nlmsghdr head = { .nlmsg_type = type,
				       .nlmsg_flags = type == RTM_DELRULE
							      ? 0
							      : NLM_F_CREATE | NLM_F_EXCL };
	_cleanup_buf_ struct buf message = BUF_INIT;

	assert_int_equal(buf_append(&message, &head, sizeof(head), err), 0);
	assert_int_equal(buf_append(&message, fixed, size, err), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(
			netlink_put(&message, attrs[i].type, attrs[i].data, attrs[i].len, err), 0);
	return netlink_talk(fd, (struct nlmsghdr *)(void *)message.data, message.len, err);
}

static void all_up(struct world *w, int fd)
{
	struct rtnl_links links = { 0 };

	assert_int_equal(rtnl_links(fd, &w->arena, &links, &w->err), 0);
	assert_int_equal(links.n_items, 3);
	for (size_t i = 0; i < links.n_items; i++)
		assert_int_equal(rtnl_link_up(fd, links.items[i].index, true, &w->err), 0);
}

/* A link with index 7 and its other end, 10.77.0.2/24 and fd00:77::2/64, a default route, a route
 * behind it, a rule.
 */
static void furnish(struct world *w)
{
	const struct rtnl_link_new eth0 = { .name = "eth0",
					    .kind = "veth",
					    .peer = "other",
					    .index = 7,
					    .mtu = 1400,
					    .mac = { 2, 0x42, 0, 0, 0, 9 },
					    .mac_len = 6 };
	const struct ifaddrmsg a4 = { AF_INET, 24, 0, 0, 7 },
			       a6 = { AF_INET6, 64, IFA_F_NODAD, 0, 7 };
	const struct rtmsg def = { .rtm_family = AF_INET,
				   .rtm_table = RT_TABLE_MAIN,
				   .rtm_protocol = RTPROT_STATIC,
				   .rtm_type = RTN_UNICAST };
	struct rtmsg far = def;
	const struct fib_rule_hdr rule = {
		.family = AF_INET, .src_len = 16, .table = 100, .action = FR_ACT_TO_TBL
	};
	unsigned char ip4[4], ip6[16], gw[4], net[4], gw2[4];
	const uint32_t priority = 1234;

	assert_int_equal(rtnl_link_add(w->a, &eth0, &w->err), 0);
	assert_int_equal(rtnl_link_add(w->a, &eth0, &w->err), -EEXIST);
	all_up(w, w->a);
	inet_pton(AF_INET, "10.77.0.2", ip4);
	inet_pton(AF_INET, "10.77.0.1", gw);
	inet_pton(AF_INET, "192.168.3.0", net);
	inet_pton(AF_INET, "10.77.0.9", gw2);
	inet_pton(AF_INET6, "fd00:77::2", ip6);
	assert_int_equal(add(w->a, RTM_NEWADDR, &a4, sizeof(a4),
			     (struct attr[]){ { IFA_LOCAL, ip4, 4 }, { IFA_ADDRESS, ip4, 4 } }, 2,
			     &w->err),
			 0);
	assert_int_equal(add(w->a, RTM_NEWADDR, &a6, sizeof(a6),
			     (struct attr[]){ { IFA_ADDRESS, ip6, 16 } }, 1, &w->err),
			 0);
	assert_int_equal(add(w->a, RTM_NEWROUTE, &def, sizeof(def),
			     (struct attr[]){ { RTA_GATEWAY, gw, 4 } }, 1, &w->err),
			 0);
	far.rtm_dst_len = 24;
	assert_int_equal(add(w->a, RTM_NEWROUTE, &far, sizeof(far),
			     (struct attr[]){ { RTA_DST, net, 4 }, { RTA_GATEWAY, gw2, 4 } }, 2,
			     &w->err),
			 0);
	assert_int_equal(add(w->a, RTM_NEWRULE, &rule, sizeof(rule),
			     (struct attr[]){ { FRA_SRC, ip4, 4 }, { FRA_PRIORITY, &priority, 4 } },
			     2, &w->err),
			 0);
}

static size_t count_main(const struct rtnl_routes *routes, bool with_gateway)
{
	size_t n = 0;

	for (size_t i = 0; i < routes->n_items; i++)
		n += routes->items[i].table == RT_TABLE_MAIN &&
		     routes->items[i].has_gateway == with_gateway;
	return n;
}

static void check_furniture(struct world *w, int fd)
{
	struct rtnl_addrs addrs = { 0 };
	struct rtnl_routes routes = { 0 };
	struct rtnl_rules rules = { 0 };
	size_t v4 = 0, v6 = 0, ours = 0;

	assert_int_equal(rtnl_addrs(fd, AF_UNSPEC, &w->arena, &addrs, &w->err), 0);
	for (size_t i = 0; i < addrs.n_items; i++) {
		const struct rtnl_addr *a = &addrs.items[i];

		v4 += a->family == AF_INET && a->ifindex == 7 && a->prefix_len == 24 &&
		      a->has_local && memcmp(a->local, "\x0a\x4d\0\2", 4) == 0;
		v6 += a->family == AF_INET6 && a->ifindex == 7 && a->prefix_len == 64 &&
		      a->has_address && a->address[0] == 0xfd && !(a->flags & IFA_F_TENTATIVE);
	}
	assert_int_equal(v4, 1);
	assert_int_equal(v6, 1);
	assert_int_equal(rtnl_routes(fd, AF_INET, &w->arena, &routes, &w->err), 0);
	assert_int_equal(count_main(&routes, true), 2);
	assert_int_equal(count_main(&routes, false), 1);
	assert_int_equal(rtnl_rules(fd, AF_INET, &w->arena, &rules, &w->err), 0);
	for (size_t i = 0; i < rules.n_items; i++)
		ours += rules.items[i].priority == 1234 && rules.items[i].table == 100 &&
			rules.items[i].src_len == 16;
	assert_int_equal(ours, 1);
	assert_int_equal(rules.n_items, 4);
}

static void test_lists(void **state)
{
	struct world *w = *state;
	struct rtnl_links links = { 0 };
	const struct rtnl_link *link;

	furnish(w);
	assert_int_equal(rtnl_links(w->a, &w->arena, &links, &w->err), 0);
	link = find_link(&links, "lo");
	assert_true(link && link->index == 1 && link->flags & IFF_LOOPBACK && !link->kind);
	assert_int_equal(link->type, ARPHRD_LOOPBACK);
	link = find_link(&links, "eth0");
	assert_true(link && link->index == 7 && link->mtu == 1400 && link->flags & IFF_UP);
	assert_string_equal(link->kind, "veth");
	assert_int_equal(link->mac_len, 6);
	assert_int_equal(link->mac[5], 9);
	assert_int_equal(link->link_netnsid, -1);
	check_furniture(w, w->a);
	assert_int_equal(rtnl_link_mtu(w->a, 7, 1300, &w->err), 0);
	assert_int_equal(rtnl_link_mac(w->a, 7, (unsigned char[]){ 2, 0, 0, 0, 0, 1 }, 6, &w->err),
			 0);
	assert_int_equal(rtnl_link_del(w->a, 7, &w->err), 0);
	assert_int_equal(rtnl_link_del(w->a, 7, &w->err), -ENODEV);
	assert_non_null(strstr(w->err.text, "link 7"));
}

static void test_veth_between(void **state)
{
	struct world *w = *state;
	const struct rtnl_link_new veth = { .name = "near",
					    .kind = "veth",
					    .peer = "far",
					    .peer_elsewhere = true,
					    .peer_ns_fd = w->b_ns };
	struct rtnl_links near = { 0 }, far = { 0 };
	const struct rtnl_link *link;

	assert_int_equal(rtnl_link_add(w->a, &veth, &w->err), 0);
	assert_int_equal(rtnl_links(w->a, &w->arena, &near, &w->err), 0);
	assert_int_equal(rtnl_links(w->b, &w->arena, &far, &w->err), 0);
	link = find_link(&near, "near");
	assert_true(link && strcmp(link->kind, "veth") == 0);
	assert_true(link->link_netnsid >= 0);
	assert_non_null(find_link(&far, "far"));
	assert_int_equal(link->link, find_link(&far, "far")->index);
}

static int save(struct world *w, int fd, enum rtnl_stream stream, int family, struct buf *buf)
{
	return rtnl_stream_save(fd, stream, family, false, buf, &w->err);
}

static void replay(struct world *w, enum rtnl_stream stream, const struct buf *buf,
		   struct rtnl_replay *ret)
{
	assert_int_equal(rtnl_stream_replay(w->b, stream, (struct bytes){ buf->data, buf->len },
					    ret, &w->err),
			 0);
}

static void test_streams(void **state)
{
	struct world *w = *state;
	const struct rtnl_link_new eth0 = {
		.name = "eth0", .kind = "veth", .peer = "other", .index = 7
	};
	_cleanup_buf_ struct buf addr = BUF_INIT, route = BUF_INIT, rule = BUF_INIT,
				 route6 = BUF_INIT;
	struct rtnl_replay done;
	size_t n;

	furnish(w);
	assert_int_equal(save(w, w->a, RTNL_STREAM_ADDR, AF_UNSPEC, &addr), 0);
	assert_int_equal(save(w, w->a, RTNL_STREAM_ROUTE, AF_INET, &route), 0);
	assert_int_equal(save(w, w->a, RTNL_STREAM_ROUTE, AF_INET6, &route6), 0);
	assert_int_equal(save(w, w->a, RTNL_STREAM_RULE, AF_INET, &rule), 0);
	assert_memory_equal(addr.data, "\x22\x12\x36\x47", 4);
	assert_memory_equal(route.data, "\x24\x12\x31\x45", 4);
	assert_memory_equal(rule.data, "\x86\x69\x70\x71", 4);
	assert_int_equal(rtnl_stream_check(RTNL_STREAM_ROUTE,
					   (struct bytes){ route.data, route.len }, &n, &w->err),
			 0);
	assert_int_equal(n, 3);

	assert_int_equal(rtnl_link_add(w->b, &eth0, &w->err), 0);
	/* no link is up: routes with gateways are refused, and say so */
	replay(w, RTNL_STREAM_ROUTE, &route, &done);
	assert_int_equal(done.done, 0);
	assert_int_equal(done.refused, 3);
	assert_true(done.first_refused.errnum == ENETDOWN ||
		    done.first_refused.errnum == ENETUNREACH);

	all_up(w, w->b);
	for (int i = 0; i < 2; i++) {
		replay(w, RTNL_STREAM_ADDR, &addr, &done);
		assert_int_equal(done.refused, 0);
		replay(w, RTNL_STREAM_ROUTE, &route, &done);
		assert_int_equal(done.refused, 0);
		assert_int_equal(done.done, 3);
		replay(w, RTNL_STREAM_ROUTE, &route6, &done);
		assert_int_equal(done.refused, 0);
		replay(w, RTNL_STREAM_RULE, &rule, &done);
		assert_int_equal(done.refused, 0);
		check_furniture(w, w->b);
	}
}

/* A rule that was deleted at the origin is not there after the replay. */
static void test_deleted_rule(void **state)
{
	struct world *w = *state;
	const struct fib_rule_hdr def = { .family = AF_INET,
					  .table = RT_TABLE_DEFAULT,
					  .action = FR_ACT_TO_TBL };
	const uint32_t priority = 32767;
	_cleanup_buf_ struct buf rule = BUF_INIT;
	struct rtnl_rules rules = { 0 };
	struct rtnl_replay done;

	assert_int_equal(add(w->a, RTM_DELRULE, &def, sizeof(def),
			     (struct attr[]){ { FRA_PRIORITY, &priority, 4 } }, 1, &w->err),
			 0);
	assert_int_equal(save(w, w->a, RTNL_STREAM_RULE, AF_INET, &rule), 0);
	replay(w, RTNL_STREAM_RULE, &rule, &done);
	assert_int_equal(rtnl_rules(w->b, AF_INET, &w->arena, &rules, &w->err), 0);
	assert_int_equal(rules.n_items, 2);
}

static void test_bad_streams(void **state)
{
	struct world *w = *state;
	_cleanup_buf_ struct buf addr = BUF_INIT;
	struct rtnl_replay done;
	size_t n;

	assert_int_equal(rtnl_link_up(w->a, 1, true, &w->err), 0);
	assert_int_equal(save(w, w->a, RTNL_STREAM_ADDR, AF_UNSPEC, &addr), 0);
	for (size_t len = 0; len < addr.len; len++) {
		struct bytes cut = { addr.data, len };
		int r = rtnl_stream_check(RTNL_STREAM_ADDR, cut, &n, &w->err);

		assert_true(r == 0 || r == -EBADMSG);
		assert_true(r != 0 || len >= 4);
	}
	assert_int_equal(rtnl_stream_replay(w->b, RTNL_STREAM_ROUTE,
					    (struct bytes){ addr.data, addr.len }, &done, &w->err),
			 -EBADMSG);
	addr.data[8] ^= 1; /* another type of message */
	assert_int_equal(rtnl_stream_replay(w->b, RTNL_STREAM_ADDR,
					    (struct bytes){ addr.data, addr.len }, &done, &w->err),
			 -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lists, setup, teardown),
		cmocka_unit_test_setup_teardown(test_veth_between, setup, teardown),
		cmocka_unit_test_setup_teardown(test_streams, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deleted_rule, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_streams, setup, teardown),
	};

	if (unshare(CLONE_NEWNET) < 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
