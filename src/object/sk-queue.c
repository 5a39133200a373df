// SPDX-License-Identifier: Apache-2.0
/*
 * sk-queue: peeking at unix sockets without a trace, and refilling them.
 *
 * The peek offset (SO_PEEK_OFF) walks through the queue and is put back. A recv() that finds
 * nothing would take a pending error away from the program, so it is asked only for what the kernel
 * said is there. A datagram of no bytes behind others is not seen by such a peek; it is the one
 * thing that is lost here without a gap.
 */
#include "object/sk-queue.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "kernel/pidfd.h"
#include "kernel/proc.h"
#include "object/fd-capture.h"
#include "object/socket.h"

#define RIGHTS_MAX  253 /* SCM_MAX_FD */
#define PACKETS_MAX 65536
#define CONTROL_MAX (CMSG_SPACE(RIGHTS_MAX * sizeof(int)) + 4096)

/* We ourselves as a task, so that descriptors in flight, which are ours now, can be looked at. */
static struct task *self_task(struct capture *cap, const struct fd_facts *facts, struct error *err)
{
	struct sock_index *index = cap->sockets;
	struct task *self;

	if (index->self)
		return index->self;
	self = arena_new(&index->arena, struct task);
	if (!self) {
		(void)error_nomem(err);
		return NULL;
	}
	*self = (struct task){
		.pid = getpid(), .ns_pid = facts->task->ns_pid, .pidfd = -1, .proc_fd = -1
	};
	if (pidfd_open_process(self->pid, &self->pidfd, err) < 0)
		return NULL;
	if (proc_open(self->pid, &self->proc_fd, err) < 0) {
		close(self->pidfd);
		return NULL;
	}
	index->self = self;
	return self;
}

/* The descriptors belong to the index from here on. */
static int flight_keep(struct sock_index *index, const int *fds, size_t n, struct error *err)
{
	int *more = realloc(index->in_flight, (index->n_in_flight + n) * sizeof(int));

	if (!more) {
		size_t i;

		for (i = 0; i < n; i++)
			close(fds[i]);
		return error_nomem(err);
	}
	memcpy(more + index->n_in_flight, fds, n * sizeof(int));
	index->in_flight = more;
	index->n_in_flight += n;
	return 0;
}

/* One descriptor in flight: 0 with its id, CAPTURE_GAP, or an error. */
static int flight_one(struct capture *cap, const struct fd_facts *facts, int fd, uint32_t *ret_id,
		      struct error *err)
{
	struct task *self = self_task(cap, facts, err);
	struct fd_facts flying;
	Img__FdTypes type;
	int r;

	if (!self)
		return -EIO;
	r = fd_facts_gather(self, fd, &cap->sockets->arena, &flying, err);
	if (r)
		return r < 0 ? r : CAPTURE_GAP;
	r = fd_capture_facts(cap, &flying, ret_id, &type, err);
	close(flying.dup);
	return r;
}

static int rights_capture(struct capture *cap, const struct fd_facts *facts, const int *fds,
			  size_t n, Img__SkPacket *packet, struct error *err)
{
	Img__Scm *scm = img_new(cap->set, Img__Scm, scm);
	size_t i;
	int r;

	r = flight_keep(cap->sockets, fds, n, err);
	if (r < 0)
		return r;
	if (!scm)
		return error_nomem(err);
	scm->type = SCM_RIGHTS;
	scm->rights = arena_array(&cap->set->arena, uint32_t, n);
	packet->scm = arena_array(&cap->set->arena, Img__Scm *, 1);
	if (!scm->rights || !packet->scm)
		return error_nomem(err);
	for (i = 0; i < n; i++) {
		r = flight_one(cap, facts, fds[i], &scm->rights[scm->n_rights], err);
		if (r < 0)
			return r;
		if (r == 0) {
			scm->n_rights++;
			continue;
		}
		r = sock_gap(cap, facts, GAP_DEGRADED, err,
			     "a descriptor in flight in it is not captured");
		if (r < 0)
			return r;
	}
	if (scm->n_rights) {
		packet->scm[0] = scm;
		packet->n_scm = 1;
	}
	return 0;
}

/* Of all control messages only descriptors are kept; credentials come anew with the sending. */
static int control_capture(struct capture *cap, const struct fd_facts *facts, struct msghdr *msg,
			   Img__SkPacket *packet, struct error *err)
{
	struct cmsghdr *c;
	int fds[RIGHTS_MAX];
	size_t n;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = MIN((c->cmsg_len - CMSG_LEN(0)) / sizeof(int), (size_t)RIGHTS_MAX);
		memcpy(fds, CMSG_DATA(c), n * sizeof(int));
		return rights_capture(cap, facts, fds, n, packet, err);
	}
	return 0;
}

/* Bytes of the next packet from the peek offset on; of a stream, of everything. */
static ssize_t next_length(int fd, int type, int left)
{
	struct msghdr none = { 0 };
	ssize_t n;

	if (type == SOCK_STREAM)
		return left;
	n = recvmsg(fd, &none, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);
	return n < 0 ? -errno : n;
}

