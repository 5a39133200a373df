// SPDX-License-Identifier: Apache-2.0
/*
 * rtnl-stream: the streams of `ip addr save` and its kin. Never stops at the first thing that a
 * namespace refuses.
 */
#include "kernel/rtnl-stream.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/netlink.h"
#include "kernel/rtnl.h"

#define STREAM_ROUTES_ARENA ((size_t)1 << 30)

struct stream_kind {
	const char *name;
	uint32_t magic;
	uint16_t get, add;
	size_t fixed; /* bytes between message header and attributes */
};

static const struct stream_kind *kind_of(enum rtnl_stream stream)
{
	static const struct stream_kind kinds[] = {
		[RTNL_STREAM_ADDR] = { "address", 0x47361222, RTM_GETADDR, RTM_NEWADDR,
				       sizeof(struct ifaddrmsg) },
		[RTNL_STREAM_ROUTE] = { "route", 0x45311224, RTM_GETROUTE, RTM_NEWROUTE,
					sizeof(struct rtmsg) },
		[RTNL_STREAM_RULE] = { "rule", 0x71706986, RTM_GETRULE, RTM_NEWRULE,
				       sizeof(struct fib_rule_hdr) },
	};

	return &kinds[stream];
}

/* `ip route save` leaves out cache entries, and other tables unless asked for them. */
static bool wanted(const struct rtnl_route *route, bool all_tables)
{
	return !(route->flags & RTM_F_CLONED) && (all_tables || route->table == RT_TABLE_MAIN);
}

static int append_routes(struct bytes messages, bool all_tables, struct buf *ret, struct error *err)
{
	struct arena arena = { .limit = STREAM_ROUTES_ARENA };
	static const unsigned char zeros[NLMSG_ALIGNTO];
	struct rtnl_routes routes = { 0 };
	int r;

	r = rtnl_parse_routes(messages, &arena, &routes, err);
	for (size_t i = 0; r == 0 && i < routes.n_items; i++) {
		const struct bytes *message = &routes.items[i].message;

		if (!wanted(&routes.items[i], all_tables))
			continue;
		r = buf_append(ret, message->data, message->len, err);
		if (r == 0)
			r = buf_append(ret, zeros, NLMSG_ALIGN(message->len) - message->len, err);
	}
	arena_deinit(&arena);
	return r;
}

int rtnl_stream_save(int fd, enum rtnl_stream stream, int family, bool all_tables, struct buf *ret,
		     struct error *err)
{
	const struct stream_kind *kind = kind_of(stream);
	_cleanup_buf_ struct buf messages = BUF_INIT;
	struct {
		struct nlmsghdr head;
		unsigned char fixed[sizeof(struct ifinfomsg)];
	} ask = { .head.nlmsg_type = kind->get, .fixed = { (unsigned char)family } };
	int r;

	r = netlink_dump(fd, &ask.head, sizeof(ask.head) + kind->fixed, &messages, err);
	if (r < 0)
		return error_while(err, r, "saving the %s stream", kind->name);
	r = buf_append(ret, &kind->magic, sizeof(kind->magic), err);
	if (r < 0)
		return r;
	if (stream == RTNL_STREAM_ROUTE)
		return append_routes((struct bytes){ messages.data, messages.len }, all_tables, ret,
				     err);
	return buf_append(ret, messages.data, messages.len, err);
}

/* The messages of a stream, behind its magic. */
static int open_stream(const struct stream_kind *kind, struct bytes bytes, struct bytes *ret,
		       struct error *err)
{
	uint32_t magic;

	if (bytes.len < sizeof(magic) || bytes.len > RTNL_STREAM_MAX)
		return error_set(err, ERROR_INPUT, EBADMSG, "%s stream has %zu bytes", kind->name,
				 bytes.len);
	memcpy(&magic, bytes.data, sizeof(magic));
	if (magic != kind->magic)
		return error_set(err, ERROR_INPUT, EBADMSG,
				 "%s stream has the magic 0x%08x, not 0x%08x", kind->name, magic,
				 kind->magic);
	*ret = (struct bytes){ bytes.data + sizeof(magic), bytes.len - sizeof(magic) };
	return 0;
}

int rtnl_stream_check(enum rtnl_stream stream, struct bytes bytes, size_t *ret_messages,
		      struct error *err)
{
	const struct stream_kind *kind = kind_of(stream);
	struct bytes rest, body, value;
	struct nlmsghdr head;
	uint16_t type;
	size_t n = 0;
	int r;

