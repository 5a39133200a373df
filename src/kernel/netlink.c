// SPDX-License-Identifier: Apache-2.0
/*
 * netlink: one request and all of its answers. Never trusts a length it was told.
 */
#include "kernel/netlink.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "base/macro.h"

#define RECEIVE_SIZE  ((size_t)128 << 10)
#define DUMP_ATTEMPTS 5

#ifndef NETLINK_GET_STRICT_CHK
#define NETLINK_GET_STRICT_CHK 12
#endif

int netlink_open(int protocol, int *ret_fd, struct error *err)
{
	/* A kernel that does not answer must not hold a stopped container. */
	struct timeval limit = { .tv_sec = 10 };
	int fd, size = 4 << 20;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	if (fd < 0)
		return error_errno(err, errno, "cannot open a netlink socket (protocol %d)",
				   protocol);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	*ret_fd = fd;
	return 0;
}

int netlink_next(struct bytes *rest, struct nlmsghdr *ret, struct bytes *ret_body,
		 struct error *err)
{
	size_t step;

	if (rest->len == 0)
		return 0;
	if (rest->len < sizeof(*ret))
		return error_set(err, ERROR_INPUT, EBADMSG, "netlink message is cut short");
	memcpy(ret, rest->data, sizeof(*ret));
	if (ret->nlmsg_len < sizeof(*ret) || ret->nlmsg_len > rest->len)
		return error_set(err, ERROR_INPUT, EBADMSG,
				 "netlink message has a length of %u, %zu bytes are left",
				 ret->nlmsg_len, rest->len);
	ret_body->data = rest->data + sizeof(*ret);
	ret_body->len = ret->nlmsg_len - sizeof(*ret);
	step = MIN((size_t)NLMSG_ALIGN((size_t)ret->nlmsg_len), rest->len);
	rest->data += step;
	rest->len -= step;
	return 1;
}

int netlink_attr_next(struct bytes *rest, uint16_t *ret_type, struct bytes *ret_value,
		      struct error *err)
{
	struct nlattr attr;
	size_t step;

	/* Less than a header at the end is padding. */
	if (rest->len < sizeof(attr))
		return 0;
	memcpy(&attr, rest->data, sizeof(attr));
	if (attr.nla_len < sizeof(attr) || attr.nla_len > rest->len)
		return error_set(err, ERROR_INPUT, EBADMSG,
				 "netlink attribute %u has a length of %u, %zu bytes are left",
				 attr.nla_type, attr.nla_len, rest->len);
	*ret_type = attr.nla_type & NLA_TYPE_MASK;
	ret_value->data = rest->data + sizeof(attr);
	ret_value->len = attr.nla_len - sizeof(attr);
	step = MIN((size_t)NLA_ALIGN(attr.nla_len), rest->len);
	rest->data += step;
	rest->len -= step;
	return 1;
}

static bool copy_out(struct bytes value, void *ret, size_t size)
{
	if (value.len < size)
		return false;
	memcpy(ret, value.data, size);
	return true;
}

bool netlink_u8(struct bytes value, uint8_t *ret)
{
	return copy_out(value, ret, sizeof(*ret));
}

bool netlink_u32(struct bytes value, uint32_t *ret)
{
	return copy_out(value, ret, sizeof(*ret));
}

bool netlink_u64(struct bytes value, uint64_t *ret)
{
	return copy_out(value, ret, sizeof(*ret));
}

static int send_request(int fd, struct nlmsghdr *request, size_t len, uint16_t flags, uint32_t seq,
			struct error *err)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	ssize_t n;

	request->nlmsg_len = len;
	request->nlmsg_flags |= NLM_F_REQUEST | flags;
	request->nlmsg_seq = seq;
	request->nlmsg_pid = 0;
	do {
		n = sendto(fd, request, len, 0, (const struct sockaddr *)&kernel, sizeof(kernel));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_errno(err, errno, "cannot send a netlink request");
	return 0;
}

/* One datagram of answers, from the kernel and from nobody else. */
static ssize_t receive(int fd, unsigned char *data, size_t size, struct error *err)
{
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { data, size };
	struct msghdr msg = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1
	};
	ssize_t n;

	do {
		n = recvmsg(fd, &msg, 0);
	} while ((n < 0 && errno == EINTR) || (n >= 0 && from.nl_pid != 0));
	if (n < 0)
		return error_errno(err, errno, "cannot receive netlink answers");
	if (msg.msg_flags & MSG_TRUNC)
		return error_set(err, ERROR_SYSTEM, EMSGSIZE,
				 "netlink answers are longer than %zu bytes", size);
	return n;
}

/* What an NLMSG_ERROR or NLMSG_DONE says: 0 or a negative errno. */
static int told(struct bytes body)
{
	int32_t code = 0;

	return copy_out(body, &code, sizeof(code)) && code < 0 ? code : 0;
}

enum progress { MORE, DONE, INTERRUPTED };

/* Appends the answers of one datagram. Returns enum progress or a negative errno. */
static int take_datagram(struct bytes rest, uint32_t seq, bool *interrupted, struct buf *messages,
			 struct error *err)
{
	struct nlmsghdr head;
	struct bytes body;
	int r;

