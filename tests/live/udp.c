// SPDX-License-Identifier: Apache-2.0
/* UDP sockets, IPv4 and IPv6: bound, connected, with options; they must still reach each other. */
#include "subject.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static void judge(int family, int fds[2], bool setup)
{
	struct sockaddr_storage addr = { .ss_family = family };
	socklen_t len =
		family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	struct timeval limit = { .tv_sec = 5 };
	int ttl = 33, got = 0;
	socklen_t size = sizeof(got);
	char buf[16];

	if (setup) {
		if (family == AF_INET)
			((struct sockaddr_in *)&addr)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		else
			((struct sockaddr_in6 *)&addr)->sin6_addr = in6addr_loopback;
		fds[0] = socket(family, SOCK_DGRAM, 0);
		fds[1] = socket(family, SOCK_DGRAM, 0);
		CHECK(bind(fds[0], (void *)&addr, len) == 0);
		CHECK(getsockname(fds[0], (void *)&addr, &len) == 0);
		CHECK(connect(fds[1], (void *)&addr, len) == 0);
		CHECK(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
		if (family == AF_INET)
			CHECK(setsockopt(fds[1], IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)) == 0);
		return;
	}
	CHECK(send(fds[1], "ping", 4, 0) == 4);
	CHECK(recvfrom(fds[0], buf, sizeof(buf), 0, (void *)&addr, &len) == 4);
	CHECK(sendto(fds[0], "pong!", 5, 0, (void *)&addr, len) == 5);
	CHECK(recv(fds[1], buf, sizeof(buf), 0) == 5);
	CHECK(getsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &limit, &(socklen_t){ sizeof(limit) }) ==
		      0 &&
	      limit.tv_sec == 5);
	if (family == AF_INET)
		CHECK(getsockopt(fds[1], IPPROTO_IP, IP_TTL, &got, &size) == 0 && got == ttl);
}

int main(int argc, char **argv)
{
	int four[2], six[2];

	subject_init(argc, argv);
	judge(AF_INET, four, true);
	judge(AF_INET6, six, true);

	subject_ready();
	subject_wait();

	judge(AF_INET, four, false);
	judge(AF_INET6, six, false);
	subject_pass();
}
