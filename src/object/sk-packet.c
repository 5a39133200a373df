// SPDX-License-Identifier: Apache-2.0
/*
 * sk-packet: packet sockets, both directions.
 *
 * Rings (mapped queues) are not brought back with their contents; frames that wait are not kept.
 */
#include "object/sk-kinds.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/packet_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "object/fown.h"
#include "object/socket.h"

#define MC_ADDR_MAX 32

static bool packet_match(const struct fd_facts *facts)
{
	return sock_match(facts, AF_PACKET);
}

static int mclist_capture(struct capture *cap, const struct sock_packet *diag, Img__PacketSock *sk,
			  struct error *err)
{
	size_t i;

	if (diag->n_mclist == 0)
		return 0;
	sk->mclist = arena_array(&cap->set->arena, Img__PacketMclist *, diag->n_mclist);
	if (!sk->mclist)
		return error_nomem(err);
	for (i = 0; i < diag->n_mclist; i++) {
		Img__PacketMclist *mc = img_new(cap->set, Img__PacketMclist, packet_mclist);
		size_t len = MIN((size_t)diag->mclist[i].alen, sizeof(diag->mclist[i].addr));

		if (!mc)
			return error_nomem(err);
		mc->index = diag->mclist[i].ifindex;
		mc->type = diag->mclist[i].type;
		mc->addr.data = arena_memdup(&cap->set->arena, diag->mclist[i].addr, len);
		mc->addr.len = len;
		if (!mc->addr.data)
			return error_nomem(err);
		sk->mclist[sk->n_mclist++] = mc;
	}
	return 0;
}

static int diag_capture(struct capture *cap, const struct fd_facts *facts, Img__PacketSock *sk,
			struct error *err)
{
	const struct sock_packet *diag = sock_index_packet(cap, facts->st.st_ino);
	int r;

	if (!diag) {
		r = sock_gap(cap, facts, GAP_DEGRADED, err,
			     "it is not in the kernel's list; its device and memberships are lost");
		return r < 0 ? r : 0;
	}
	sk->protocol = htons(diag->protocol);
	sk->ifindex = diag->ifindex;
	sk->version = diag->version;
	sk->reserve = diag->reserve;
	sk->timestamp = diag->tstamp;
	sk->copy_thresh = diag->copy_thresh;
	sk->aux_data = (diag->flags & PDI_AUXDATA) != 0;
	sk->orig_dev = (diag->flags & PDI_ORIGDEV) != 0;
	sk->vnet_hdr = (diag->flags & PDI_VNETHDR) != 0;
	sk->loss = (diag->flags & PDI_LOSS) != 0;
	sk->has_fanout = diag->has_fanout;
	if (diag->has_fanout)
		sk->fanout = diag->fanout;
	r = mclist_capture(cap, diag, sk, err);
	if (r == 0 && (diag->has_rx_ring || diag->has_tx_ring)) {
		r = sock_gap(cap, facts, GAP_DEGRADED, err, "its ring is not captured");
		r = r < 0 ? r : 0;
	}
	return r;
}

static int packet_capture(struct capture *cap, const struct fd_facts *facts, Img__FileEntry *entry,
			  struct error *err)
{
	Img__PacketSock *sk = img_new(cap->set, Img__PacketSock, packet_sock);
	int r;

	if (!sk)
		return error_nomem(err);
	sk->id = facts->id;
	sk->type = sock_int(facts->dup, SOL_SOCKET, SO_TYPE, 0);
	sk->flags = facts->flags & ~O_CLOEXEC;
	sk->ns_id = sock_net_ns_id(cap);
	sk->has_ns_id = sk->ns_id != 0;
	r = fown_capture(cap, facts, &sk->fown, err);
	if (r < 0)
		return r;
	sk->opts = sock_opts_capture(cap, facts, AF_PACKET, err);
	if (!sk->opts)
		return -ENOMEM;
	r = diag_capture(cap, facts, sk, err);
	if (r == 0)
		entry->psk = sk;
	return r;
}

