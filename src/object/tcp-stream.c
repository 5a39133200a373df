// SPDX-License-Identifier: Apache-2.0
/*
 * tcp-stream: reading a live connection, and making one from an image.
 *
 * Capture locks no packets out, so segments arrive while it looks. Everything that must fit
 * together is therefore either constant while the program stands still (what was read, what was
 * written) or read between two equal sequence numbers. Repair mode lasts for some ten system calls,
 * under the guard.
 *
 * One trace is possible and documented: while the send queue is selected, the kernel takes data
 * that was not sent yet for sent when an acknowledgement arrives just then; such data goes out by
 * the ordinary loss recovery. Only a connection with unsent data can meet this.
 */
#include "object/tcp-stream.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>

#include "object/socket.h"
#include "object/tcp-guard.h"

#ifndef TCPOPT_SACK_PERM
#define TCPOPT_SACK_PERM TCPOPT_SACK_PERMITTED
#endif

#define QUEUE_NONE 0
#define QUEUE_RECV 1
#define QUEUE_SEND 2

#define QUEUE_MAX   (1U << 30) /* bytes of one queue that are believed */
#define LOOK_TRIES  64
#define QUEUE_SLACK 65536 /* room for what arrives between measuring and reading */

/* In which states which FINs have gone by. */
#define S(state)	(1U << (state))
#define SENT_FIN_FIRST	(S(TCP_FIN_WAIT1) | S(TCP_FIN_WAIT2) | S(TCP_CLOSING))
#define SENT_FIN_SECOND (S(TCP_LAST_ACK) | S(TCP_CLOSE))
#define SENT_FIN	(SENT_FIN_FIRST | SENT_FIN_SECOND)
#define SENT_FIN_ACKED	(S(TCP_FIN_WAIT2) | S(TCP_CLOSE))
#define GOT_FIN		(S(TCP_CLOSE_WAIT) | S(TCP_LAST_ACK) | S(TCP_CLOSE) | S(TCP_CLOSING))

/* What one look at a connection tells. */
struct view {
	struct tcp_info info;
	struct tcp_repair_window window;
	bool has_window;
	uint32_t rcv_nxt, write_seq;
	int inq, outq, unsent;
	uint32_t mss_clamp, timestamp;
};

static int get(int fd, int name, void *value, socklen_t len)
{
	return getsockopt(fd, IPPROTO_TCP, name, value, &len) < 0 ? -errno : 0;
}

static int set(int fd, int name, const void *value, socklen_t len)
{
	return setsockopt(fd, IPPROTO_TCP, name, value, len) < 0 ? -errno : 0;
}

static int set_int(int fd, int name, int value)
{
	return set(fd, name, &value, sizeof(value));
}

/* The receiving side at one instant: everything between two equal sequence numbers. */
static int look_recv(int fd, struct view *v)
{
	uint32_t after;
	int r, i;

	r = set_int(fd, TCP_REPAIR_QUEUE, QUEUE_RECV);
	for (i = 0; r == 0 && i < LOOK_TRIES; i++) {
		r = get(fd, TCP_QUEUE_SEQ, &v->rcv_nxt, sizeof(v->rcv_nxt));
		v->has_window = get(fd, TCP_REPAIR_WINDOW, &v->window, sizeof(v->window)) == 0;
		if (r == 0)
			r = get(fd, TCP_INFO, &v->info, sizeof(v->info));
		if (r == 0 && ioctl(fd, SIOCINQ, &v->inq) < 0)
			r = -errno;
		if (r == 0)
			r = get(fd, TCP_QUEUE_SEQ, &after, sizeof(after));
		if (r == 0 && after == v->rcv_nxt)
			return 0;
	}
	return r < 0 ? r : -EBUSY;
}

