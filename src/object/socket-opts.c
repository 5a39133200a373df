// SPDX-License-Identifier: Apache-2.0
/*
 * socket-opts: the options of level SOL_SOCKET, both directions.
 *
 * One table serves capture and restore. SO_REUSEADDR and SO_REUSEPORT are captured here and set by
 * the kinds, when nobody binds any more.
 */
#include <errno.h>
#include <linux/filter.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "object/socket.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

/* An option of 32 bits: its name, its place in the message, and when it is set again. */
struct opt {
	int name;
	const char *text;
	size_t value, has; /* has 0: a required field */
	bool flag;	   /* in a new socket it is 0: nothing to set then, nothing to say of 0 */
	bool later;	   /* captured here, restored elsewhere */
	bool omit_zero;	   /* not in the image when 0 */
	bool local;	   /* of unix and netlink sockets only */
};

#define OPT(n, field, ...)                                                                         \
	{                                                                                          \
		.name = n, .text = #n, .value = offsetof(Img__SkOpts, field),                      \
		.has = offsetof(Img__SkOpts, has_##field), __VA_ARGS__                             \
	}

static const struct opt opts_table[] = {
	OPT(SO_BUF_LOCK, so_buf_lock),
	OPT(SO_PRIORITY, so_priority),
	OPT(SO_RCVLOWAT, so_rcvlowat),
	OPT(SO_MARK, so_mark, .omit_zero = true),
	OPT(SO_REUSEADDR, reuseaddr, .later = true),
	OPT(SO_REUSEPORT, so_reuseport, .later = true),
	OPT(SO_PASSCRED, so_passcred, .flag = true, .local = true),
	OPT(SO_PASSSEC, so_passsec, .flag = true, .local = true),
	OPT(SO_DONTROUTE, so_dontroute, .flag = true),
	OPT(SO_NO_CHECK, so_no_check, .flag = true),
	OPT(SO_BROADCAST, so_broadcast, .flag = true),
	OPT(SO_KEEPALIVE, so_keepalive, .flag = true),
	OPT(SO_OOBINLINE, so_oobinline, .flag = true),
};

#define FIELD(opts, offset) ((uint32_t *)((char *)(opts) + (offset)))

static void filter_encode(const struct sock_filter *from, size_t n, uint64_t *to)
{
	size_t i;

	for (i = 0; i < n; i++)
		to[i] = (uint64_t)from[i].code << 48 | (uint64_t)from[i].jt << 40 |
			(uint64_t)from[i].jf << 32 | from[i].k;
}

/* Length is counted in instructions here, unlike anywhere else. */
static int filter_capture(struct capture *cap, const struct fd_facts *facts, Img__SkOpts *opts,
			  struct error *err)
{
	struct sock_filter insns[BPF_MAXINSNS];
	socklen_t n = 0;

	if (getsockopt(facts->dup, SOL_SOCKET, SO_GET_FILTER, NULL, &n) < 0) {
		if (errno == ENOPROTOOPT || errno == EOPNOTSUPP)
			return 0;
		return sock_gap(cap, facts, GAP_DEGRADED, err,
				"its packet filter cannot be read: %s%s", strerror(errno),
				errno == EACCES ? " (an eBPF program)" : "");
	}
	if (n == 0)
		return 0;
	n = ARRAY_SIZE(insns);
	if (getsockopt(facts->dup, SOL_SOCKET, SO_GET_FILTER, insns, &n) < 0)
		return sock_gap(cap, facts, GAP_DEGRADED, err,
				"its packet filter cannot be read: %s", strerror(errno));
	opts->so_filter = arena_array(&cap->set->arena, uint64_t, n);
	if (!opts->so_filter)
		return error_nomem(err);
	filter_encode(insns, n, opts->so_filter);
	opts->n_so_filter = n;
	return 0;
}

static void times_capture(int fd, Img__SkOpts *opts)
{
	struct timeval tv = { 0 };
	socklen_t len = sizeof(tv);

	if (getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, &len) == 0) {
		opts->so_snd_tmo_sec = tv.tv_sec;
		opts->so_snd_tmo_usec = tv.tv_usec;
	}
	len = sizeof(tv);
	if (getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len) == 0) {
		opts->so_rcv_tmo_sec = tv.tv_sec;
		opts->so_rcv_tmo_usec = tv.tv_usec;
	}
}

Img__SkOpts *sock_opts_capture(struct capture *cap, const struct fd_facts *facts, int family,
			       struct error *err)
{
	Img__SkOpts *opts = img_new(cap->set, Img__SkOpts, sk_opts);
	bool local = family == AF_UNIX || family == AF_NETLINK;
	char device[IFNAMSIZ] = "";
	struct linger linger = { 0 };
	socklen_t len = sizeof(device);
	size_t i;

