// SPDX-License-Identifier: Apache-2.0
/*
 * sk-unix-restore: bringing sockets of AF_UNIX back.
 *
 * They hang together, so the first open() makes them all and the first connect() refills them all;
 * the calls for the others only hand over. An accepted socket has the name of the listener it came
 * from: such pairs are made by connecting to that listener (or to one that lives for a moment) and
 * accepting. All ends are made by the sandbox's root task: SO_PEERCRED tells its pid, not that of
 * the original.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "object/fown.h"
#include "object/sk-queue.h"
#include "object/sk-unix-name.h"
#include "object/sk-unix.h"
#include "object/socket.h"

/* One unix socket of the images. */
struct node {
	const Img__UnixSk *sk;
	uint32_t id;
	struct node *peer;	 /* the entry of its other end, NULL = none */
	struct unix_place place; /* where it is bound */
	int fd;			 /* made and not handed over yet */
	int far; /* an end without an entry that still has something to send; -1 = none */
	bool made;
	bool late; /* a datagram socket to be connected when the queues are full */
	char subject[64];
};

struct unix_pool {
	struct node *nodes;
	size_t n_nodes;
	bool refilled;
};

static bool is_extern(const struct node *node)
{
	return node->sk->uflags & UNIX_UFLAG_EXTERN;
}

static bool is_stream(const struct node *node)
{
	return node->sk->type != SOCK_DGRAM;
}

static bool is_mutual(const struct node *node)
{
	return node->peer && node->peer != node && node->peer->peer == node;
}

static struct node *node_by_ino(struct unix_pool *pool, uint32_t ino)
{
	size_t i;

	for (i = 0; i < pool->n_nodes; i++)
		if (pool->nodes[i].sk->ino == ino)
			return &pool->nodes[i];
	return NULL;
}

static struct node *node_by_id(struct unix_pool *pool, uint32_t id)
{
	size_t i;

	for (i = 0; pool && i < pool->n_nodes; i++)
		if (pool->nodes[i].id == id)
			return &pool->nodes[i];
	return NULL;
}

static int sock_new(const struct node *node, struct error *err)
{
	int fd = socket(AF_UNIX, node->sk->type | SOCK_CLOEXEC, 0);

	return fd < 0 ? error_errno(err, errno, "%s: cannot make it", node->subject) : fd;
}

static int pair_new(const struct node *node, int fds[2], struct error *err)
{
	if (socketpair(AF_UNIX, node->sk->type | SOCK_CLOEXEC, 0, fds) < 0)
		return error_errno(err, errno, "%s: cannot make a pair", node->subject);
	return 0;
}

static int node_bind(struct restore *rst, struct node *node, struct error *err)
{
	int r = unix_place_bind(rst, &node->place, node->sk, node->fd, node->subject, err);

	return r < 0 ? r : 0;
}

/* --- datagrams */

/* One that has something to read and no partner gets a sender for a while, which a pair provides:
 * nothing else reaches a socket without a name. */
static int dgram_make(struct restore *rst, struct node *node, struct error *err)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int fds[2], r;

	if (is_mutual(node)) {
		r = pair_new(node, fds, err);
		if (r < 0)
			return r;
		node->fd = fds[0];
		node->peer->fd = fds[1];
		node->made = node->peer->made = true;
		r = node_bind(rst, node, err);
		return r < 0 ? r : node_bind(rst, node->peer, err);
	}
	node->made = true;
	node->late = node->peer && !is_extern(node->peer);
	if (node->peer && is_extern(node->peer)) {
		r = pair_new(node, fds, err);
		if (r < 0)
			return r;
		node->fd = fds[0];
		node->far = fds[1];
		return node_bind(rst, node, err);
	}
	if (!sock_queue_has(rst->set, node->id)) {
		node->fd = sock_new(node, err);
		return node->fd < 0 ? node->fd : node_bind(rst, node, err);
	}
	r = pair_new(node, fds, err);
	if (r < 0)
		return r;
	node->fd = fds[0];
	node->far = fds[1];
	if (connect(node->fd, &none, sizeof(none.sa_family)) < 0)
		return error_errno(err, errno, "%s: cannot part a pair", node->subject);
	return node_bind(rst, node, err);
}

/* --- streams and seqpackets */

static bool same_name(const struct node *a, const struct node *b)
{
	return a->sk->name.len == b->sk->name.len && a->sk->type == b->sk->type &&
	       memcmp(a->sk->name.data, b->sk->name.data, a->sk->name.len) == 0;
}

static struct node *listener_of(struct unix_pool *pool, const struct node *named)
{
	size_t i;

	for (i = 0; i < pool->n_nodes; i++)
		if (pool->nodes[i].sk->state == TCP_LISTEN && !is_extern(&pool->nodes[i]) &&
		    pool->nodes[i].fd >= 0 && same_name(&pool->nodes[i], named))
			return &pool->nodes[i];
	return NULL;
}