	for (;;) {
		const unsigned char *at = rest.data;
		static const unsigned char zeros[NLMSG_ALIGNTO];

		r = netlink_next(&rest, &head, &body, err);
		if (r < 0)
			return r;
		if (r == 0)
			return MORE;
		/* An answer to an earlier request whose reader gave up. */
		if (head.nlmsg_seq != seq)
			continue;
		*interrupted |= (head.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
		if (head.nlmsg_type == NLMSG_DONE || head.nlmsg_type == NLMSG_ERROR) {
			r = told(body);
			if (r < 0)
				return error_errno(err, -r,
						   "the kernel refuses the netlink request");
			return *interrupted ? INTERRUPTED : DONE;
		}
		if (head.nlmsg_type < NLMSG_MIN_TYPE)
			continue;
		if (messages->len + head.nlmsg_len > NETLINK_DUMP_MAX)
			return error_set(err, ERROR_SYSTEM, E2BIG,
					 "netlink answers exceed %zu bytes", NETLINK_DUMP_MAX);
		r = buf_append(messages, at, head.nlmsg_len, err);
		if (r == 0)
			r = buf_append(messages, zeros,
				       NLMSG_ALIGN((size_t)head.nlmsg_len) - head.nlmsg_len, err);
		if (r < 0)
			return r;
	}
}

static int dump_once(int fd, struct nlmsghdr *request, size_t len, uint32_t seq,
		     unsigned char *space, struct buf *messages, struct error *err)
{
	bool interrupted = false;
	ssize_t n;
	int r;

	r = send_request(fd, request, len, NLM_F_DUMP, seq, err);
	while (r == MORE) {
		n = receive(fd, space, RECEIVE_SIZE, err);
		if (n < 0)
			return n;
		r = take_datagram((struct bytes){ space, n }, seq, &interrupted, messages, err);
	}
	return r;
}

/* Sequence numbers only have to differ from those of requests still answered on this socket. */
static uint32_t new_seq(const void *salt)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint32_t)now.tv_nsec ^ (uint32_t)now.tv_sec << 20 ^ (uint32_t)(uintptr_t)salt;
}

int netlink_dump(int fd, struct nlmsghdr *request, size_t len, struct buf *messages,
		 struct error *err)
{
	_cleanup_free_ unsigned char *space = malloc(RECEIVE_SIZE);
	uint32_t seq = new_seq(request);
	size_t before = messages->len;
	int r = INTERRUPTED;

	if (!space)
		return error_nomem(err);
	for (int i = 0; r == INTERRUPTED && i < DUMP_ATTEMPTS; i++) {
		messages->len = before;
		r = dump_once(fd, request, len, seq + i, space, messages, err);
	}
	if (r < 0)
		messages->len = before;
	/* A list that changes all the time is told as it was last seen. */
	return r < 0 ? r : 0;
}

int netlink_talk(int fd, struct nlmsghdr *request, size_t len, struct error *err)
{
	_cleanup_free_ unsigned char *space = malloc(RECEIVE_SIZE);
	uint32_t seq = new_seq(request);
	int r;

	if (!space)
		return error_nomem(err);
	r = send_request(fd, request, len, NLM_F_ACK, seq, err);
	if (r < 0)
		return r;
	for (;;) {
		struct nlmsghdr head;
		struct bytes rest, body;
		ssize_t n = receive(fd, space, RECEIVE_SIZE, err);

		if (n < 0)
			return n;
		rest = (struct bytes){ space, n };
		while ((r = netlink_next(&rest, &head, &body, err)) > 0) {
			if (head.nlmsg_seq != seq || head.nlmsg_type != NLMSG_ERROR)
				continue;
			r = told(body);
			if (r < 0)
				return error_errno(err, -r,
						   "the kernel refuses the netlink request");
			return 0;
		}
		if (r < 0)
			return r;
	}
}

int netlink_put(struct buf *message, uint16_t type, const void *data, size_t len, struct error *err)
{
	static const unsigned char zeros[NLA_ALIGNTO];
	const struct nlattr attr = { .nla_len = sizeof(attr) + len, .nla_type = type };
	int r;

	if (len > UINT16_MAX - sizeof(attr))
		return error_set(err, ERROR_INTERNAL, E2BIG, "netlink attribute %u is too long",
				 type);
	r = buf_append(message, &attr, sizeof(attr), err);
	if (r == 0 && len)
		r = buf_append(message, data, len, err);
	if (r == 0)
		r = buf_append(message, zeros, NLA_ALIGN(len) - len, err);
	return r;
}

int netlink_nest(struct buf *message, uint16_t type, size_t *ret_at, struct error *err)
{
	*ret_at = message->len;
	return netlink_put(message, type, NULL, 0, err);
}

void netlink_nest_end(struct buf *message, size_t at)
{
	uint16_t len = message->len - at;

	memcpy(message->data + at + offsetof(struct nlattr, nla_len), &len, sizeof(len));
}