	if (!opts) {
		(void)error_nomem(err);
		return NULL;
	}
	opts->so_sndbuf = sock_int(facts->dup, SOL_SOCKET, SO_SNDBUF, 0);
	opts->so_rcvbuf = sock_int(facts->dup, SOL_SOCKET, SO_RCVBUF, 0);
	times_capture(facts->dup, opts);

	for (i = 0; i < ARRAY_SIZE(opts_table); i++) {
		const struct opt *opt = &opts_table[i];
		int value;

		if (opt->local && !local)
			continue;
		value = sock_int(facts->dup, SOL_SOCKET, opt->name, -1);
		if (value == -1 || (opt->omit_zero && value == 0))
			continue;
		*FIELD(opts, opt->value) = opt->flag || opt->later ? value != 0 : value;
		*FIELD(opts, opt->has) = true;
	}

	if (getsockopt(facts->dup, SOL_SOCKET, SO_BINDTODEVICE, device, &len) == 0 && len > 0) {
		opts->so_bound_dev =
			arena_memdup(&cap->set->arena, device, strnlen(device, sizeof(device)));
		if (!opts->so_bound_dev) {
			(void)error_nomem(err);
			return NULL;
		}
	}
	len = sizeof(linger);
	if (getsockopt(facts->dup, SOL_SOCKET, SO_LINGER, &linger, &len) == 0 && linger.l_onoff) {
		opts->has_so_linger = true;
		opts->so_linger = linger.l_linger;
	}
	if (filter_capture(cap, facts, opts, err) < 0)
		return NULL;
	return opts;
}

static void note(struct restore *rst, const char *subject, const char *what, int r)
{
	restore_gap(rst, GAP_COSMETIC, "socket", 0, subject, "%s cannot be set: %s", what,
		    strerror(-r));
}

static void filter_restore(struct restore *rst, int fd, const Img__SkOpts *opts,
			   const char *subject)
{
	struct sock_filter insns[BPF_MAXINSNS];
	struct sock_fprog prog = { .len = opts->n_so_filter, .filter = insns };
	size_t i;

	if (opts->n_so_filter == 0)
		return;
	if (opts->n_so_filter > ARRAY_SIZE(insns)) {
		note(rst, subject, "its packet filter", -E2BIG);
		return;
	}
	for (i = 0; i < opts->n_so_filter; i++)
		insns[i] = (struct sock_filter){ .code = opts->so_filter[i] >> 48,
						 .jt = opts->so_filter[i] >> 40,
						 .jf = opts->so_filter[i] >> 32,
						 .k = opts->so_filter[i] };
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0)
		note(rst, subject, "its packet filter", -errno);
}

static void buffers_restore(struct restore *rst, int fd, const Img__SkOpts *opts,
			    const char *subject)
{
	/* The kernel doubles what it is given. Setting a size also locks it against growing, so the
	 * lock is set to what it was behind this, from the table. */
	int r = sock_set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, opts->so_sndbuf / 2);

	if (r == 0)
		r = sock_set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, opts->so_rcvbuf / 2);
	if (r == -EPERM) {
		(void)sock_set_int(fd, SOL_SOCKET, SO_SNDBUF, opts->so_sndbuf / 2);
		r = sock_set_int(fd, SOL_SOCKET, SO_RCVBUF, opts->so_rcvbuf / 2);
	}
	if (r < 0)
		note(rst, subject, "SO_SNDBUF and SO_RCVBUF", r);
}

void sock_opts_restore(struct restore *rst, int fd, const Img__SkOpts *opts, const char *subject)
{
	struct timeval tv;
	size_t i;
	int r;

	buffers_restore(rst, fd, opts, subject);
	for (i = 0; i < ARRAY_SIZE(opts_table); i++) {
		const struct opt *opt = &opts_table[i];
		uint32_t value = *FIELD(opts, opt->value);

		if (opt->later || !*FIELD(opts, opt->has) || (opt->flag && !value))
			continue;
		r = sock_set_int(fd, SOL_SOCKET, opt->name, value);
		if (r < 0)
			note(rst, subject, opt->text, r);
	}
	if (opts->has_so_linger) {
		struct linger linger = { .l_onoff = 1, .l_linger = opts->so_linger };

		if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0)
			note(rst, subject, "SO_LINGER", -errno);
	}
	tv = (struct timeval){ opts->so_snd_tmo_sec, opts->so_snd_tmo_usec };
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0)
		note(rst, subject, "SO_SNDTIMEO", -errno);
	tv = (struct timeval){ opts->so_rcv_tmo_sec, opts->so_rcv_tmo_usec };
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0)
		note(rst, subject, "SO_RCVTIMEO", -errno);
	if (opts->so_bound_dev && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, opts->so_bound_dev,
					     strlen(opts->so_bound_dev)) < 0)
		note(rst, subject, "SO_BINDTODEVICE", -errno);
	filter_restore(rst, fd, opts, subject);
}