static void options_restore(struct restore *rst, const Img__PacketSock *sk, int fd,
			    const char *subject)
{
	const struct {
		int name, value;
		bool wanted;
	} options[] = {
		{ PACKET_VERSION, sk->version, true },
		{ PACKET_RESERVE, sk->reserve, sk->reserve != 0 },
		{ PACKET_TIMESTAMP, sk->timestamp, sk->timestamp != 0 },
		{ PACKET_COPY_THRESH, sk->copy_thresh, sk->copy_thresh != 0 },
		{ PACKET_AUXDATA, 1, sk->aux_data },
		{ PACKET_ORIGDEV, 1, sk->orig_dev },
		{ PACKET_VNET_HDR, 1, sk->vnet_hdr },
		{ PACKET_LOSS, 1, sk->loss },
		{ PACKET_FANOUT, sk->fanout, sk->has_fanout },
	};
	size_t i;
	int r;

	for (i = 0; i < ARRAY_SIZE(options); i++) {
		r = options[i].wanted
			    ? sock_set_int(fd, SOL_PACKET, options[i].name, options[i].value)
			    : 0;
		if (r < 0)
			restore_gap(rst, GAP_COSMETIC, "socket", 0, subject,
				    "packet option %d cannot be set: %s", options[i].name,
				    strerror(-r));
	}
}

static void mclist_restore(struct restore *rst, const Img__PacketSock *sk, int fd,
			   const char *subject)
{
	struct {
		int ifindex;
		unsigned short type, alen;
		unsigned char address[MC_ADDR_MAX];
	} mreq;
	size_t i;

	for (i = 0; i < sk->n_mclist; i++) {
		const Img__PacketMclist *mc = sk->mclist[i];

		if (mc->addr.len > sizeof(mreq.address))
			continue;
		memset(&mreq, 0, sizeof(mreq));
		mreq.ifindex = mc->index;
		mreq.type = mc->type;
		mreq.alen = mc->addr.len;
		memcpy(mreq.address, mc->addr.data, mc->addr.len);
		if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mreq, sizeof(mreq)) < 0)
			restore_gap(rst, GAP_COSMETIC, "socket", 0, subject,
				    "a membership cannot be had: %s", strerror(errno));
	}
}

static int packet_open(struct restore *rst, Img__FileEntry *entry, int *ret_fd, struct error *err)
{
	const Img__PacketSock *sk = entry->psk;
	struct sockaddr_ll addr = { .sll_family = AF_PACKET };
	_cleanup_close_ int fd = -1;
	char subject[64];
	int r;

	if (!sk)
		return error_set(err, ERROR_INPUT, EINVAL, "file %u is no packet socket",
				 entry->id);
	(void)snprintf(subject, sizeof(subject), "packet socket (file %u)", sk->id);
	fd = socket(AF_PACKET, sk->type | SOCK_CLOEXEC, sk->protocol);
	addr.sll_ifindex = sk->ifindex;
	if (fd < 0 || (sk->ifindex && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)) {
		restore_gap(rst, GAP_DEGRADED, "socket", 0, subject, "it cannot be made: %s",
			    strerror(errno));
		return RESTORE_GAP;
	}
	options_restore(rst, sk, fd, subject);
	mclist_restore(rst, sk, fd, subject);
	if (sk->rx_ring || sk->tx_ring)
		restore_gap(rst, GAP_DEGRADED, "socket", 0, subject, "its ring is not restored");
	sock_opts_restore(rst, fd, sk->opts, subject);
	r = file_params_restore(fd, sk->flags, sk->fown, err);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int packet_attach(struct restore *rst, struct restore_task *task, Img__FileEntry *entry,
			 int fd, struct error *err)
{
	return entry->psk ? fown_attach(rst, task, entry->psk->fown, fd, err) : 0;
}

const struct fd_kind sk_packet_kind = {
	.name = "packet-socket",
	.type = IMG__FD_TYPES__PACKETSK,
	.match = packet_match,
	.capture = packet_capture,
	.open = packet_open,
	.attach = packet_attach,
};