/* Bytes of a queue from its start. Returns how many, or -errno. */
static ssize_t peek(int fd, void *to, size_t max)
{
	ssize_t n;

	do
		n = recv(fd, to, max, MSG_PEEK | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return n;
}

/* Both queues into buf: first what was received, then what was sent. Room is what buf holds. */
static int look(int fd, struct view *v, unsigned char *buf, size_t room)
{
	ssize_t n;
	int r;

	r = look_recv(fd, v);
	if (r < 0)
		return r;
	if ((size_t)v->inq > room)
		return -ENOBUFS;
	if (v->inq > 0) {
		n = peek(fd, buf, v->inq);
		if (n < 0)
			return n;
		/* Received bytes do not go away while nobody reads. */
		if (n < v->inq)
			return -EBUSY;
	}
	(void)get(fd, TCP_MAXSEG, &v->mss_clamp, sizeof(v->mss_clamp));
	(void)get(fd, TCP_TIMESTAMP, &v->timestamp, sizeof(v->timestamp));

	if (ioctl(fd, SIOCOUTQNSD, &v->unsent) < 0 || ioctl(fd, SIOCOUTQ, &v->outq) < 0)
		return -errno;
	r = set_int(fd, TCP_REPAIR_QUEUE, QUEUE_SEND);
	if (r == 0)
		r = get(fd, TCP_QUEUE_SEQ, &v->write_seq, sizeof(v->write_seq));
	if (r < 0)
		return r;
	n = 0;
	if (v->outq > 0 && S(v->info.tcpi_state) != S(TCP_CLOSE)) {
		/* The kernel wants room for all of it. */
		if ((size_t)v->outq > room - v->inq)
			return -ENOBUFS;
		n = peek(fd, buf + v->inq, room - v->inq);
		if (n < 0)
			return n;
	}
	v->outq = n;
	(void)set_int(fd, TCP_REPAIR_QUEUE, QUEUE_NONE);
	/* A FIN that waits is counted as unsent, and acknowledgements may have come meanwhile. */
	if (S(v->info.tcpi_state) & SENT_FIN)
		v->unsent = v->unsent > 0 ? v->unsent - 1 : 0;
	v->unsent = MIN(v->unsent, v->outq);
	return 0;
}

/* Room for both queues, measured from outside of repair mode. Its pages are touched here: while the
 * kernel copies, the connection has to wait. */
static int room_make(struct sock_index *index, int fd, struct error *err)
{
	int inq = 0, outq = 0;
	size_t need;

	(void)ioctl(fd, SIOCINQ, &inq);
	(void)ioctl(fd, SIOCOUTQ, &outq);
	if (inq < 0 || outq < 0 || (unsigned int)inq > QUEUE_MAX || (unsigned int)outq > QUEUE_MAX)
		return error_set(err, ERROR_INTERNAL, EOVERFLOW,
				 "impossible queue lengths %d and %d", inq, outq);
	need = (size_t)inq + outq + QUEUE_SLACK;
	if (need <= index->scratch_size)
		return 0;
	free(index->scratch);
	need += need / 2;
	index->scratch_size = 0;
	index->scratch = malloc(need);
	if (!index->scratch)
		return error_nomem(err);
	memset(index->scratch, 0xff, need);
	index->scratch_size = need;
	return 0;
}

static int look_guarded(struct capture *cap, int fd, struct view *v, struct bytes *ret_queues,
			struct error *err)
{
	struct sock_index *index = cap->sockets;
	int peek_off = sock_int(fd, SOL_SOCKET, SO_PEEK_OFF, -1);
	int r = -EBUSY, i;

	/* A program that peeks with an offset must find its offset where it was. */
	if (peek_off >= 0)
		(void)sock_set_int(fd, SOL_SOCKET, SO_PEEK_OFF, -1);
	for (i = 0; i < 8; i++) {
		r = room_make(index, fd, err);
		if (r < 0)
			break;
		r = tcp_repair_begin(index->guard, fd);
		if (r == 0) {
			r = look(fd, v, index->scratch, index->scratch_size);
			tcp_repair_end(index->guard);
		}
		if (r == -ENOBUFS || r == -EBUSY)
			continue;
		if (r == 0) {
			ret_queues->len = (size_t)v->inq + v->outq;
			ret_queues->data =
				arena_memdup(&cap->set->arena, index->scratch, ret_queues->len);
			if (!ret_queues->data)
				r = error_nomem(err);
		}
		break;
	}
	if (peek_off >= 0)
		(void)sock_set_int(fd, SOL_SOCKET, SO_PEEK_OFF, peek_off);
	return r;
}

static void message_fill(Img__TcpStream *ts, const struct view *v)
{
	ts->inq_len = v->inq;
	ts->inq_seq = v->rcv_nxt;
	ts->outq_len = v->outq;
	ts->outq_seq = v->write_seq;
	ts->has_unsq_len = true;
	ts->unsq_len = v->unsent;
	ts->mss_clamp = v->mss_clamp;
	ts->opt_mask = v->info.tcpi_options;
	if (ts->opt_mask & TCPI_OPT_WSCALE) {
		ts->snd_wscale = v->info.tcpi_snd_wscale;
		ts->has_rcv_wscale = true;
		ts->rcv_wscale = v->info.tcpi_rcv_wscale;
	}
	if (ts->opt_mask & TCPI_OPT_TIMESTAMPS) {
		ts->has_timestamp = true;
		ts->timestamp = v->timestamp;
	}
	if (!v->has_window)
		return;
	ts->has_snd_wl1 = ts->has_snd_wnd = ts->has_max_window = true;
	ts->has_rcv_wnd = ts->has_rcv_wup = true;
	ts->snd_wl1 = v->window.snd_wl1;
	ts->snd_wnd = v->window.snd_wnd;
	ts->max_window = v->window.max_window;
	ts->rcv_wnd = v->window.rcv_wnd;
	ts->rcv_wup = v->window.rcv_wup;
}

int tcp_stream_capture(struct capture *cap, const struct fd_facts *facts, Img__InetSk *sk,
		       struct error *err)
{
	struct bytes queues = { 0 };
	struct view v = { 0 };
	Img__TcpStream *ts;
	int r;

	if (!cap->sockets || !cap->sockets->guard)
		return sock_gap(cap, facts, GAP_DEGRADED, err,
				"its sequence numbers and queues were not read: no guard process");
	r = look_guarded(cap, facts->dup, &v, &queues, err);
	if (r == -ENOMEM)
		return error_nomem(err);
	if (r < 0)
		return sock_gap(cap, facts, GAP_DEGRADED, err,
				"its sequence numbers and queues cannot be read: %s", strerror(-r));
	ts = img_new(cap->set, Img__TcpStream, tcp_stream);
	if (!ts)
		return error_nomem(err);
	message_fill(ts, &v);
	sk->state = v.info.tcpi_state;
	return image_add(cap->set, IMAGE_TCP_STREAM, sk->ino, &ts->base, queues, err);
}

/* --- bringing it back */

/* The image of a connection, with lengths that fit its bytes. NULL: err says why. */
static const Img__TcpStream *stream_find(struct restore *rst, const Img__InetSk *sk,
					 struct bytes *ret_queues, struct error *err)
{
	const struct image *image = image_find(rst->set, IMAGE_TCP_STREAM, sk->ino);
	const Img__TcpStream *ts = image ? image_message(image, 0) : NULL;
	uint64_t need;

	if (!ts) {
		(void)error_set(err, ERROR_INPUT, ENOENT,
				"the images have no tcp-stream-%x for this connection", sk->ino);
		return NULL;
	}
	*ret_queues = image->entries[0].extra;
	need = (uint64_t)ts->inq_len + ts->outq_len;
	if (need > ret_queues->len || ts->unsq_len > ts->outq_len) {
		(void)error_set(err, ERROR_INPUT, EINVAL,
				"tcp-stream-%x: queues of %lu bytes, has %zu", sk->ino,
				(unsigned long)need, ret_queues->len);
		return NULL;
	}
	return ts;
}

static socklen_t addr_len(const union sock_addr *addr)
{
	return addr->sa.sa_family == AF_INET ? sizeof(addr->v4) : sizeof(addr->v6);
}

static int step(int r, const char *what, struct error *err)
{
	return r < 0 ? error_errno(err, -r, "cannot %s of a connection in repair mode", what) : 0;
}

static int seq_set(int fd, int queue, uint32_t seq, struct error *err)
{
	int r = set_int(fd, TCP_REPAIR_QUEUE, queue);

	if (r == 0)
		r = set(fd, TCP_QUEUE_SEQ, &seq, sizeof(seq));
	return step(r, "set the sequence number", err);
}

/* Sequence numbers without the FINs, which come later. */
static uint32_t seq_recv(const Img__InetSk *sk, const Img__TcpStream *ts)
{
	return ts->inq_seq - (S(sk->state) & GOT_FIN ? 1 : 0);
}

static uint32_t seq_send(const Img__InetSk *sk, const Img__TcpStream *ts)
{
	return ts->outq_seq - (S(sk->state) & SENT_FIN ? 1 : 0);
}

static int options_set(int fd, const Img__TcpStream *ts, struct error *err)
{
	struct tcp_repair_opt opts[4];
	uint32_t timestamp = ts->timestamp;
	size_t n = 0;
	int r;

	if (ts->opt_mask & TCPI_OPT_SACK)
		opts[n++] = (struct tcp_repair_opt){ TCPOPT_SACK_PERM, 0 };
	if (ts->opt_mask & TCPI_OPT_WSCALE)
		opts[n++] = (struct tcp_repair_opt){ TCPOPT_WINDOW,
						     ts->snd_wscale | ts->rcv_wscale << 16 };
	if (ts->opt_mask & TCPI_OPT_TIMESTAMPS)
		opts[n++] = (struct tcp_repair_opt){ TCPOPT_TIMESTAMP, 0 };
	opts[n++] = (struct tcp_repair_opt){ TCPOPT_MAXSEG, ts->mss_clamp };
	r = set(fd, TCP_REPAIR_OPTIONS, opts, n * sizeof(opts[0]));
	if (r == 0 && (ts->opt_mask & TCPI_OPT_TIMESTAMPS))
		r = set(fd, TCP_TIMESTAMP, &timestamp, sizeof(timestamp));
	return step(r, "set options", err);
}

/* In repair mode a send() into the receive queue wants its piece in one block of memory. */
static int queue_fill(int fd, struct bytes data, struct error *err)
{
	size_t piece = MIN(data.len, (size_t)65536);

	while (data.len > 0) {
		ssize_t n = send(fd, data.data, MIN(piece, data.len), MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 && piece > 1024) {
			piece /= 2;
			continue;
		}
		if (n <= 0)
			return step(n < 0 ? -errno : -EIO, "fill a queue", err);
		data.data += n;
		data.len -= n;
	}
	return 0;
}

static int queue_restore(int fd, int queue, struct bytes data, struct error *err)
{
	int r;

	if (data.len == 0)
		return 0;
	r = set_int(fd, TCP_REPAIR_QUEUE, queue);
	if (r < 0)
		return step(r, "select a queue", err);
	return queue_fill(fd, data, err);
}

static int window_set(int fd, const Img__InetSk *sk, const Img__TcpStream *ts, struct error *err)
{
	struct tcp_repair_window window = {
		.snd_wl1 = ts->snd_wl1,
		.snd_wnd = ts->snd_wnd,
		.max_window = ts->max_window,
		.rcv_wnd = ts->rcv_wnd,
		.rcv_wup = ts->rcv_wup,
	};

	if (!ts->has_snd_wnd)
		return 0;
	if (S(sk->state) & GOT_FIN) {
		window.rcv_wup--;
		window.rcv_wnd++;
	}
	return step(set(fd, TCP_REPAIR_WINDOW, &window, sizeof(window)), "set windows", err);
}

/* A connection whose own address is on no interface is connected as a transparent one. */
static int repair_connect(int fd, const union sock_addr *peer)
{
	bool v6 = peer->sa.sa_family == AF_INET6;
	int level = v6 ? SOL_IPV6 : SOL_IP, name = v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT;
	int r;

	if (connect(fd, &peer->sa, addr_len(peer)) == 0)
		return 0;
	r = -errno;
	if (sock_set_int(fd, level, name, 1) < 0)
		return r;
	if (connect(fd, &peer->sa, addr_len(peer)) == 0)
		r = 0;
	(void)sock_set_int(fd, level, name, 0);
	return r;
}

int tcp_stream_open(struct restore *rst, const Img__InetSk *sk, int fd,
		    const union sock_addr *local, const union sock_addr *peer, struct error *err)
{
	struct bytes queues, part;
	const Img__TcpStream *ts = stream_find(rst, sk, &queues, err);
	int r;

	if (!ts)
		return -err->errnum;
	if (sk->state == TCP_SYN_SENT)
		return 0;
	r = seq_set(fd, QUEUE_RECV, seq_recv(sk, ts) - ts->inq_len, err);
	if (r == 0)
		r = seq_set(fd, QUEUE_SEND, seq_send(sk, ts) - ts->outq_len, err);
	if (r < 0)
		return r;
	r = repair_connect(fd, peer);
	if (r < 0)
		return error_errno(err, -r, "cannot connect in repair mode");
	r = options_set(fd, ts, err);
	if (r < 0 || rst->tcp_close)
		return r;
	part = (struct bytes){ queues.data, ts->inq_len };
	r = queue_restore(fd, QUEUE_RECV, part, err);
	part = (struct bytes){ queues.data + ts->inq_len, ts->outq_len - ts->unsq_len };
	if (r == 0)
		r = queue_restore(fd, QUEUE_SEND, part, err);
	if (r == 0)
		r = window_set(fd, sk, ts, err);
	(void)set_int(fd, TCP_REPAIR_QUEUE, QUEUE_NONE);
	return r;
}

/* Our own FIN. With the send queue selected it counts as sent without being sent. */
static int fin_send(int fd, bool acked, struct error *err)
{
	int r = 0;

	if (acked)
		r = set_int(fd, TCP_REPAIR_QUEUE, QUEUE_SEND);
	if (r == 0 && shutdown(fd, SHUT_WR) < 0)
		r = -errno;
	if (acked)
		(void)set_int(fd, TCP_REPAIR_QUEUE, QUEUE_NONE);
	return step(r, "close the sending direction", err);
}

static struct tcp_segment segment_from_peer(const Img__InetSk *sk, const Img__TcpStream *ts,
					    const union sock_addr *local,
					    const union sock_addr *peer)
{
	return (struct tcp_segment){
		.from = *peer,
		.to = *local,
		.seq = seq_recv(sk, ts),
		.ack = seq_send(sk, ts) - ts->outq_len,
		.window = MIN(ts->rcv_wnd, (uint32_t)UINT16_MAX),
		.flags = TH_ACK,
	};
}

static int closing_restore(const Img__InetSk *sk, const Img__TcpStream *ts, int fd,
			   const union sock_addr *local, const union sock_addr *peer,
			   struct error *err)
{
	struct tcp_segment segment = segment_from_peer(sk, ts, local, peer);
	unsigned int state = S(sk->state);
	int r = 0;

	if (state & SENT_FIN_FIRST)
		r = fin_send(fd, state & SENT_FIN_ACKED, err);
	if (r == 0 && (state & GOT_FIN)) {
		segment.flags = TH_ACK | TH_FIN;
		r = tcp_inject(&segment, err);
		segment.seq++;
	}
	if (r == 0 && (state & SENT_FIN_SECOND))
		r = fin_send(fd, state & SENT_FIN_ACKED, err);
	if (r == 0 && (state & SENT_FIN_ACKED)) {
		segment.flags = TH_ACK;
		segment.ack++;
		r = tcp_inject(&segment, err);
	}
	return r;
}

int tcp_stream_finish(struct restore *rst, const Img__InetSk *sk, int fd,
		      const union sock_addr *local, const union sock_addr *peer, struct error *err)
{
	struct bytes queues, unsent;
	const Img__TcpStream *ts = stream_find(rst, sk, &queues, err);
	int r;

	if (!ts)
		return -err->errnum;
	if (sk->state == TCP_SYN_SENT) {
		(void)set_int(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
		if (connect(fd, &peer->sa, addr_len(peer)) < 0 && errno != EINPROGRESS)
			return error_errno(err, errno, "cannot connect");
		return 0;
	}
	unsent = (struct bytes){ queues.data + ts->inq_len + ts->outq_len - ts->unsq_len,
				 ts->unsq_len };
	if (unsent.len > 0) {
		r = set_int(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
		if (r == 0)
			r = queue_fill(fd, unsent, err);
		if (r == 0)
			r = set_int(fd, TCP_REPAIR, TCP_REPAIR_ON);
		if (r < 0)
			return step(r, "send what was not sent", err);
	}
	/* Older images have these here. */
	if (ts->has_nodelay && ts->nodelay)
		(void)set_int(fd, TCP_NODELAY, 1);
	if (ts->has_cork && ts->cork)
		(void)set_int(fd, TCP_CORK, 1);
	r = closing_restore(sk, ts, fd, local, peer, err);
	if (set_int(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP) < 0 && r == 0)
		r = error_errno(err, errno, "cannot leave repair mode");
	return r;
}

int tcp_stream_reset(struct restore *rst, const Img__InetSk *sk, int fd,
		     const union sock_addr *local, const union sock_addr *peer, struct error *err)
{
	struct bytes queues;
	const Img__TcpStream *ts = stream_find(rst, sk, &queues, err);
	struct tcp_segment segment;
	int r;

	if (!ts)
		return -err->errnum;
	if (set_int(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP) < 0)
		return error_errno(err, errno, "cannot leave repair mode");
	segment = segment_from_peer(sk, ts, local, peer);
	segment.seq = seq_recv(sk, ts) - ts->inq_len;
	segment.flags = TH_RST | TH_ACK;
	r = tcp_inject(&segment, err);
	return r;
}

int tcp_stream_ghost(struct restore *rst, const Img__InetSk *sk, const union sock_addr *local,
		     const union sock_addr *peer, int *ret_fd, struct error *err)
{
	_cleanup_close_ int fd = -1;
	struct bytes queues;
	const Img__TcpStream *ts = stream_find(rst, sk, &queues, err);
	int r;

	if (!ts)
		return -err->errnum;
	fd = socket(peer->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd < 0)
		return error_errno(err, errno, "cannot make a socket");
	r = step(set_int(fd, TCP_REPAIR, TCP_REPAIR_ON), "enter the mode", err);
	if (r < 0)
		return r;
	/* Not freebind: it shall fail for an address that is not of this namespace. */
	if (bind(fd, &peer->sa, addr_len(peer)) < 0)
		return -errno;
	r = seq_set(fd, QUEUE_RECV, seq_send(sk, ts) - ts->outq_len, err);
	if (r == 0)
		r = seq_set(fd, QUEUE_SEND, seq_recv(sk, ts), err);
	if (r == 0 && connect(fd, &local->sa, addr_len(local)) < 0)
		r = error_errno(err, errno, "cannot connect in repair mode");
	if (r == 0)
		r = options_set(fd, ts, err);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}
