/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netlink: one request and all of its answers over a netlink socket of some network namespace.
 *
 * A netlink socket belongs to the namespace it was made in, wherever its descriptor goes
 * afterwards; ns_socket() makes one in another namespace. Knows framing and attributes, no family.
 */
#pragma once

#include <linux/netlink.h>

#include "base/buf.h"

#define NETLINK_DUMP_MAX ((size_t)256 << 20) /* bytes of one dump */

/* netlink_open - a netlink socket in the namespace of the calling thread. The caller owns *ret_fd.
 */
int netlink_open(int protocol, int *ret_fd, struct error *err) _must_check_;

/*
 * netlink_dump - send one request with NLM_F_DUMP and append all answers, with their headers,
 * without NLMSG_DONE, to messages. A dump that the kernel marks as interrupted is asked for again
 * (5 times).
 * @request: a whole message; sequence, flags and length are filled in here
 * Returns 0 or the negative errno of the kernel's NLMSG_ERROR (-ENOENT, -EOPNOTSUPP: no such
 * family).
 */
int netlink_dump(int fd, struct nlmsghdr *request, size_t len, struct buf *messages,
		 struct error *err) _must_check_;

/* netlink_talk - send one request with NLM_F_ACK, wait for its acknowledgement. Returns the
 * kernel's answer: 0 or a negative errno. */
int netlink_talk(int fd, struct nlmsghdr *request, size_t len, struct error *err) _must_check_;

/*
 * netlink_next - walk the messages of a row of bytes.
 * @rest: advanced behind the message
 * @ret_body: what stands behind the header
 * Returns 1, 0 at the end, -EBADMSG when the bytes are no messages. Messages need not be aligned in
 * memory: header fields are copied out to ret.
 */
int netlink_next(struct bytes *rest, struct nlmsghdr *ret, struct bytes *ret_body,
		 struct error *err) _must_check_;

/* netlink_attr_next - the same for attributes (type without its NLA_F_* bits). */
int netlink_attr_next(struct bytes *rest, uint16_t *ret_type, struct bytes *ret_value,
		      struct error *err) _must_check_;

/* netlink_u32 and so on - the value of an attribute; false when it is shorter. */
bool netlink_u8(struct bytes value, uint8_t *ret);
bool netlink_u32(struct bytes value, uint32_t *ret);
bool netlink_u64(struct bytes value, uint64_t *ret);

/* netlink_put - append an attribute to a message that is built in a buf (which starts with its
 * header). Returns 0 or -ENOMEM. */
int netlink_put(struct buf *message, uint16_t type, const void *data, size_t len,
		struct error *err) _must_check_;

/* netlink_nest, netlink_nest_end - begin an attribute that holds others; *ret_at is for its end. */
int netlink_nest(struct buf *message, uint16_t type, size_t *ret_at,
		 struct error *err) _must_check_;
void netlink_nest_end(struct buf *message, size_t at);
