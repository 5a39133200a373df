// SPDX-License-Identifier: Apache-2.0
/* Internet sockets, the rarer worlds: IPv6, data in flight, connections that are not yet, MPTCP. */
#include "object/test-socket.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <poll.h>

static int tell(struct stage_told *t, int fd)
{
	t->fds[t->n++] = fd;
	return fd;
}

static void put(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		_exit(4);
}

static void get(int fd, const char *text)
{
	char buf[256] = "";
	size_t have = 0;

	while (have < strlen(text)) {
		ssize_t n = read(fd, buf + have, strlen(text) - have);

		CHECK(n > 0);
		have += n;
	}
	CHECK(memcmp(buf, text, strlen(text)) == 0);
}

static struct sockaddr_in6 in6(const char *addr, int port)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	inet_pton(AF_INET6, addr, &six.sin6_addr);
	return six;
}

static int listener6(const char *addr, int port, int proto)
{
	struct sockaddr_in6 six = in6(addr, port);
	int fd = socket(AF_INET6, SOCK_STREAM, proto);

	if (bind(fd, (void *)&six, sizeof(six)) < 0 || listen(fd, 5) < 0)
		_exit(2);
	return fd;
}

static int client6(const char *addr, int port)
{
	struct sockaddr_in6 six = in6(addr, port);
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	if (connect(fd, (void *)&six, sizeof(six)) < 0)
		_exit(3);
	return fd;
}

static void lo_down(void)
{
	struct ifreq req = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (ioctl(fd, SIOCSIFFLAGS, &req) < 0)
		_exit(5);
	close(fd);
}

/* --- IPv6, and IPv4 through a dual-stack listener */

static void six_subject(struct stage_told *t)
{
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(7101) };
	int l = tell(t, listener6("::", 7101, 0)), a, d;

	a = tell(t, client6("::1", 7101));
	put(tell(t, accept(l, NULL, NULL)), "over six");
	four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	d = tell(t, socket(AF_INET, SOCK_STREAM, 0));
	if (connect(d, (void *)&four, sizeof(four)) < 0)
		_exit(1);
	put(tell(t, accept(l, NULL, NULL)), "four in six");
	shutdown(a, SHUT_WR);
	tell(t, client6("::1", 7101));
	put(t->fds[5], "waiting"); /* never accepted */
	usleep(200000);
}

static void six_check(struct copy *c)
{
	struct sockaddr_in6 six;
	socklen_t len = sizeof(six);
	char x;

	get(copy_fd(c, 1), "over six");
	CHECK(read(copy_fd(c, 2), &x, 1) == 0);
	get(copy_fd(c, 3), "four in six");
	put(copy_fd(c, 3), "reply");
	get(copy_fd(c, 4), "reply");
	CHECK(getpeername(copy_fd(c, 4), (void *)&six, &len) == 0 &&
	      IN6_IS_ADDR_V4MAPPED(&six.sin6_addr));
	put(copy_fd(c, 2), "still open");
	get(copy_fd(c, 1), "still open");
	/* The one that was not accepted has a silent end now. */
	put(copy_fd(c, 5), "anybody?");
	usleep(100000);
	CHECK(recv(copy_fd(c, 5), &x, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
}

static void ipv6_is_restored(void **state)
{
	struct stage s;

	stage_subject(&s, six_subject);
	stage_capture(&s);
	assert_int_equal(s.gaps.n, 1);
	assert_true(stage_has_gap(&s, "1 connections that were not accepted"));
	assert_int_equal(stage_copy(&s, 7, false, six_check), 0);
	stage_capture_end(&s);
	stage_end(&s);
}

/* --- data and a FIN that the network had not delivered */

static void flight_subject(struct stage_told *t)
{
	int l = listener6("::1", 7102, 0);

	tell(t, client6("::1", 7102));
	tell(t, accept(l, NULL, NULL));
	put(t->fds[1], "there");
	usleep(50000);
	lo_down();
	put(t->fds[0], "on the way");
	put(t->fds[0], " and more");
	shutdown(t->fds[0], SHUT_WR);
}

static void flight_check(struct copy *c)
{
	char x;

	alarm(20);
	get(copy_fd(c, 0), "there");
	get(copy_fd(c, 1), "on the way and more");
	CHECK(read(copy_fd(c, 1), &x, 1) == 0);
	put(copy_fd(c, 1), "got it");
	get(copy_fd(c, 0), "got it");
}

static void data_in_flight_arrives(void **state)
{
	struct stage s;
	const Img__TcpStream *ts;

	stage_subject(&s, flight_subject);
	stage_capture(&s);
	assert_int_equal(stage_entry(&s, 0)->isk->state, TCP_FIN_WAIT1);
	ts = image_message(image_find(&s.set, IMAGE_TCP_STREAM, stage_entry(&s, 0)->isk->ino), 0);
	assert_int_equal(ts->outq_len, strlen("on the way and more"));
	assert_int_equal(stage_copy(&s, 0, false, flight_check), 0);
	stage_capture_end(&s);
	stage_end(&s);
}

/* --- much of it, never sent */

#define MUCH (3 << 20)

static void much_subject(struct stage_told *t)
{
	static unsigned char data[65536];
	int l = listener6("::1", 7103, 0), a = tell(t, client6("::1", 7103));
	uint32_t seed = 5;
	size_t i;

	tell(t, accept(l, NULL, NULL));
	fcntl(a, F_SETFL, O_NONBLOCK);
	setsockopt(a, SOL_SOCKET, SO_SNDBUF, &(int){ MUCH }, sizeof(int));
	for (;;) {
		uint32_t before = seed;
		ssize_t n;

		for (i = 0; i < sizeof(data); i++) {
			seed = seed * 1664525 + 1013904223;
			data[i] = seed >> 24;
		}
		n = write(a, data, sizeof(data));
		if (n <= 0)
			break;
		t->numbers[0] += n;
		if (n == sizeof(data))
			continue;
		seed = before;
		break;
	}
	shutdown(a, SHUT_WR);
}

static void much_check(struct copy *c)
{
	unsigned char buf[10000];
	uint64_t count = 0;
	uint32_t seed = 5;
	ssize_t n, i;

	while ((n = read(copy_fd(c, 1), buf, sizeof(buf))) > 0) {
		for (i = 0; i < n; i++) {
			seed = seed * 1664525 + 1013904223;
			CHECK(buf[i] == (unsigned char)(seed >> 24));
		}
		count += n;
	}
	CHECK(n == 0 && count == c->stage->told->numbers[0]);
}

static void full_queues_are_restored(void **state)
{
	struct stage s;

	stage_subject(&s, much_subject);
	stage_capture(&s);
	assert_true(s.told->numbers[0] > 1000000);
	assert_int_equal(stage_copy(&s, 7, false, much_check), 0);
	stage_capture_end(&s);
	stage_end(&s);
}

/* --- connecting, MPTCP, a packet filter, two listeners on one port */

static void odd_subject(struct stage_told *t)
{
	struct sock_filter insns[] = { BPF_STMT(BPF_RET | BPF_K, 0xffff) };
	struct sock_fprog prog = { .len = 1, .filter = insns };
	struct sockaddr_in6 six = in6("::1", 7106);
	int i, one = 1, fd;

	tell(t, listener6("::", 7104, IPPROTO_MPTCP));
	for (i = 0; i < 2; i++) {
		fd = tell(t, socket(AF_INET6, SOCK_STREAM, 0));
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
		if (bind(fd, (void *)&six, sizeof(six)) < 0 || listen(fd, 4) < 0)
			_exit(6);
	}
	fd = tell(t, socket(AF_INET6, SOCK_DGRAM, 0));
	setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
	setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3);
	lo_down();
	six = in6("::1", 7105);
	fd = tell(t, socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0));
	(void)connect(fd, (void *)&six, sizeof(six));
}