static int listener_make(struct restore *rst, struct node *node, struct error *err)
{
	int r;

	node->made = true;
	node->fd = sock_new(node, err);
	r = node->fd < 0 ? node->fd : node_bind(rst, node, err);
	if (r == 0 && listen(node->fd, node->sk->backlog) < 0)
		restore_gap(rst, GAP_DEGRADED, "socket", 0, node->subject, "it cannot listen: %s",
			    strerror(errno));
	return r;
}

/* Connect client to where server's name leads, and accept: the accepted end has that name. */
static int meet(struct restore *rst, struct unix_pool *pool, struct node *server, int client,
		int *ret_accepted, struct error *err)
{
	struct node *listener = listener_of(pool, server);
	struct unix_place place = { 0 };
	_cleanup_close_ int temporary = -1;
	int r;

	if (!listener) {
		temporary = sock_new(server, err);
		if (temporary < 0)
			return temporary;
		r = unix_place_bind(rst, &place, server->sk, temporary, server->subject, err);
		if (r)
			return r;
		if (listen(temporary, 1) < 0)
			return error_errno(err, errno, "%s: cannot listen", server->subject);
	}
	r = unix_place_connect(listener ? &listener->place : &place, client);
	if (!listener)
		unix_place_finish(&place);
	if (r < 0)
		return error_errno(err, -r, "%s: cannot connect to it", server->subject);
	*ret_accepted = accept4(listener ? listener->fd : temporary, NULL, NULL, SOCK_CLOEXEC);
	if (*ret_accepted < 0)
		return error_errno(err, errno, "%s: cannot accept", server->subject);
	return 0;
}

/* The end of a pair that was accepted: the one whose name a listener has, else a named one. */
static struct node *server_of(struct unix_pool *pool, struct node *a, struct node *b)
{
	if (a->sk->name.len && listener_of(pool, a))
		return a;
	if (b && b->sk->name.len && listener_of(pool, b))
		return b;
	if (a->sk->name.len)
		return a;
	return b && b->sk->name.len ? b : NULL;
}

/* A connected node and its other end; where that has no entry, it becomes node->far. */
static int stream_make(struct restore *rst, struct unix_pool *pool, struct node *node,
		       struct error *err)
{
	struct node *other = is_mutual(node) ? node->peer : NULL;
	struct node *server = server_of(pool, node, other);
	int *near = &node->fd, *far = other ? &other->fd : &node->far;
	int fds[2], r = RESTORE_GAP;

	node->made = true;
	if (other)
		other->made = true;
	if (server) {
		struct node *client = server == node ? other : node;
		int *client_fd = server == node ? far : near;

		*client_fd = sock_new(node, err);
		if (*client_fd < 0)
			return *client_fd;
		r = client ? node_bind(rst, client, err) : 0;
		if (r == 0)
			r = meet(rst, pool, server, *client_fd, server == node ? near : far, err);
		if (r < 0)
			return r;
		if (r == RESTORE_GAP)
			close(*client_fd);
	}
	if (r == RESTORE_GAP) { /* nameless, or names that cannot be had */
		r = pair_new(node, fds, err);
		if (r < 0)
			return r;
		*near = fds[0];
		*far = fds[1];
	}
	return 0;
}

/* Not accepted yet: connect, and leave it waiting. */
static int pending_make(struct restore *rst, struct node *node, struct error *err)
{
	int r;

	node->made = true;
	node->fd = sock_new(node, err);
	r = node->fd < 0 ? node->fd : node_bind(rst, node, err);
	if (r < 0)
		return r;
	r = unix_place_connect(&node->peer->place, node->fd);
	if (r < 0)
		restore_gap(rst, GAP_DEGRADED, "socket", 0, node->subject,
			    "it cannot wait at its listener again: %s", strerror(-r));
	return 0;
}

static int stream_node_make(struct restore *rst, struct unix_pool *pool, struct node *node,
			    struct error *err)
{
	int r;

	if (node->peer && node->peer->sk->state == TCP_LISTEN && !is_extern(node->peer))
		return pending_make(rst, node, err);
	if (node->sk->state == TCP_ESTABLISHED)
		return stream_make(rst, pool, node, err);
	node->made = true;
	node->fd = sock_new(node, err);
	r = node->fd < 0 ? node->fd : node_bind(rst, node, err);
	return r;
}

/* --- all of them */

static int pool_new(struct restore *rst, struct error *err)
{
	struct arena *arena = &rst->set->arena;
	struct unix_pool *pool = arena_new(arena, struct unix_pool);
	size_t i;

	if (!pool)
		return error_nomem(err);
	pool->nodes = arena_array(arena, struct node, rst->n_files + 1);
	if (!pool->nodes)
		return error_nomem(err);
	for (i = 0; i < rst->n_files; i++) {
		const Img__FileEntry *entry = rst->files[i].entry;
		struct node *node = &pool->nodes[pool->n_nodes];

		if (entry->type != IMG__FD_TYPES__UNIXSK || !entry->usk)
			continue;
		pool->n_nodes++;
		node->sk = entry->usk;
		node->id = entry->id;
		node->fd = node->far = -1;
		(void)snprintf(node->subject, sizeof(node->subject), "unix socket %u (file %u)",
			       node->sk->ino, node->id);
	}
	for (i = 0; i < pool->n_nodes; i++)
		if (pool->nodes[i].sk->peer)
			pool->nodes[i].peer = node_by_ino(pool, pool->nodes[i].sk->peer);
	rst->unixes = pool;
	return 0;
}

