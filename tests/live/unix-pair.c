// SPDX-License-Identifier: Apache-2.0
/* Unix socket pairs of all three types, with queues in both directions, one half shut down. */
#include "subject.h"

int main(int argc, char **argv)
{
	int st[2], dg[2], sp[2], half[2], size = 0;
	socklen_t len = sizeof(size);
	int want = 40000, before;
	char buf[64];

	subject_init(argc, argv);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, st) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, dg) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sp) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, half) == 0);
	CHECK(send(st[0], "hello ", 6, 0) == 6 && send(st[0], "world", 5, 0) == 5);
	CHECK(send(st[1], "back", 4, 0) == 4);
	CHECK(send(dg[0], "d1", 2, 0) == 2 && send(dg[0], "dd2", 3, 0) == 3);
	CHECK(send(sp[1], "s1", 2, 0) == 2 && send(sp[1], "ss2", 3, 0) == 3);
	CHECK(shutdown(half[0], SHUT_WR) == 0);
	CHECK(setsockopt(st[0], SOL_SOCKET, SO_SNDBUF, &want, sizeof(want)) == 0);
	CHECK(getsockopt(st[0], SOL_SOCKET, SO_SNDBUF, &before, &len) == 0);

	subject_ready();
	subject_wait();

	CHECK(recv(st[1], buf, sizeof(buf), 0) == 11 && memcmp(buf, "hello world", 11) == 0);
	CHECK(recv(st[0], buf, sizeof(buf), 0) == 4 && memcmp(buf, "back", 4) == 0);
	CHECK(recv(dg[1], buf, sizeof(buf), 0) == 2 && recv(dg[1], buf, sizeof(buf), 0) == 3);
	CHECK(recv(sp[0], buf, sizeof(buf), 0) == 2 && recv(sp[0], buf, sizeof(buf), 0) == 3);
	CHECK(recv(sp[0], buf, sizeof(buf), 0) == -1 && errno == EAGAIN);
	CHECK(recv(half[1], buf, sizeof(buf), 0) == 0);
	CHECK(send(half[1], "ok", 2, 0) == 2 && recv(half[0], buf, sizeof(buf), 0) == 2);
	CHECK(send(half[0], "no", 2, MSG_NOSIGNAL) == -1 && errno == EPIPE);
	CHECK(getsockopt(st[0], SOL_SOCKET, SO_SNDBUF, &size, &len) == 0 && size == before);
	CHECK(send(st[0], "again", 5, 0) == 5 && recv(st[1], buf, sizeof(buf), 0) == 5);
	subject_pass();
}
