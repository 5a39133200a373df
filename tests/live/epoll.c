// SPDX-License-Identifier: Apache-2.0
/* epoll over a pipe, an eventfd and another epoll: level, edge and one-shot, with 64-bit data. */
#include "subject.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

static void add(int ep, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = { .events = events, .data.u64 = data };

	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
}

int main(int argc, char **argv)
{
	struct epoll_event ev[4];
	int ep, outer, efd, p[2];
	uint64_t one = 1;

	subject_init(argc, argv);
	ep = epoll_create1(EPOLL_CLOEXEC);
	outer = epoll_create1(0);
	efd = eventfd(0, EFD_NONBLOCK);
	CHECK(ep >= 0 && outer >= 0 && efd >= 0 && pipe(p) == 0);
	add(ep, p[0], EPOLLIN, 0x1122334455667788ULL);
	add(ep, efd, EPOLLIN | EPOLLET | EPOLLONESHOT, 2);
	add(outer, ep, EPOLLIN, 3);

	subject_ready();
	subject_wait();

	CHECK(epoll_wait(ep, ev, 4, 0) == 0);
	CHECK(write(p[1], "x", 1) == 1);
	CHECK(epoll_wait(ep, ev, 4, 100) == 1);
	CHECK(ev[0].data.u64 == 0x1122334455667788ULL && ev[0].events == EPOLLIN);
	CHECK(epoll_wait(outer, ev, 4, 100) == 1 && ev[0].data.u64 == 3);
	CHECK(read(p[0], ev, 1) == 1);
	CHECK(write(efd, &one, 8) == 8);
	CHECK(epoll_wait(ep, ev, 4, 100) == 1 && ev[0].data.u64 == 2);
	CHECK(write(efd, &one, 8) == 8);
	CHECK(epoll_wait(ep, ev, 4, 0) == 0);
	CHECK(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL) == 0);
	subject_pass();
}