	r = open_stream(kind, bytes, &rest, err);
	if (r < 0)
		return r;
	while ((r = netlink_next(&rest, &head, &body, err)) > 0) {
		size_t skip = NLMSG_ALIGN(kind->fixed);

		if (head.nlmsg_type != kind->add || body.len < kind->fixed)
			return error_set(err, ERROR_INPUT, EBADMSG,
					 "%s stream holds a message of type %u with %u bytes",
					 kind->name, head.nlmsg_type, head.nlmsg_len);
		skip = MIN(skip, body.len);
		body = (struct bytes){ body.data + skip, body.len - skip };
		while ((r = netlink_attr_next(&body, &type, &value, err)) > 0)
			;
		if (r < 0)
			return error_while(err, r, "checking the %s stream", kind->name);
		n++;
	}
	if (r < 0)
		return error_while(err, r, "checking the %s stream", kind->name);
	*ret_messages = n;
	return 0;
}

/* State that a kernel reports and does not take back. */
static void make_acceptable(enum rtnl_stream stream, struct buf *message)
{
	unsigned char *fixed = message->data + sizeof(struct nlmsghdr);

	if (stream == RTNL_STREAM_ROUTE) {
		struct rtmsg route;

		memcpy(&route, fixed, sizeof(route));
		route.rtm_flags &= RTNH_F_ONLINK | RTNH_F_PERVASIVE;
		memcpy(fixed, &route, sizeof(route));
	} else if (stream == RTNL_STREAM_ADDR) {
		struct ifaddrmsg addr;
		struct bytes rest, value;
		uint32_t flags;
		uint16_t type;

		/* Nobody else has an IPv6 address that comes back on an isolated link, and programs
		 * bind to it at once: no duplicate address detection. The attribute counts, not the
		 * header, where both are there. */
		memcpy(&addr, fixed, sizeof(addr));
		if (addr.ifa_family != AF_INET6)
			return;
		addr.ifa_flags =
			(addr.ifa_flags & ~(IFA_F_TENTATIVE | IFA_F_DADFAILED)) | IFA_F_NODAD;
		memcpy(fixed, &addr, sizeof(addr));
		rest = (struct bytes){ fixed + sizeof(addr),
				       message->len - sizeof(struct nlmsghdr) - sizeof(addr) };
		while (netlink_attr_next(&rest, &type, &value, NULL) > 0) {
			if (type != IFA_FLAGS || !netlink_u32(value, &flags))
				continue;
			flags = (flags & ~(IFA_F_TENTATIVE | IFA_F_DADFAILED)) | IFA_F_NODAD;
			memcpy((unsigned char *)value.data, &flags, sizeof(flags));
		}
	}
}

/* Sends one message. 0 done, 1 refused (*why says), negative: the socket is broken. */
static int replay_one(int fd, enum rtnl_stream stream, struct bytes whole, struct error *why,
		      struct error *err)
{
	_cleanup_buf_ struct buf message = BUF_INIT;
	struct error refused = ERROR_INIT;
	struct nlmsghdr *head;
	int r;

	r = buf_append(&message, whole.data, whole.len, err);
	if (r < 0)
		return r;
	head = (struct nlmsghdr *)(void *)message.data;
	head->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	/* Routes of equal destination may differ in what comes behind it: appended, not replaced.
	 */
	if (stream == RTNL_STREAM_ROUTE)
		head->nlmsg_flags = NLM_F_CREATE | NLM_F_APPEND;
	make_acceptable(stream, &message);
	r = netlink_talk(fd, head, message.len, &refused);
	if (r == 0 || r == -EEXIST)
		return 0;
	if (r == -ENOMEM || r == -EAGAIN || r == -EBADF || r == -ENOTSOCK || r == -ENOBUFS) {
		if (err)
			*err = refused;
		return r;
	}
	if (why)
		*why = refused;
	return 1;
}

/* One message that waits for its turn. */
struct pending {
	struct bytes message;
	int turn; /* 0 first */
	bool done;
};

/* Own addresses first, then what is on a link, then what lies behind a gateway. */
static int turn_of_route(const struct rtnl_route *route)
{
	if (route->type == RTN_LOCAL || route->scope == RT_SCOPE_HOST)
		return 0;
	return route->has_gateway || route->indirect ? 2 : 1;
}