static void odd_check(struct copy *c)
{
	struct sock_filter insns[4];
	char device[IFNAMSIZ] = "";
	socklen_t len = 4;
	int i, value = 0;

	for (i = 0; i < 3; i++) {
		len = sizeof(value);
		CHECK(getsockopt(copy_fd(c, i), SOL_SOCKET, SO_ACCEPTCONN, &value, &len) == 0 &&
		      value == 1);
	}
	CHECK(getsockopt(copy_fd(c, 2), SOL_SOCKET, SO_REUSEPORT, &value, &len) == 0 && value == 1);
	len = 4;
	CHECK(getsockopt(copy_fd(c, 3), SOL_SOCKET, SO_GET_FILTER, insns, &len) == 0 && len == 1);
	len = sizeof(device);
	CHECK(getsockopt(copy_fd(c, 3), SOL_SOCKET, SO_BINDTODEVICE, device, &len) == 0 &&
	      strcmp(device, "lo") == 0);
}

static void odd_ones_are_restored(void **state)
{
	struct stage s;

	stage_subject(&s, odd_subject);
	stage_capture(&s);
	assert_int_equal(stage_entry(&s, 0)->isk->proto, IPPROTO_TCP);
	assert_int_equal(stage_entry(&s, 0)->isk->state, TCP_LISTEN);
	assert_true(stage_has_gap(&s, "MPTCP listener"));
	assert_int_equal(s.gaps.n, 1);
	assert_int_equal(stage_copy(&s, 7, false, odd_check), 0);
	stage_capture_end(&s);
	stage_end(&s);
}

/* --- many connections to programs outside, at an address of our own */

#define CROWD 60

static void crowd_subject(struct stage_told *t)
{
	int i, l = listener6("::1", 7107, 0);

	for (i = 0; i < CROWD; i++) {
		tell(t, client6("::1", 7107));
		if (accept(l, NULL, NULL) < 0)
			_exit(7);
	}
}

static void crowd_check(struct copy *c)
{
	char x;
	int i;

	CHECK(c->rst.shared->n_held == 1);
	for (i = 0; i < CROWD; i++)
		put(copy_fd(c, i), "hello");
	usleep(300000);
	for (i = 0; i < CROWD; i++)
		CHECK(recv(copy_fd(c, i), &x, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
}

static void crowd_is_silent(void **state)
{
	struct stage s;

	stage_subject(&s, crowd_subject);
	stage_capture(&s);
	assert_int_equal(stage_copy(&s, 7, false, crowd_check), 0);
	stage_capture_end(&s);
	stage_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipv6_is_restored),
		cmocka_unit_test(data_in_flight_arrives),
		cmocka_unit_test(full_queues_are_restored),
		cmocka_unit_test(odd_ones_are_restored),
		cmocka_unit_test(crowd_is_silent),
	};

	if (geteuid() != 0)
		return 77;
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
