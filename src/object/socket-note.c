// SPDX-License-Identifier: Apache-2.0
/*
 * socket-note: what a socket has been told that the image format cannot say.
 *
 * Only options whose value in a new socket is known are looked at: a note must mean that the
 * program has asked for something.
 */
#include <errno.h>
#include <linux/in6.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "object/socket.h"

#define FOR_ANY 0 /* family */

enum who { FOR_ALL, FOR_TCP, FOR_OTHERS };

static const struct unsaid {
	int family; /* AF_*, FOR_ANY */
	enum who who;
	int level, name, usual;
	const char *text;
} unsaid[] = {
#define O(family, tcp, level, name, usual)                                                         \
	{                                                                                          \
		family, tcp, level, name, usual, #name                                             \
	}
	O(FOR_ANY, FOR_ALL, SOL_SOCKET, SO_TIMESTAMP, 0),
	O(FOR_ANY, FOR_ALL, SOL_SOCKET, SO_TIMESTAMPNS, 0),
	O(FOR_ANY, FOR_ALL, SOL_SOCKET, SO_TIMESTAMPING, 0),
	O(FOR_ANY, FOR_ALL, SOL_SOCKET, SO_RXQ_OVFL, 0),
	O(FOR_ANY, FOR_ALL, SOL_SOCKET, SO_ZEROCOPY, 0),
	O(AF_UNIX, FOR_ALL, SOL_SOCKET, SO_PEEK_OFF, -1),
	O(FOR_ANY, FOR_TCP, IPPROTO_TCP, TCP_DEFER_ACCEPT, 0),
	O(FOR_ANY, FOR_TCP, IPPROTO_TCP, TCP_USER_TIMEOUT, 0),
	O(FOR_ANY, FOR_TCP, IPPROTO_TCP, TCP_FASTOPEN, 0),
	O(FOR_ANY, FOR_TCP, IPPROTO_TCP, TCP_SAVE_SYN, 0),
	O(AF_INET, FOR_ALL, IPPROTO_IP, IP_RECVERR, 0),
	O(AF_INET, FOR_ALL, IPPROTO_IP, IP_RECVTTL, 0),
	O(AF_INET, FOR_ALL, IPPROTO_IP, IP_RECVTOS, 0),
	O(AF_INET, FOR_ALL, IPPROTO_IP, IP_TRANSPARENT, 0),
	O(AF_INET, FOR_OTHERS, IPPROTO_IP, IP_MULTICAST_TTL, 1),
	O(AF_INET, FOR_OTHERS, IPPROTO_IP, IP_MULTICAST_LOOP, 1),
	O(AF_INET6, FOR_ALL, IPPROTO_IPV6, IPV6_RECVERR, 0),
	O(AF_INET6, FOR_ALL, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 0),
	O(AF_INET6, FOR_ALL, IPPROTO_IPV6, IPV6_RECVTCLASS, 0),
	O(AF_INET6, FOR_ALL, IPPROTO_IPV6, IPV6_TCLASS, 0),
	O(AF_INET6, FOR_ALL, IPPROTO_IPV6, IPV6_TRANSPARENT, 0),
#undef O
};

/* The upper layer protocol of a connection: kernel TLS has keys and record state in it. */
static int ulp_note(struct capture *cap, const struct fd_facts *facts, struct error *err)
{
	char name[16] = "";
	socklen_t len = sizeof(name) - 1;
	int r;

	if (getsockopt(facts->dup, IPPROTO_TCP, TCP_ULP, name, &len) < 0 || !name[0])
		return 0;
	r = sock_gap(cap, facts, GAP_DEGRADED, err,
		     "its upper layer in the kernel (%s) is not captured", name);
	return r < 0 ? r : 0;
}

int sock_opts_note(struct capture *cap, const struct fd_facts *facts, int family, bool tcp,
		   struct error *err)
{
	char list[384] = "";
	size_t i, at = 0;
	int value, r;

	for (i = 0; i < ARRAY_SIZE(unsaid); i++) {
		const struct unsaid *o = &unsaid[i];

		if ((o->family != FOR_ANY && o->family != family) ||
		    o->who == (tcp ? FOR_OTHERS : FOR_TCP))
			continue;
		value = sock_int(facts->dup, o->level, o->name, o->usual);
		if (value == o->usual || at >= sizeof(list) - 1)
			continue;
		at += snprintf(list + at, sizeof(list) - at, "%s%s=%d", at ? ", " : "", o->text,
			       value);
	}
	r = tcp ? ulp_note(cap, facts, err) : 0;
	if (r < 0 || !list[0])
		return r;
	r = sock_gap(cap, facts, GAP_COSMETIC, err, "options without a place in the images: %s",
		     list);
	return r < 0 ? r : 0;
}
