// SPDX-License-Identifier: Apache-2.0
/*
 * sk-netlink: netlink sockets, both directions.
 *
 * Messages that wait in one are answers to questions about a world that the copy does not live in;
 * they are not kept. Port numbers are kept where they are free.
 */
#include "object/sk-kinds.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "object/fown.h"
#include "object/socket.h"

#define NETLINK_STATE_CONNECTED 1 /* NETLINK_CONNECTED of the kernel's af_netlink */

static bool netlink_match(const struct fd_facts *facts)
{
	return sock_match(facts, AF_NETLINK);
}

/* CRIU restores up to 32 groups, from one word. */
static int groups_capture(struct capture *cap, const struct fd_facts *facts,
			  const struct sock_netlink *diag, Img__NetlinkSk *sk, struct error *err)
{
	size_t n = diag->n_groups;
	int r = 0;

	while (n > 0 && diag->groups[n - 1] == 0)
		n--;
	if (n > 1) {
		r = sock_gap(cap, facts, GAP_COSMETIC, err,
			     "stock CRIU restores the first 32 multicast groups only");
		if (r < 0)
			return r;
	}
	if (n == 0)
		return 0;
	sk->groups = arena_memdup(&cap->set->arena, diag->groups, n * sizeof(uint32_t));
	if (!sk->groups)
		return error_nomem(err);
	sk->n_groups = n;
	return 0;
}

static int netlink_capture(struct capture *cap, const struct fd_facts *facts, Img__FileEntry *entry,
			   struct error *err)
{
	const struct sock_netlink *diag = sock_index_netlink(cap, facts->st.st_ino);
	Img__NetlinkSk *sk = img_new(cap->set, Img__NetlinkSk, netlink_sk);
	struct pollfd pfd = { .fd = facts->dup, .events = POLLIN };
	int r;

	if (!sk)
		return error_nomem(err);
	sk->id = facts->id;
	sk->ino = facts->st.st_ino;
	sk->flags = facts->flags & ~O_CLOEXEC;
	sk->protocol = sock_int(facts->dup, SOL_SOCKET, SO_PROTOCOL, 0);
	sk->ns_id = sock_net_ns_id(cap);
	sk->has_ns_id = sk->ns_id != 0;
	r = fown_capture(cap, facts, &sk->fown, err);
	if (r < 0)
		return r;
	sk->opts = sock_opts_capture(cap, facts, AF_NETLINK, err);
	if (!sk->opts)
		return -ENOMEM;
	/* One that was never bound is in no list. */
	if (diag) {
		sk->state = diag->state;
		sk->portid = diag->portid;
		sk->dst_portid = diag->dst_portid;
		sk->dst_group = diag->dst_group;
		r = groups_capture(cap, facts, diag, sk, err);
		if (r < 0)
			return r;
	}
	if (poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLIN)) {
		r = sock_gap(cap, facts, GAP_COSMETIC, err,
			     "messages that were not read yet are lost");
		if (r < 0)
			return r;
	}
	entry->nlsk = sk;
	return 0;
}

static int netlink_bind(struct restore *rst, const Img__NetlinkSk *sk, int fd, const char *subject)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_pid = sk->portid };
	uint32_t word, bit;

	if (sk->portid == 0)
		return 0;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		/* Another one has the number: few programs care for it. */
		addr.nl_pid = 0;
		if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
			return -errno;
		restore_gap(rst, GAP_COSMETIC, "socket", 0, subject, "port %u became another",
			    sk->portid);
	}
	for (word = 0; word < sk->n_groups; word++)
		for (bit = 0; bit < 32; bit++)
			if ((sk->groups[word] & 1U << bit) &&
			    sock_set_int(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
					 word * 32 + bit + 1) < 0)
				restore_gap(rst, GAP_COSMETIC, "socket", 0, subject,
					    "group %u cannot be joined", word * 32 + bit + 1);
	return 0;
}

static int netlink_open_entry(struct restore *rst, Img__FileEntry *entry, int *ret_fd,
			      struct error *err)
{
	const Img__NetlinkSk *sk = entry->nlsk;
	_cleanup_close_ int fd = -1;
	char subject[64];
	int r = 0;

	if (!sk)
		return error_set(err, ERROR_INPUT, EINVAL, "file %u is no netlink socket",
				 entry->id);
	(void)snprintf(subject, sizeof(subject), "netlink socket of protocol %u (file %u)",
		       sk->protocol, sk->id);
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, sk->protocol);
	if (fd < 0)
		r = -errno;
	if (r == 0)
		r = netlink_bind(rst, sk, fd, subject);
	if (r == 0 && sk->state == NETLINK_STATE_CONNECTED) {
		struct sockaddr_nl addr = {
			.nl_family = AF_NETLINK,
			.nl_pid = sk->dst_portid,
			.nl_groups = sk->dst_group && sk->dst_group <= 32
					     ? 1U << (sk->dst_group - 1)
					     : 0,
		};

		if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
			restore_gap(rst, GAP_COSMETIC, "socket", 0, subject,
				    "it cannot be connected: %s", strerror(errno));
	}
	if (r < 0) {
		restore_gap(rst, GAP_DEGRADED, "socket", 0, subject, "it cannot be made: %s",
			    strerror(-r));
		return RESTORE_GAP;
	}
	sock_opts_restore(rst, fd, sk->opts, subject);
	r = file_params_restore(fd, sk->flags, sk->fown, err);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int netlink_attach(struct restore *rst, struct restore_task *task, Img__FileEntry *entry,
			  int fd, struct error *err)
{
	return entry->nlsk ? fown_attach(rst, task, entry->nlsk->fown, fd, err) : 0;
}

const struct fd_kind sk_netlink_kind = {
	.name = "netlink-socket",
	.type = IMG__FD_TYPES__NETLINKSK,
	.match = netlink_match,
	.capture = netlink_capture,
	.open = netlink_open_entry,
	.attach = netlink_attach,
};
