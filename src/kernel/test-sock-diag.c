// SPDX-License-Identifier: Apache-2.0
/*
 * test-sock-diag: sockets of this process, found in the lists of its network namespace.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <cmocka.h>

#include "kernel/netlink.h"
#include "kernel/sock-diag.h"

struct world {
	int fd;
	struct arena arena;
	struct error err;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	*state = w;
	return w ? netlink_open(NETLINK_SOCK_DIAG, &w->fd, &w->err) : -1;
}

static int teardown(void **state)
{
	struct world *w = *state;

	close(w->fd);
	arena_deinit(&w->arena);
	free(w);
	return 0;
}

static uint32_t ino_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static int bound(int domain, int type, struct sockaddr_storage *addr, socklen_t *len)
{
	int fd = socket(domain, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	*addr = (struct sockaddr_storage){ .ss_family = domain };
	*len = domain == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	if (domain == AF_INET)
		((struct sockaddr_in *)addr)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		((struct sockaddr_in6 *)addr)->sin6_addr = in6addr_loopback;
	if (bind(fd, (struct sockaddr *)addr, *len) < 0) {
		close(fd);
		return -1;
	}
	assert_int_equal(getsockname(fd, (struct sockaddr *)addr, len), 0);
	return fd;
}

/* A listener, a connection accepted and one that is not yet. */
static void tcp(struct world *w, int domain)
{
	struct sockaddr_storage addr;
	struct sock_inets socks = { 0 };
	const struct sock_inet *s;
	socklen_t len;
	_cleanup_close_ int listener = bound(domain, SOCK_STREAM, &addr, &len);
	_cleanup_close_ int client = socket(domain, SOCK_STREAM, 0), server = -1;
	_cleanup_close_ int waiting = socket(domain, SOCK_STREAM, 0);
	uint16_t port = ntohs(((struct sockaddr_in *)&addr)->sin_port); /* same place in both */
	size_t without_fd = 0;

	if (listener < 0)
		return;
	assert_int_equal(listen(listener, 7), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&addr, len), 0);
	server = accept(listener, NULL, NULL);
	assert_int_equal(connect(waiting, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(send(client, "12345", 5, 0), 5);
	assert_int_equal(shutdown(client, SHUT_WR), 0);
	assert_int_equal(sock_diag_inet(w->fd, domain, IPPROTO_TCP, &w->arena, &socks, &w->err), 0);
	s = sock_inet_find(&socks, ino_of(listener));
	assert_non_null(s);
	assert_int_equal(s->state, TCP_LISTEN);
	assert_int_equal(s->src_port, port);
	assert_int_equal(s->rqueue, 1);
	assert_int_equal(s->wqueue, 7);
	assert_int_equal(s->family, domain);
	s = sock_inet_find(&socks, ino_of(server));
	assert_non_null(s);
	assert_int_equal(s->state, TCP_CLOSE_WAIT);
	assert_true(s->rqueue == 5 || s->rqueue == 6);
	assert_int_equal(s->uid, geteuid());
	if (domain == AF_INET)
		assert_memory_equal(s->src, "\x7f\0\0\1", 4);
	else
		assert_memory_equal(s->dst, &in6addr_loopback, 16);
	s = sock_inet_find(&socks, ino_of(client));
	assert_true(s->state == TCP_FIN_WAIT1 || s->state == TCP_FIN_WAIT2);
	assert_int_equal(s->dst_port, port);
	assert_true(s->has_shutdown && s->shutdown & 2);
	for (size_t i = 0; i < socks.n_socks; i++)
		without_fd += socks.socks[i].ino == 0 && socks.socks[i].src_port == port;
	assert_int_equal(without_fd, 1);
	assert_null(sock_inet_find(&socks, 0));
}

static void test_tcp(void **state)
{
	tcp(*state, AF_INET);
	tcp(*state, AF_INET6);
}

static void test_udp_raw(void **state)
{
	struct world *w = *state;
	struct sockaddr_storage addr;
	struct sock_inets socks = { 0 };
	const struct sock_inet *s;
	socklen_t len;
	_cleanup_close_ int udp = bound(AF_INET, SOCK_DGRAM, &addr, &len);
	_cleanup_close_ int raw = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);

	assert_int_equal(sock_diag_inet(w->fd, AF_INET, IPPROTO_UDP, &w->arena, &socks, &w->err),
			 0);
	assert_int_equal(sock_diag_inet(w->fd, AF_INET6, IPPROTO_UDP, &w->arena, &socks, &w->err),
			 0);
	s = sock_inet_find(&socks, ino_of(udp));
	assert_non_null(s);
	assert_int_equal(s->state, TCP_CLOSE);
	assert_int_equal(s->src_port, ntohs(((struct sockaddr_in *)&addr)->sin_port));
	assert_int_equal(s->protocol, IPPROTO_UDP);
	if (raw < 0 || sock_diag_inet(w->fd, AF_INET, IPPROTO_RAW, &w->arena, &socks, &w->err) < 0)
		return; /* not root, or a kernel without raw_diag */
	s = sock_inet_find(&socks, ino_of(raw));
	assert_non_null(s);
	assert_int_equal(s->src_port, IPPROTO_ICMP);
}

