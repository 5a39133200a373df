// SPDX-License-Identifier: Apache-2.0
/*
 * socket: the index of the container's sockets, and small helpers of all families.
 *
 * The netlink socket is made before the stop, by a child that joins the namespace; the lists are
 * asked for in it. A list that cannot be had is one gap, not one for each socket.
 */
#include "object/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include "object/tcp-guard.h"

int sock_int(int fd, int level, int name, int def)
{
	int value = def;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, level, name, &value, &len) < 0)
		return def;
	return value;
}

int sock_set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

uint32_t sock_net_ns_id(const struct capture *cap)
{
	return cap->ns[NS_NET].own ? 0 : cap->ns[NS_NET].id;
}

bool sock_match(const struct fd_facts *facts, int domain)
{
	return S_ISSOCK(facts->st.st_mode) && facts->dup >= 0 &&
	       sock_int(facts->dup, SOL_SOCKET, SO_DOMAIN, -1) == domain;
}

int sock_gap(struct capture *cap, const struct fd_facts *facts, enum gap_effect effect,
	     struct error *err, const char *fmt, ...)
{
	char subject[128], reason[512];
	va_list args;

	(void)snprintf(subject, sizeof(subject), "fd %d (%s)", facts->fd, facts->link);
	va_start(args, fmt);
	(void)vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	if (gap_add(cap->gaps, effect, "socket", facts->task->ns_pid, subject, "%s", reason) < 0)
		return error_nomem(err);
	return CAPTURE_GAP;
}

Img__SkShutdown sock_shutdown_encode(unsigned int bits)
{
	static const Img__SkShutdown of[] = { IMG__SK_SHUTDOWN__NONE, IMG__SK_SHUTDOWN__READ,
					      IMG__SK_SHUTDOWN__WRITE, IMG__SK_SHUTDOWN__BOTH };

	return of[bits & 3];
}

int sock_shutdown_decode(Img__SkShutdown how)
{
	switch (how) {
	case IMG__SK_SHUTDOWN__READ:
		return SHUT_RD;
	case IMG__SK_SHUTDOWN__WRITE:
		return SHUT_WR;
	case IMG__SK_SHUTDOWN__BOTH:
		return SHUT_RDWR;
	default:
		return -1;
	}
}

void sock_widen(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	/* The kernel doubles the value. */
	(void)sock_set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, INT32_MAX / 2);
	(void)sock_set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, INT32_MAX / 2);
	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int sock_index_new(struct capture *cap, struct error *err)
{
	const struct capture_ns *ns = &cap->ns[NS_NET];
	struct sock_index *index;
	struct error reason = ERROR_INIT;
	int r;

	index = calloc(1, sizeof(*index));
	if (!index)
		return error_nomem(err);
	index->diag = -1;
	cap->sockets = index;

	r = ns_socket(ns->fd, AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG, &index->diag, &reason);
	if (r < 0 &&
	    gap_add(cap->gaps, GAP_DEGRADED, "socket", 0, "socket lists", "%s", reason.text) < 0)
		return error_nomem(err);
	error_clear(&reason);
	r = tcp_guard_new(&index->guard, &reason);
	if (r < 0 && gap_add(cap->gaps, GAP_DEGRADED, "socket", 0, "TCP connections",
			     "their queues are not read: %s", reason.text) < 0)
		return error_nomem(err);
	return 0;
}

void sock_index_land(struct sock_index *index)
{
	size_t i;

	for (i = 0; i < index->n_in_flight; i++)
		close(index->in_flight[i]);
	free(index->in_flight);
	index->in_flight = NULL;
	index->n_in_flight = 0;
}

void sock_index_free(struct sock_index *index)
{
	if (!index)
		return;
	tcp_guard_free(index->guard);
	sock_index_land(index);
	if (index->self) {
		close(index->self->pidfd);
		close(index->self->proc_fd);
	}
	if (index->diag >= 0)
		close(index->diag);
	free(index->unix_entries);
	free(index->scratch);
	arena_deinit(&index->arena);
	free(index);
}