/* The next packet. 1: one was taken; 0: there is none any more; or an error. */
static int packet_capture(struct capture *cap, const struct fd_facts *facts, int type, int *left,
			  struct error *err)
{
	union {
		struct cmsghdr align;
		char bytes[CONTROL_MAX];
	} control;
	ssize_t n = next_length(facts->dup, type, *left);
	Img__SkPacket *packet;
	struct iovec iov = { .iov_len = n > 0 ? n : 0 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	int r;

	if (n < 0 || (n == 0 && type != SOCK_DGRAM))
		return 0;
	packet = img_new(cap->set, Img__SkPacket, sk_packet);
	iov.iov_base = arena_alloc(&cap->set->arena, MAX(n, (ssize_t)1));
	if (!packet || !iov.iov_base)
		return error_nomem(err);
	n = recvmsg(facts->dup, &msg, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 || (n == 0 && type != SOCK_DGRAM))
		return 0;
	*left -= n;
	packet->id_for = facts->id;
	packet->length = n;
	r = control_capture(cap, facts, &msg, packet, err);
	if (r < 0)
		return r;
	r = image_add(cap->set, IMAGE_SK_QUEUES, 0, &packet->base,
		      (struct bytes){ iov.iov_base, n }, err);
	return r < 0 ? r : 1;
}

int sock_queue_capture(struct capture *cap, const struct fd_facts *facts, int type,
		       struct error *err)
{
	struct pollfd pfd = { .fd = facts->dup, .events = POLLIN };
	int before = sock_int(facts->dup, SOL_SOCKET, SO_PEEK_OFF, -1);
	int left = 0, packets = 0, r;

	if (ioctl(facts->dup, SIOCINQ, &left) < 0 || poll(&pfd, 1, 0) < 0)
		return 0;
	if (pfd.revents & POLLERR) {
		r = sock_gap(cap, facts, GAP_COSMETIC, err,
			     "an error waits on it for the program; the copy will not see it");
		if (r < 0)
			return r;
		/* With datagrams any recv() would take the error first. */
		if (type == SOCK_DGRAM)
			return 0;
	}
	if (left <= 0 && !(type == SOCK_DGRAM && (pfd.revents & POLLIN)))
		return 0;
	r = sock_set_int(facts->dup, SOL_SOCKET, SO_PEEK_OFF, 0);
	if (r < 0) {
		r = sock_gap(cap, facts, GAP_DEGRADED, err, "its queue cannot be read: %s",
			     strerror(-r));
		return r < 0 ? r : 0;
	}
	do
		r = packet_capture(cap, facts, type, &left, err);
	while (r > 0 && (type == SOCK_DGRAM || left > 0) && ++packets < PACKETS_MAX);
	(void)sock_set_int(facts->dup, SOL_SOCKET, SO_PEEK_OFF, before);
	return r < 0 ? r : 0;
}

bool sock_queue_has(const struct image_set *set, uint32_t id)
{
	const struct image *image = image_find(set, IMAGE_SK_QUEUES, 0);
	size_t i;

	for (i = 0; image && i < image->n_entries; i++) {
		const Img__SkPacket *packet = image_message(image, i);

		if (packet && packet->id_for == id)
			return true;
	}
	return false;
}

/* The control message with the descriptors of a packet. Returns its length, 0 for none. */
static size_t rights_restore(struct restore *rst, const Img__SkPacket *packet, void *control,
			     const char *subject)
{
	struct cmsghdr *c = control;
	int fds[RIGHTS_MAX];
	size_t i, n = 0;

	if (packet->n_scm == 0 || packet->scm[0]->type != SCM_RIGHTS)
		return 0;
	for (i = 0; i < packet->scm[0]->n_rights && n < RIGHTS_MAX; i++) {
		const struct restore_file *file = restore_file_find(rst, packet->scm[0]->rights[i]);

		if (file && file->fd >= 0)
			fds[n++] = file->fd;
		else
			restore_gap(rst, GAP_DEGRADED, "socket", 0, subject,
				    "descriptor of file %u in flight in it is lost",
				    packet->scm[0]->rights[i]);
	}
	if (n == 0)
		return 0;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	return CMSG_SPACE(n * sizeof(int));
}

static int packet_send(struct restore *rst, const Img__SkPacket *packet, struct bytes data, int fd,
		       const char *subject)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(RIGHTS_MAX * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = (void *)data.data, .iov_len = packet->length };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (packet->length > data.len)
		return -EINVAL;
	memset(&control, 0, sizeof(control));
	msg.msg_controllen = rights_restore(rst, packet, &control, subject);
	msg.msg_control = msg.msg_controllen ? &control : NULL;
	do {
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= n;
		msg.msg_controllen = 0;
		msg.msg_control = NULL;
	} while (iov.iov_len > 0);
	return 0;
}

int sock_queue_restore(struct restore *rst, uint32_t id, int fd, const char *subject,
		       struct error *err)
{
	const struct image *image = image_find(rst->set, IMAGE_SK_QUEUES, 0);
	size_t i;
	int r;

	for (i = 0; image && i < image->n_entries; i++) {
		const Img__SkPacket *packet = image_message(image, i);

		if (!packet || packet->id_for != id)
			continue;
		r = packet_send(rst, packet, image->entries[i].extra, fd, subject);
		if (r < 0)
			restore_gap(rst, GAP_DEGRADED, "socket", 0, subject,
				    "%u bytes that it had not read yet are lost: %s",
				    packet->length, strerror(-r));
	}
	return 0;
}
