/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socket: what sockets of every family share, in both directions.
 *
 * The index holds what NETLINK_SOCK_DIAG tells of the container's network namespace; everything
 * else is asked of our own duplicate of the descriptor (pidfd_getfd). A capture must leave no trace
 * on a live socket: nothing here consumes data, a pending error (never SO_ERROR, never a recv() on
 * an empty queue) or an option. A restore that cannot set one option notes it and goes on.
 */
#pragma once

#include "kernel/sock-diag.h"
#include "object/capture.h"
#include "object/restore.h"

struct tcp_guard;

struct sock_index {
	struct arena arena;
	int diag; /* NETLINK_SOCK_DIAG in the container's network namespace, -1 = could not be had
		   */
	struct tcp_guard *guard; /* object/tcp-guard.h; NULL = none */
	unsigned char
		*scratch; /* queues of a connection on their way; its pages are there already */
	size_t scratch_size;
	struct sock_unixes unixes;
	struct sock_inets datagrams; /* UDP and UDP-Lite: for their shutdown state only */
	struct sock_netlinks netlinks;
	struct sock_packets packets;
	bool has_unixes, has_datagrams, has_netlinks,
		has_packets; /* asked for, successful or not */
	/* descriptors that were in flight: the file index compares others with them until the end
	 */
	struct task *self; /* we, as the task that has them; made when needed */
	int *in_flight;
	size_t n_in_flight;
	/* entries of unix sockets; sock_index_finish() looks for other ends among them */
	Img__UnixSk **unix_entries;
	size_t n_unix_entries;
};

/*
 * sock_index_new - prepare cap->sockets; cap->ns is there. To be called before the stop: it forks.
 * The lists are asked for lazily, once, in the stop. Returns 0 or an error (want of memory only: a
 * kernel that cannot list sockets becomes a gap).
 */
int sock_index_new(struct capture *cap, struct error *err) _must_check_;

/* sock_index_free - NULL is accepted. Ends the guard process. The set must not be used any more. */
void sock_index_free(struct sock_index *index);

/*
 * sock_index_finish - after the last descriptor of the last task was captured, in the stop: sockets
 * whose other end lies outside of the container are told apart (an entry for the other end, as CRIU
 * has it, and a gap). Without an index it does nothing.
 */
int sock_index_finish(struct capture *cap, struct error *err) _must_check_;

/* sock_index_land - close the descriptors that were in flight: no longer than the stop may we hold
 * what the container's tasks may close. sock_index_finish() does it. */
void sock_index_land(struct sock_index *index);

/* Look-ups by inode number; NULL when the kernel does not list it (or cannot). */
const struct sock_unix *sock_index_unix(struct capture *cap, uint32_t ino);
const struct sock_inet *sock_index_datagram(struct capture *cap, uint32_t ino);
const struct sock_netlink *sock_index_netlink(struct capture *cap, uint32_t ino);
const struct sock_packet *sock_index_packet(struct capture *cap, uint32_t ino);

/* sock_match - is the description a socket of this domain (AF_*)? */
bool sock_match(const struct fd_facts *facts, int domain);

/* sock_gap - gap_add() with the socket's descriptor as subject. Returns CAPTURE_GAP or -ENOMEM. */
int sock_gap(struct capture *cap, const struct fd_facts *facts, enum gap_effect effect,
	     struct error *err, const char *fmt, ...) _printf_(5, 6);

/* sock_int - one integer option; def when the kernel refuses. */
int sock_int(int fd, int level, int name, int def);

/* sock_set_int - set one integer option. Returns 0 or -errno; sets no text. */
int sock_set_int(int fd, int level, int name, int value);

/* sock_net_ns_id - number of the network namespace for ns_id fields, 0 = the host's: leave it out.
 */
uint32_t sock_net_ns_id(const struct capture *cap);

/*
 * sock_opts_capture - every option of level SOL_SOCKET that an image holds.
 * Returns the message in the set's arena, NULL when out of memory (err is set).
 */
Img__SkOpts *sock_opts_capture(struct capture *cap, const struct fd_facts *facts, int family,
			       struct error *err) _must_check_;

/*
 * sock_opts_note - options that a program has set and the image format has no room for: one
 * cosmetic gap that names them. Kernel TLS, which is more than an option, is a degrading one.
 */
int sock_opts_note(struct capture *cap, const struct fd_facts *facts, int family, bool tcp,
		   struct error *err) _must_check_;

/*
 * sock_opts_restore - set them; SO_REUSEADDR and SO_REUSEPORT are left to the kind, because they
 * decide whether others may bind. What the kernel refuses becomes a note.
 * @subject: for notes
 */
void sock_opts_restore(struct restore *rst, int fd, const Img__SkOpts *opts, const char *subject);

/* sock_widen - room for a queue to be refilled without waiting: the greatest buffers, O_NONBLOCK.
 */
void sock_widen(int fd);

/* sock_shutdown_encode - the image's value of RCV_SHUTDOWN|SEND_SHUTDOWN bits (1, 2). */
Img__SkShutdown sock_shutdown_encode(unsigned int bits);

/* sock_shutdown_decode - SHUT_*, -1 for none. */
int sock_shutdown_decode(Img__SkShutdown how);