/* In this order: names of deleted files first (they must make room), then listeners, then the rest.
 */
static int pool_round(struct restore *rst, struct unix_pool *pool, bool deleted, bool listeners,
		      struct error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; i < pool->n_nodes && r == 0; i++) {
		struct node *node = &pool->nodes[i];

		if (node->made || is_extern(node))
			continue;
		if (listeners) {
			if (node->sk->state == TCP_LISTEN &&
			    deleted == (node->sk->has_deleted && node->sk->deleted))
				r = listener_make(rst, node, err);
			continue;
		}
		if (deleted != (node->sk->has_deleted && node->sk->deleted))
			continue;
		r = is_stream(node) ? stream_node_make(rst, pool, node, err)
				    : dgram_make(rst, node, err);
	}
	return r;
}

static int pool_make(struct restore *rst, struct error *err)
{
	int r = pool_new(rst, err);

	if (r == 0)
		r = pool_round(rst, rst->unixes, true, true, err);
	if (r == 0)
		r = pool_round(rst, rst->unixes, true, false, err);
	if (r == 0)
		r = pool_round(rst, rst->unixes, false, true, err);
	if (r == 0)
		r = pool_round(rst, rst->unixes, false, false, err);
	return r;
}

int sk_unix_open(struct restore *rst, Img__FileEntry *entry, int *ret_fd, struct error *err)
{
	struct node *node;
	int r;

	if (!rst->unixes) {
		r = pool_make(rst, err);
		if (r < 0)
			return r;
	}
	node = node_by_id(rst->unixes, entry->id);
	if (!node)
		return error_set(err, ERROR_INPUT, EINVAL, "file %u is no unix socket", entry->id);
	if (node->fd < 0)
		return RESTORE_GAP;
	*ret_fd = TAKE_FD(node->fd);
	return 0;
}

static int node_fd(struct restore *rst, const struct node *node)
{
	const struct restore_file *file = restore_file_find(rst, node->id);

	return file ? file->fd : -1;
}

/* The other end sends; afterwards the end without an entry goes, or stays silent for ever. */
static int node_refill(struct restore *rst, struct node *node, struct error *err)
{
	int from = node->far;
	int r = 0;

	if (from < 0 && node->peer && (is_mutual(node) || node->peer->peer == node))
		from = node_fd(rst, node->peer);
	if (from >= 0 && sock_queue_has(rst->set, node->id)) {
		sock_widen(from);
		sock_widen(node_fd(rst, node));
		r = sock_queue_restore(rst, node->id, from, node->subject, err);
	}
	if (node->far < 0)
		return r;
	if (node->peer && is_extern(node->peer))
		restore_hold(rst, node->far, !is_stream(node));
	else
		close(node->far);
	node->far = -1;
	return r;
}

static int pool_refill(struct restore *rst, struct unix_pool *pool, struct error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; i < pool->n_nodes && r == 0; i++)
		if (!is_extern(&pool->nodes[i]) && node_fd(rst, &pool->nodes[i]) >= 0)
			r = node_refill(rst, &pool->nodes[i], err);
	for (i = 0; i < pool->n_nodes; i++) {
		struct node *node = &pool->nodes[i];
		int c;

		if (!node->late || node_fd(rst, node) < 0)
			continue;
		c = unix_place_connect(&node->peer->place, node_fd(rst, node));
		if (c < 0)
			restore_gap(rst, GAP_DEGRADED, "socket", 0, node->subject,
				    "it cannot be connected again: %s", strerror(-c));
	}
	for (i = 0; i < pool->n_nodes; i++)
		unix_place_finish(&pool->nodes[i].place);
	pool->refilled = true;
	return r;
}

int sk_unix_connect(struct restore *rst, Img__FileEntry *entry, int fd, struct error *err)
{
	const Img__UnixSk *sk = entry->usk;
	struct node *node = node_by_id(rst->unixes, entry->id);
	int how, r;

	if (!sk || !node || !rst->unixes)
		return 0;
	if (!rst->unixes->refilled) {
		r = pool_refill(rst, rst->unixes, err);
		if (r < 0)
			return r;
	}
	sock_opts_restore(rst, fd, sk->opts, node->subject);
	if (sk->opts->reuseaddr)
		(void)sock_set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	how = sk->has_shutdown ? sock_shutdown_decode(sk->shutdown) : -1;
	/* Refused when the other end has gone, which closes both directions anyway. */
	if (how >= 0)
		(void)shutdown(fd, how);
	return file_params_restore(fd, sk->flags, sk->fown, err);
}

int sk_unix_attach(struct restore *rst, struct restore_task *task, Img__FileEntry *entry, int fd,
		   struct error *err)
{
	return entry->usk ? fown_attach(rst, task, entry->usk->fown, fd, err) : 0;
}
