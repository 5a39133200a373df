/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sk-inet: sockets of AF_INET and AF_INET6. The kind's two files and nobody else share this.
 */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "object/capture.h"
#include "object/restore.h"

#define ICMP_FILTER_OPT 1 /* ICMP_FILTER of SOL_RAW, ICMPV6_FILTER of SOL_ICMPV6 */

static inline bool sk_inet_is_tcp(const Img__InetSk *sk)
{
	return sk->proto == IPPROTO_TCP && sk->type == SOCK_STREAM;
}

static inline bool sk_inet_is_udp(const Img__InetSk *sk)
{
	return sk->type == SOCK_DGRAM && (sk->proto == IPPROTO_UDP || sk->proto == IPPROTO_UDPLITE);
}

/* The restoring half, as struct fd_kind describes it. */
int sk_inet_open(struct restore *rst, Img__FileEntry *entry, int *ret_fd, struct error *err);
int sk_inet_connect(struct restore *rst, Img__FileEntry *entry, int fd, struct error *err);
int sk_inet_attach(struct restore *rst, struct restore_task *task, Img__FileEntry *entry, int fd,
		   struct error *err);
