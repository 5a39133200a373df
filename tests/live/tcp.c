// SPDX-License-Identifier: Apache-2.0
/*
 * TCP over the loopback, IPv4 and IPv6: a listener, an established connection with unread data in
 * both directions and its options, and a connection that one side has already closed.
 */
#include "subject.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

struct conn {
	int listener, client, server;
	struct sockaddr_storage addr;
	socklen_t len;
};

static void establish(struct conn *c, int family)
{
	struct sockaddr_in *in = (void *)&c->addr;
	struct sockaddr_in6 *in6 = (void *)&c->addr;

	memset(&c->addr, 0, sizeof(c->addr));
	c->addr.ss_family = family;
	c->len = family == AF_INET ? sizeof(*in) : sizeof(*in6);
	if (family == AF_INET)
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		in6->sin6_addr = in6addr_loopback;
	c->listener = socket(family, SOCK_STREAM, 0);
	CHECK(c->listener >= 0 && bind(c->listener, (void *)&c->addr, c->len) == 0);
	CHECK(listen(c->listener, 16) == 0);
	CHECK(getsockname(c->listener, (void *)&c->addr, &c->len) == 0);
	c->client = socket(family, SOCK_STREAM, 0);
	CHECK(connect(c->client, (void *)&c->addr, c->len) == 0);
	c->server = accept(c->listener, NULL, NULL);
	CHECK(c->server >= 0);
}

static void expect(int fd, const char *text)
{
	char buf[64];
	size_t got = 0, want = strlen(text);
	struct timeval limit = { .tv_sec = 5 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	while (got < want) {
		ssize_t n = recv(fd, buf + got, want - got, 0);

		CHECK(n > 0);
		got += n;
	}
	CHECK(memcmp(buf, text, want) == 0);
}

static void judge(struct conn *c)
{
	int fresh, accepted, on = 0;
	socklen_t len = sizeof(on);

	expect(c->server, "client says");
	expect(c->client, "server says");
	CHECK(getsockopt(c->client, IPPROTO_TCP, TCP_NODELAY, &on, &len) == 0 && on == 1);
	CHECK(getsockopt(c->server, SOL_SOCKET, SO_KEEPALIVE, &on, &len) == 0 && on == 1);
	CHECK(send(c->client, "and more", 8, 0) == 8);
	expect(c->server, "and more");
	CHECK(send(c->server, "and back", 8, 0) == 8);
	expect(c->client, "and back");
	fresh = socket(c->addr.ss_family, SOCK_STREAM, 0);
	CHECK(connect(fresh, (void *)&c->addr, c->len) == 0);
	accepted = accept(c->listener, NULL, NULL);
	CHECK(accepted >= 0 && send(fresh, "new", 3, 0) == 3);
	expect(accepted, "new");
	CHECK(close(c->client) == 0);
	CHECK(recv(c->server, &on, 1, 0) == 0);
}

int main(int argc, char **argv)
{
	struct conn four, six, half;
	char byte;
	int on = 1;

	subject_init(argc, argv);
	establish(&four, AF_INET);
	establish(&six, AF_INET6);
	establish(&half, AF_INET);
	for (struct conn *c = &four; c; c = c == &four ? &six : NULL) {
		CHECK(setsockopt(c->client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
		CHECK(setsockopt(c->server, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) == 0);
		CHECK(send(c->client, "client says", 11, 0) == 11);
		CHECK(send(c->server, "server says", 11, 0) == 11);
	}
	CHECK(send(half.client, "bye", 3, 0) == 3 && shutdown(half.client, SHUT_WR) == 0);
	subject_sleep_ms(20);

	subject_ready();
	subject_wait();

	judge(&four);
	judge(&six);
	expect(half.server, "bye");
	CHECK(recv(half.server, &byte, 1, 0) == 0);
	CHECK(send(half.server, "late", 4, 0) == 4);
	expect(half.client, "late");
	subject_pass();
}
