// SPDX-License-Identifier: Apache-2.0
/*
 * tcp-inject: segments by hand over a raw socket.
 *
 * The destination is an address of this network namespace, so the kernel hands the packet back to
 * itself through lo, and the foreign source address is not looked at.
 */
#include "object/tcp-inject.h"

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

struct pseudo6 {
	struct in6_addr from, to;
	uint32_t len;
	uint8_t zero[3], next;
} __attribute__((packed));

struct pseudo4 {
	uint32_t from, to;
	uint8_t zero, next;
	uint16_t len;
} __attribute__((packed));

static uint32_t sum_add(uint32_t sum, const void *data, size_t len)
{
	const unsigned char *at = data;
	size_t i;

	for (i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)at[i] << 8 | at[i + 1];
	return sum;
}

static uint16_t sum_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void header_fill(struct tcphdr *th, const struct tcp_segment *segment)
{
	memset(th, 0, sizeof(*th));
	/* Port fields lie at the same place in both address types. */
	th->th_sport = segment->from.v4.sin_port;
	th->th_dport = segment->to.v4.sin_port;
	th->th_seq = htonl(segment->seq);
	th->th_ack = htonl(segment->ack);
	th->th_off = sizeof(*th) / 4;
	th->th_flags = segment->flags;
	th->th_win = htons(segment->window);
}

static int inject4(struct in_addr from, struct in_addr to, struct tcphdr *th, struct error *err)
{
	_cleanup_close_ int fd = -1;
	struct {
		struct iphdr ip;
		struct tcphdr tcp;
	} __attribute__((packed)) packet = {
		.ip = { .version = 4,
			.ihl = 5,
			.ttl = 64,
			.protocol = IPPROTO_TCP,
			.tot_len = htons(sizeof(packet)),
			.saddr = from.s_addr,
			.daddr = to.s_addr },
	};
	struct pseudo4 pseudo = {
		.from = from.s_addr, .to = to.s_addr, .next = IPPROTO_TCP, .len = htons(sizeof(*th))
	};
	struct sockaddr_in dst = { .sin_family = AF_INET, .sin_addr = to };

	th->th_sum = sum_fold(sum_add(sum_add(0, &pseudo, sizeof(pseudo)), th, sizeof(*th)));
	packet.tcp = *th;
	fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (fd < 0 ||
	    sendto(fd, &packet, sizeof(packet), 0, (struct sockaddr *)&dst, sizeof(dst)) < 0)
		return error_errno(err, errno, "cannot send a raw IPv4 segment");
	return 0;
}

static int inject6(const struct sockaddr_in6 *from, const struct sockaddr_in6 *to,
		   struct tcphdr *th, struct error *err)
{
	_cleanup_close_ int fd = -1;
	struct {
		struct ip6_hdr ip;
		struct tcphdr tcp;
	} __attribute__((packed)) packet = { 0 };
	struct pseudo6 pseudo = { .from = from->sin6_addr,
				  .to = to->sin6_addr,
				  .len = htonl(sizeof(*th)),
				  .next = IPPROTO_TCP };
	struct sockaddr_in6 dst = *to;

	packet.ip.ip6_flow = htonl(6U << 28);
	packet.ip.ip6_plen = htons(sizeof(*th));
	packet.ip.ip6_nxt = IPPROTO_TCP;
	packet.ip.ip6_hlim = 64;
	packet.ip.ip6_src = from->sin6_addr;
	packet.ip.ip6_dst = to->sin6_addr;
	th->th_sum = sum_fold(sum_add(sum_add(0, &pseudo, sizeof(pseudo)), th, sizeof(*th)));
	packet.tcp = *th;
	dst.sin6_port = 0; /* a raw socket would take it for a protocol */
	fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (fd < 0 ||
	    sendto(fd, &packet, sizeof(packet), 0, (struct sockaddr *)&dst, sizeof(dst)) < 0)
		return error_errno(err, errno, "cannot send a raw IPv6 segment");
	return 0;
}

int tcp_inject(const struct tcp_segment *segment, struct error *err)
{
	struct tcphdr th;

	header_fill(&th, segment);
	if (segment->to.sa.sa_family == AF_INET)
		return inject4(segment->from.v4.sin_addr, segment->to.v4.sin_addr, &th, err);
	if (IN6_IS_ADDR_V4MAPPED(&segment->to.v6.sin6_addr)) {
		struct in_addr from, to;

		memcpy(&from, segment->from.v6.sin6_addr.s6_addr + 12, sizeof(from));
		memcpy(&to, segment->to.v6.sin6_addr.s6_addr + 12, sizeof(to));
		return inject4(from, to, &th, err);
	}
	return inject6(&segment->from.v6, &segment->to.v6, &th, err);
}
