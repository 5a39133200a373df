// SPDX-License-Identifier: Apache-2.0
/* A network namespace: captured from outside, rebuilt isolated and silent. */
#include "object/test-socket.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <time.h>

#include "base/fd.h"
#include "kernel/netlink.h"
#include "kernel/rtnl-stream.h"
#include "kernel/rtnl.h"

static void sysctl_set(const char *path, const char *value)
{
	if (fd_write_file(AT_FDCWD, path, 0, 0, value, strlen(value), NULL) < 0)
		_exit(6);
}

/* ip(8) is there wherever these tests run; it is the judge here too. */
static void run(const char *command)
{
	if (system(command) != 0) {
		fprintf(stderr, "failed: %s\n", command);
		_exit(7);
	}
}

static void world_subject(struct stage_told *t)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(8080) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	run("ip link add eth0 index 23 mtu 1400 address 02:00:00:00:00:17 type veth peer name out");
	run("ip link set out up && ip link set eth0 up");
	run("ip addr add 10.9.8.7/24 dev eth0 && ip addr add fd09::7/64 dev eth0 nodad");
	run("ip route add default via 10.9.8.1 && ip -6 route add default via fd09::1");
	run("ip route add 10.77.0.0/16 via 10.9.8.2 metric 5");
	sysctl_set("/proc/sys/net/ipv4/conf/eth0/forwarding", "1");
	sysctl_set("/proc/sys/net/ipv4/ping_group_range", "0 100");
	sysctl_set("/proc/sys/net/unix/max_dgram_qlen", "33");
	inet_pton(AF_INET, "10.9.8.7", &sin.sin_addr);
	if (bind(fd, (void *)&sin, sizeof(sin)) < 0 || listen(fd, 3) < 0)
		_exit(8);
	t->fds[t->n++] = fd;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	inet_pton(AF_INET, "10.9.8.99", &sin.sin_addr);
	if (connect(fd, (void *)&sin, sizeof(sin)) == 0 || errno != EINPROGRESS)
		_exit(9);
	t->fds[t->n++] = fd;
}

static bool connecting(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	       info.tcpi_state == TCP_SYN_SENT;
}

/* A far address takes what is sent and says nothing: neither refusal nor unreachable. */
static void silent(const char *addr, int family)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(80) };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(80) };
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0), r;
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };

	inet_pton(family, addr, family == AF_INET ? (void *)&sin.sin_addr : (void *)&six.sin6_addr);
	r = family == AF_INET ? connect(fd, (void *)&sin, sizeof(sin))
			      : connect(fd, (void *)&six, sizeof(six));
	CHECK(r < 0 && errno == EINPROGRESS);
	CHECK(poll(&pfd, 1, 4000) == 0);
	close(fd);
}

static void world_check(struct copy *c)
{
	char text[64];
	FILE *f;

	CHECK(connecting(copy_fd(c, 1)));
	run("ip link show eth0 | grep -q 'mtu 1400'");
	run("ip link show eth0 | grep -q '^23: '");
	run("ip link show eth0 | grep -q 02:00:00:00:00:17");
	run("ip link show eth0 | grep -q LOWER_UP");
	run("ip link show lo | grep -q UP");
	run("ip addr show eth0 | grep -q 10.9.8.7/24");
	run("ip addr show eth0 | grep -q fd09::7/64");
	run("ip route | grep -q 'default via 10.9.8.1 dev eth0'");
	run("ip route | grep -q '10.77.0.0/16 via 10.9.8.2 dev eth0 metric 5'");
	run("ip -6 route | grep -q 'default via fd09::1 dev eth0'");
	run("grep -q 1 /proc/sys/net/ipv4/conf/eth0/forwarding");
	f = fopen("/proc/sys/net/unix/max_dgram_qlen", "r");
	CHECK(f && fgets(text, sizeof(text), f) && atoi(text) == 33);
	fclose(f);
	f = fopen("/proc/sys/net/ipv4/ping_group_range", "r");
	CHECK(f && fgets(text, sizeof(text), f) && strcmp(text, "0\t100\n") == 0);
	fclose(f);
	silent("10.9.8.99", AF_INET);
	silent("8.8.8.8", AF_INET);
	silent("fd09::99", AF_INET6);
	CHECK(copy_fd(c, 0) >= 0);
}

static void host_check(struct copy *c)
{
	run("ip addr show eth0 | grep -q 10.9.8.7");
	silent("8.8.8.8", AF_INET);
	silent("fd09::99", AF_INET6);
	CHECK(copy_fd(c, 0) >= 0);
}

static void namespace_is_rebuilt(void **state)
{
	struct stage s;
	const Img__NetDevice *dev;
	struct timespec a, b;
	const struct gap *g;
	size_t n;

	stage_subject(&s, world_subject);
	stage_capture(&s);
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(netns_kind.capture(&s.cap, &s.cap.ns[NS_NET], &s.err), 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	print_message("captured in %ld us\n",
		      (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000);
	for (g = s.gaps.first; g; g = g->next)
		print_message("gap: %s: %s\n", g->subject, g->reason);
	assert_int_equal(s.gaps.n, 0);
	assert_int_equal(image_find(&s.set, IMAGE_NETDEV, 7)->n_entries, 3);
	assert_int_equal(stage_entry(&s, 1)->isk->state, TCP_SYN_SENT);
	dev = image_message(image_find(&s.set, IMAGE_NETDEV, 7), 0);
	assert_int_equal(dev->type, IMG__ND_TYPE__LOOPBACK);
	assert_int_equal(dev->n_conf4, 30);
	assert_int_equal(dev->n_conf6, 42);
	assert_int_equal(rtnl_stream_check(RTNL_STREAM_ROUTE,
					   image_find(&s.set, IMAGE_ROUTE, 7)->entries[0].extra, &n,
					   &s.err),
			 0);
	assert_int_equal(stage_copy(&s, 7, false, world_check), 0);
	assert_int_equal(stage_copy(&s, 0, false, host_check), 0);
	stage_capture_end(&s);
	stage_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(namespace_is_rebuilt),
	};

	if (geteuid() != 0 || access("/usr/sbin/ip", X_OK) < 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