static void test_unix(void **state)
{
	static const char name[] = "\0amber-test\0with-nul";
	struct world *w = *state;
	struct sock_unixes socks = { 0 };
	struct sockaddr_un addr = { .sun_family = AF_UNIX }, path = { .sun_family = AF_UNIX };
	_cleanup_close_ int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	_cleanup_close_ int client = socket(AF_UNIX, SOCK_STREAM, 0);
	_cleanup_close_ int named = socket(AF_UNIX, SOCK_DGRAM, 0);
	const struct sock_unix *s;
	struct stat st;
	int pair[2];

	snprintf(path.sun_path, sizeof(path.sun_path), "/tmp/amber-test-%d.sock", getpid());
	memcpy(addr.sun_path, name, sizeof(name));
	assert_int_equal(bind(listener, (struct sockaddr *)&addr,
			      offsetof(struct sockaddr_un, sun_path) + sizeof(name)),
			 0);
	assert_int_equal(listen(listener, 5), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&addr,
				 offsetof(struct sockaddr_un, sun_path) + sizeof(name)),
			 0);
	assert_int_equal(bind(named, (struct sockaddr *)&path, sizeof(path)), 0);
	assert_int_equal(stat(path.sun_path, &st), 0);
	assert_int_equal(unlink(path.sun_path), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(send(pair[0], "xyz", 3, 0), 3);
	assert_int_equal(shutdown(pair[0], SHUT_WR), 0);

	assert_int_equal(sock_diag_unix(w->fd, &w->arena, &socks, &w->err), 0);
	s = sock_unix_find(&socks, ino_of(listener));
	assert_non_null(s);
	assert_true(s->state == TCP_LISTEN && s->type == SOCK_STREAM);
	assert_int_equal(s->name_len, sizeof(name));
	assert_memory_equal(s->name, name, sizeof(name));
	assert_int_equal(s->n_icons, 1);
	assert_int_equal(s->icons[0], ino_of(client));
	assert_int_equal(s->rqueue, 1);
	assert_int_equal(s->wqueue, 5);
	s = sock_unix_find(&socks, ino_of(named));
	assert_true(s->type == SOCK_DGRAM && s->has_vfs);
	assert_int_equal(s->vfs_ino, (uint32_t)st.st_ino);
	assert_int_equal(s->vfs_dev, major(st.st_dev) << 20 | minor(st.st_dev));
	assert_memory_equal(s->name, path.sun_path, strlen(path.sun_path));
	s = sock_unix_find(&socks, ino_of(pair[1]));
	assert_int_equal(s->peer, ino_of(pair[0]));
	assert_int_equal(s->type, SOCK_SEQPACKET);
	assert_true(s->rqueue > 0 && s->shutdown == 1);
	close(pair[0]);
	close(pair[1]);
}

static void test_netlink(void **state)
{
	struct world *w = *state;
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	struct sock_netlinks socks = { 0 };
	const struct sock_netlink *s;
	int r;

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	r = sock_diag_netlink(w->fd, &w->arena, &socks, &w->err);
	if (r == -ENOENT)
		skip();
	assert_int_equal(r, 0);
	s = sock_netlink_find(&socks, ino_of(fd));
	assert_non_null(s);
	assert_int_equal(s->protocol, NETLINK_ROUTE);
	assert_true(s->n_groups >= 1 && s->groups[0] & 1);
	assert_true(s->portid != 0);
}

static void test_packet(void **state)
{
	struct world *w = *state;
	_cleanup_close_ int fd = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP));
	struct sockaddr_ll addr = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP) };
	struct sock_packets socks = { 0 };
	const struct sock_packet *s;
	int r;

	if (fd < 0)
		skip();
	addr.sll_ifindex = if_nametoindex("lo");
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	r = sock_diag_packet(w->fd, &w->arena, &socks, &w->err);
	if (r == -ENOENT)
		skip();
	assert_int_equal(r, 0);
	s = sock_packet_find(&socks, ino_of(fd));
	assert_non_null(s);
	assert_int_equal(s->type, SOCK_DGRAM);
	assert_int_equal(s->protocol, ETH_P_IP);
	assert_int_equal(s->ifindex, addr.sll_ifindex);
}

/* A family that does not exist is refused, and bytes that are cut short are noticed. */
static void test_bad(void **state)
{
	struct world *w = *state;
	struct sock_inets socks = { 0 };
	struct sock_unixes unixes = { 0 };
	struct {
		struct nlmsghdr head;
		unsigned char body[4];
	} cut = { { sizeof(cut), SOCK_DIAG_BY_FAMILY, 0, 0, 0 }, { 0 } };
	unsigned char *bytes = (unsigned char *)&cut;

	assert_true(sock_diag_inet(w->fd, AF_INET, 250, &w->arena, &socks, &w->err) < 0);
	assert_true(w->err.text[0]);
	assert_int_equal(sock_diag_parse_inet((struct bytes){ bytes, sizeof(cut) }, 6, &w->arena,
					      &socks, &w->err),
			 -EBADMSG);
	assert_int_equal(sock_diag_parse_unix((struct bytes){ bytes, sizeof(cut) - 1 }, &w->arena,
					      &unixes, &w->err),
			 -EBADMSG);
	assert_int_equal(
		sock_diag_parse_unix((struct bytes){ bytes, 3 }, &w->arena, &unixes, &w->err),
		-EBADMSG);
	assert_int_equal(
		sock_diag_parse_unix((struct bytes){ NULL, 0 }, &w->arena, &unixes, &w->err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tcp, setup, teardown),
		cmocka_unit_test_setup_teardown(test_udp_raw, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unix, setup, teardown),
		cmocka_unit_test_setup_teardown(test_netlink, setup, teardown),
		cmocka_unit_test_setup_teardown(test_packet, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