/* A list was asked for: note it when the kernel has none. */
static void index_note(struct capture *cap, const char *what, int r, const struct error *reason)
{
	if (r < 0 && gap_add(cap->gaps, GAP_DEGRADED, "socket", 0, what, "cannot be listed: %s",
			     reason->text) < 0)
		op_debug(cap->op, "out of memory while noting a gap");
}

/* Lists may be long and every socket is looked up: they are kept sorted by inode number. */
static int unix_compare(const void *a, const void *b)
{
	uint32_t x = ((const struct sock_unix *)a)->ino, y = ((const struct sock_unix *)b)->ino;

	return x < y ? -1 : x > y;
}

static int inet_compare(const void *a, const void *b)
{
	uint32_t x = ((const struct sock_inet *)a)->ino, y = ((const struct sock_inet *)b)->ino;

	return x < y ? -1 : x > y;
}

const struct sock_unix *sock_index_unix(struct capture *cap, uint32_t ino)
{
	struct sock_index *index = cap->sockets;
	struct sock_unix key = { .ino = ino };
	struct error reason = ERROR_INIT;

	if (!index || index->diag < 0 || ino == 0)
		return NULL;
	if (!index->has_unixes) {
		index->has_unixes = true;
		index_note(cap, "unix sockets",
			   sock_diag_unix(index->diag, &index->arena, &index->unixes, &reason),
			   &reason);
		if (index->unixes.n_socks)
			qsort(index->unixes.socks, index->unixes.n_socks, sizeof(key),
			      unix_compare);
	}
	if (index->unixes.n_socks == 0)
		return NULL;
	return bsearch(&key, index->unixes.socks, index->unixes.n_socks, sizeof(key), unix_compare);
}

const struct sock_inet *sock_index_datagram(struct capture *cap, uint32_t ino)
{
	static const struct {
		uint8_t family, protocol;
		const char *what;
	} lists[] = {
		{ AF_INET, IPPROTO_UDP, "UDP sockets" },
		{ AF_INET6, IPPROTO_UDP, "UDP sockets over IPv6" },
		{ AF_INET, IPPROTO_UDPLITE, NULL },
		{ AF_INET6, IPPROTO_UDPLITE, NULL },
	};
	struct sock_index *index = cap->sockets;
	struct sock_inet key = { .ino = ino };
	struct error reason = ERROR_INIT;
	size_t i;
	int r;

	if (!index || index->diag < 0 || ino == 0)
		return NULL;
	for (i = 0; i < ARRAY_SIZE(lists) && !index->has_datagrams; i++) {
		r = sock_diag_inet(index->diag, lists[i].family, lists[i].protocol, &index->arena,
				   &index->datagrams, &reason);
		if (lists[i].what) /* UDP-Lite left the kernel: its absence is no loss */
			index_note(cap, lists[i].what, r, &reason);
		error_clear(&reason);
	}
	if (index->datagrams.n_socks == 0) {
		index->has_datagrams = true;
		return NULL;
	}
	if (!index->has_datagrams)
		qsort(index->datagrams.socks, index->datagrams.n_socks, sizeof(key), inet_compare);
	index->has_datagrams = true;
	return bsearch(&key, index->datagrams.socks, index->datagrams.n_socks, sizeof(key),
		       inet_compare);
}

const struct sock_netlink *sock_index_netlink(struct capture *cap, uint32_t ino)
{
	struct sock_index *index = cap->sockets;
	struct error reason = ERROR_INIT;

	if (!index || index->diag < 0)
		return NULL;
	if (!index->has_netlinks) {
		index->has_netlinks = true;
		index_note(cap, "netlink sockets",
			   sock_diag_netlink(index->diag, &index->arena, &index->netlinks, &reason),
			   &reason);
	}
	return sock_netlink_find(&index->netlinks, ino);
}

const struct sock_packet *sock_index_packet(struct capture *cap, uint32_t ino)
{
	struct sock_index *index = cap->sockets;
	struct error reason = ERROR_INIT;

	if (!index || index->diag < 0)
		return NULL;
	if (!index->has_packets) {
		index->has_packets = true;
		index_note(cap, "packet sockets",
			   sock_diag_packet(index->diag, &index->arena, &index->packets, &reason),
			   &reason);
	}
	return sock_packet_find(&index->packets, ino);
}
