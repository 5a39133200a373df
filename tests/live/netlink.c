// SPDX-License-Identifier: Apache-2.0
/* A route netlink socket, bound with its own port id: it must still get answers to its questions.
 */
#include "subject.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

static int links(int fd)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
	} ask = { { sizeof(ask), RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 }, { 0 } };
	static char buf[65536];
	int found = 0;

	CHECK(send(fd, &ask, sizeof(ask), 0) == sizeof(ask));
	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		CHECK(n > 0);
		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return found;
			CHECK(h->nlmsg_type == RTM_NEWLINK);
			found++;
		}
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK }, got;
	socklen_t len = sizeof(got);
	int fd;

	subject_init(argc, argv);
	addr.nl_pid = getpid() + 100000;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	CHECK(fd >= 0 && bind(fd, (void *)&addr, sizeof(addr)) == 0);

	subject_ready();
	subject_wait();

	CHECK(getsockname(fd, (void *)&got, &len) == 0);
	CHECK(got.nl_pid == addr.nl_pid && got.nl_groups == addr.nl_groups);
	CHECK(links(fd) >= 1);
	subject_pass();
}