static int collect(enum rtnl_stream stream, struct bytes messages, struct arena *arena,
		   struct pending **ret, size_t *ret_n, struct error *err)
{
	struct rtnl_routes routes = { 0 };
	struct pending *list = NULL;
	struct bytes rest = messages, body;
	struct nlmsghdr head;
	size_t n = 0;
	int r;

	if (stream == RTNL_STREAM_ROUTE) {
		r = rtnl_parse_routes(messages, arena, &routes, err);
		if (r < 0)
			return r;
	}
	while ((r = netlink_next(&rest, &head, &body, err)) > 0) {
		list = arena_grow(arena, list, n, sizeof(*list));
		if (!list)
			return error_nomem(err);
		list[n] = (struct pending){
			.message = { body.data - sizeof(head), head.nlmsg_len },
			.turn = stream == RTNL_STREAM_ROUTE ? turn_of_route(&routes.items[n]) : 0,
		};
		n++;
	}
	*ret = list;
	*ret_n = n;
	return r;
}

/* One round over what is not done yet. Returns how many were done, or a negative errno. */
static int replay_round(int fd, enum rtnl_stream stream, struct pending *list, size_t n, int turn,
			struct error *first, struct error *err)
{
	int done = 0, r;

	error_clear(first);
	for (size_t i = 0; i < n; i++) {
		if (list[i].done || list[i].turn > turn)
			continue;
		r = replay_one(fd, stream, list[i].message, first->errnum ? NULL : first, err);
		if (r < 0)
			return r;
		list[i].done = r == 0;
		done += r == 0;
	}
	return done;
}

/* A rule that the namespace has by itself and the stream does not tell of was deleted at the
 * origin. */
static int drop_other_rules(int fd, struct bytes messages, struct arena *arena, struct error *err)
{
	struct rtnl_rules told = { 0 }, present = { 0 };
	int r;

	r = rtnl_parse_rules(messages, arena, &told, err);
	if (r == 0)
		r = rtnl_rules(fd, AF_UNSPEC, arena, &present, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < present.n_items; i++) {
		const struct rtnl_rule *p = &present.items[i];
		bool family = false, keep = false;

		for (size_t k = 0; k < told.n_items; k++) {
			const struct rtnl_rule *t = &told.items[k];

			family |= t->family == p->family;
			keep |= t->family == p->family && t->priority == p->priority &&
				t->table == p->table && t->action == p->action;
		}
		if (family && !keep) {
			_cleanup_buf_ struct buf message = BUF_INIT;
			struct nlmsghdr *head;

			r = buf_append(&message, p->message.data, p->message.len, err);
			if (r < 0)
				return r;
			head = (struct nlmsghdr *)(void *)message.data;
			head->nlmsg_type = RTM_DELRULE;
			head->nlmsg_flags = 0;
			r = netlink_talk(fd, head, message.len, err);
			if (r < 0 && r != -ENOENT)
				return error_while(err, r, "removing a rule");
			error_clear(err);
		}
	}
	return 0;
}

int rtnl_stream_replay(int fd, enum rtnl_stream stream, struct bytes bytes, struct rtnl_replay *ret,
		       struct error *err)
{
	const struct stream_kind *kind = kind_of(stream);
	struct arena arena = { .limit = STREAM_ROUTES_ARENA };
	struct rtnl_replay replay = { 0 };
	struct pending *list = NULL;
	struct bytes messages;
	size_t n = 0;
	int r;

	r = rtnl_stream_check(stream, bytes, &n, err);
	if (r == 0)
		r = open_stream(kind, bytes, &messages, err);
	if (r == 0)
		r = collect(stream, messages, &arena, &list, &n, err);
	/* Each turn, and the last one again as long as it helps: a gateway may lie behind another.
	 */
	for (int turn = 0; r >= 0 && turn <= 2; turn++)
		r = replay_round(fd, stream, list, n, turn, &replay.first_refused, err);
	while (r > 0)
		r = replay_round(fd, stream, list, n, 2, &replay.first_refused, err);
	for (size_t i = 0; r == 0 && i < n; i++) {
		replay.done += list[i].done;
		replay.refused += !list[i].done;
	}
	if (r == 0 && stream == RTNL_STREAM_RULE)
		r = drop_other_rules(fd, messages, &arena, err);
	arena_deinit(&arena);
	if (r < 0)
		return error_while(err, r, "replaying the %s stream", kind->name);
	*ret = replay;
	return 0;
}
