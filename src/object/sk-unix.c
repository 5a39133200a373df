// SPDX-License-Identifier: Apache-2.0
/*
 * sk-unix: sockets of AF_UNIX: stream, datagram, seqpacket.
 *
 * Here is the capture; bringing them back is sk-unix-restore.c. Who is connected to whom only the
 * kernel's list tells (inode numbers of both ends), so a socket that it does not list is written as
 * one whose other end is gone. Ends outside of the container are known when all descriptors have
 * been seen.
 */
#include "object/sk-unix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "object/file-index.h"
#include "object/fown.h"
#include "object/sk-kinds.h"
#include "object/sk-queue.h"
#include "object/socket.h"

#ifndef SIOCUNIXFILE
#define SIOCUNIXFILE (SIOCPROTOPRIVATE + 0) /* the socket's file, O_PATH */
#endif

static bool unix_match(const struct fd_facts *facts)
{
	return sock_match(facts, AF_UNIX);
}

/* The name as bind() took it: paths with their NUL, abstract names with one in front. */
static int name_capture(struct capture *cap, int fd, Img__UnixSk *sk, struct error *err)
{
	struct sockaddr_un addr;
	socklen_t len = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return error_errno(err, errno, "cannot read the name of a unix socket");
	if (len <= offsetof(struct sockaddr_un, sun_path))
		return 0;
	len = MIN(len, (socklen_t)sizeof(addr)) - offsetof(struct sockaddr_un, sun_path);
	sk->name.data = arena_memdup(&cap->set->arena, addr.sun_path, len);
	if (!sk->name.data)
		return error_nomem(err);
	sk->name.len = len;
	return 0;
}

/* The directory of a relative name: what stands before it in the whole path. */
static int name_dir_capture(struct capture *cap, Img__UnixSk *sk, char *path, struct error *err)
{
	size_t len = strlen(path), name_len = strnlen((char *)sk->name.data, sk->name.len);

	if (name_len + 1 > len || memcmp(path + len - name_len, sk->name.data, name_len) != 0)
		return 0; /* renamed since */
	path[len - name_len - 1] = '\0';
	sk->name_dir = arena_strdup(&cap->set->arena, *path ? path : "/");
	return sk->name_dir ? 0 : error_nomem(err);
}

/* The file of a bound socket: its mount, owner and mode, and whether it is still there. */
static int file_capture(struct capture *cap, const struct fd_facts *facts, Img__UnixSk *sk,
			struct error *err)
{
	static const char deleted[] = " (deleted)";
	_cleanup_close_ int file = -1;
	char link[64], path[4096];
	struct statx sx;
	size_t len;
	int r;

	file = ioctl(facts->dup, SIOCUNIXFILE);
	if (file < 0) {
		r = sock_gap(cap, facts, GAP_COSMETIC, err, "its file cannot be looked at: %s",
			     strerror(errno));
		return r < 0 ? r : 0;
	}
	if (statx(file, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, &sx) < 0)
		return error_errno(err, errno, "cannot stat the file of a unix socket");
	sk->file_perms = img_new(cap->set, Img__FilePerms, file_perms);
	if (!sk->file_perms)
		return error_nomem(err);
	sk->file_perms->mode = sx.stx_mode;
	sk->file_perms->uid = sx.stx_uid;
	sk->file_perms->gid = sx.stx_gid;
	/* Mounts are named only where the images hold them: CRIU looks every one up. */
	if ((sx.stx_mask & STATX_MNT_ID) && !cap->ns[NS_MNT].own) {
		sk->has_mnt_id = true;
		sk->mnt_id = sx.stx_mnt_id;
	}
	sk->has_deleted = sk->deleted = sx.stx_nlink == 0;
	if (sk->name.data[0] == '/')
		return 0;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
	r = fd_readlink(AT_FDCWD, link, path, sizeof(path), err);
	if (r < 0)
		return r;
	len = strlen(path);
	if (sk->deleted && len > strlen(deleted))
		path[len - strlen(deleted)] = '\0';
	return name_dir_capture(cap, sk, path, err);
}

/* The listener that a connection still waits at, NULL when there is none. */
static const struct sock_unix *listener_of(struct capture *cap, uint32_t client)
{
	const struct sock_unixes *all = &cap->sockets->unixes;
	size_t i, k;

	for (i = 0; i < all->n_socks; i++)
		for (k = 0; k < all->socks[i].n_icons; k++)
			if (all->socks[i].icons[k] == client)
				return &all->socks[i];
	return NULL;
}

/* Connected, and the kernel names no other end: not accepted yet, or the other end has closed. */
static int dangling_capture(struct capture *cap, const struct fd_facts *facts, Img__UnixSk *sk,
			    const struct sock_unix *diag, struct error *err)
{
	const struct sock_unix *listener = listener_of(cap, sk->ino);
	int r = 0;

	if (!listener)
		return 0;
	sk->peer = listener->ino;
	if (diag->wqueue)
		r = sock_gap(cap, facts, GAP_DEGRADED, err,
			     "what it sent before it was accepted is lost");
	return r < 0 ? r : 0;
}

static int state_capture(struct capture *cap, const struct fd_facts *facts, Img__UnixSk *sk,
			 struct error *err)
{
	const struct sock_unix *diag = sock_index_unix(cap, sk->ino);
	int r;

	if (!diag) {
		bool listens = sock_int(facts->dup, SOL_SOCKET, SO_ACCEPTCONN, 0) == 1;

		r = sock_gap(cap, facts, GAP_DEGRADED, err,
			     "it is not in the network namespace's list (is it of another?); its "
			     "other end is not known");
		sk->state = listens ? TCP_LISTEN : TCP_CLOSE;
		sk->backlog = listens ? SOMAXCONN : 0;
		return r < 0 ? r : 0;
	}
	sk->state = diag->state;
	sk->backlog = diag->wqueue;
	sk->peer = diag->peer;
	sk->has_shutdown = true;
	sk->shutdown = sock_shutdown_encode(diag->shutdown);
	if (sk->state == TCP_ESTABLISHED && sk->type != SOCK_DGRAM && !sk->peer)
		return dangling_capture(cap, facts, sk, diag, err);
	return 0;
}

static int remember(struct sock_index *index, Img__UnixSk *sk, struct error *err)
{
	size_t n = index->n_unix_entries;
	Img__UnixSk **more = index->unix_entries;

	if ((n & (n - 1)) == 0) {
		more = realloc(more, (n ? 2 * n : 1) * sizeof(*more));
		if (!more)
			return error_nomem(err);
		index->unix_entries = more;
	}
	more[index->n_unix_entries++] = sk;
	return 0;
}

static int unix_capture(struct capture *cap, const struct fd_facts *facts, Img__FileEntry *entry,
			struct error *err)
{
	Img__UnixSk *sk = img_new(cap->set, Img__UnixSk, unix_sk);
	int r;

	if (!sk)
		return error_nomem(err);
	sk->id = facts->id;
	sk->ino = facts->st.st_ino;
	sk->type = sock_int(facts->dup, SOL_SOCKET, SO_TYPE, 0);
	sk->flags = facts->flags & ~O_CLOEXEC;
	sk->ns_id = sock_net_ns_id(cap);
	sk->has_ns_id = sk->ns_id != 0;
	r = fown_capture(cap, facts, &sk->fown, err);
	if (r < 0)
		return r;
	sk->opts = sock_opts_capture(cap, facts, AF_UNIX, err);
	if (!sk->opts)
		return -ENOMEM;
	r = sock_opts_note(cap, facts, AF_UNIX, false, err);
	if (r == 0)
		r = name_capture(cap, facts->dup, sk, err);
	if (r == 0 && sk->name.len && sk->name.data[0])
		r = file_capture(cap, facts, sk, err);
	if (r == 0)
		r = state_capture(cap, facts, sk, err);
	if (r == 0 && sk->state != TCP_LISTEN)
		r = sock_queue_capture(cap, facts, sk->type, err);
	if (r == 0 && cap->sockets)
		r = remember(cap->sockets, sk, err);
	if (r == 0)
		entry->usk = sk;
	return r;
}

/* --- the end of a capture */

static int entry_compare(const void *a, const void *b)
{
	uint32_t x = (*(Img__UnixSk *const *)a)->ino, y = (*(Img__UnixSk *const *)b)->ino;

	return x < y ? -1 : x > y;
}

/* The captured entry of an inode number; n of them are there, sorted. */
static Img__UnixSk *entry_of(const struct sock_index *index, size_t n, uint32_t ino)
{
	Img__UnixSk key = { .ino = ino }, *at = &key, **found;

	found = n ? bsearch(&at, index->unix_entries, n, sizeof(at), entry_compare) : NULL;
	return found ? *found : NULL;
}

/* Is there an entry for an end outside already? They stand behind the captured ones. */
static bool extern_known(const struct sock_index *index, size_t n, uint32_t ino)
{
	for (; n < index->n_unix_entries; n++)
		if (index->unix_entries[n]->ino == ino)
			return true;
	return false;
}

static const char *name_text(const struct sock_unix *diag, char *buf, size_t size)
{
	size_t i, n = 0;

	if (!diag || diag->name_len == 0)
		return "without a name";
	for (i = 0; i < diag->name_len && n + 1 < size; i++) {
		unsigned char c = diag->name[i];

		if (c == 0 && i + 1 == diag->name_len)
			break;
		buf[n++] = c == 0 ? '@' : c < 32 || c > 126 ? '?' : c;
	}
	buf[n] = '\0';
	return buf;
}

/* The entry that stands for an end outside, as CRIU writes it. */
static int extern_add(struct capture *cap, uint32_t ino, const struct sock_unix *diag,
		      struct error *err)
{
	Img__FileEntry *entry = img_new(cap->set, Img__FileEntry, file_entry);
	Img__UnixSk *sk = img_new(cap->set, Img__UnixSk, unix_sk);
	int r;

	if (!entry || !sk)
		return error_nomem(err);
	sk->id = capture_next_id(cap);
	sk->ino = ino;
	sk->type = SOCK_DGRAM;
	sk->state = TCP_LISTEN;
	sk->uflags = UNIX_UFLAG_EXTERN;
	sk->fown = fown_none(cap->set);
	sk->opts = img_new(cap->set, Img__SkOpts, sk_opts);
	if (diag && diag->name_len) {
		sk->name.data = arena_memdup(&cap->set->arena, diag->name, diag->name_len);
		sk->name.len = diag->name_len;
	}
	if (!sk->fown || !sk->opts || (sk->name.len && !sk->name.data))
		return error_nomem(err);
	entry->type = IMG__FD_TYPES__UNIXSK;
	entry->id = sk->id;
	entry->usk = sk;
	r = image_add(cap->set, IMAGE_FILES, 0, &entry->base, (struct bytes){ 0 }, err);
	if (r < 0)
		return r;
	return remember(cap->sockets, sk, err);
}

static int peer_check(struct capture *cap, size_t n, const Img__UnixSk *sk, struct error *err)
{
	const struct sock_unix *diag;
	char subject[64], name[128];
	int r;

	if (sk->peer == 0 || entry_of(cap->sockets, n, sk->peer))
		return 0;
	diag = sock_index_unix(cap, sk->peer);
	if (!extern_known(cap->sockets, n, sk->peer)) {
		r = extern_add(cap, sk->peer, diag, err);
		if (r < 0)
			return r;
	}
	(void)snprintf(subject, sizeof(subject), "unix socket %u (file %u)", sk->ino, sk->id);
	if (gap_add(cap->gaps, GAP_DEGRADED, "socket", 0, subject,
		    "its other end (%u, %s) is outside of the container; in a copy it is silent",
		    sk->peer, name_text(diag, name, sizeof(name))) < 0)
		return error_nomem(err);
	return 0;
}

/* Connections that wait at a listener and come from outside, or whose client has gone. */
static int icons_check(struct capture *cap, size_t n, const Img__UnixSk *sk, struct error *err)
{
	const struct sock_unix *diag;
	char subject[64];
	size_t i, lost = 0;

	if (sk->state != TCP_LISTEN)
		return 0;
	diag = sock_index_unix(cap, sk->ino);
	for (i = 0; diag && i < diag->n_icons; i++)
		if (diag->icons[i] == 0 || !entry_of(cap->sockets, n, diag->icons[i]))
			lost++;
	if (!lost)
		return 0;
	(void)snprintf(subject, sizeof(subject), "unix socket %u (file %u)", sk->ino, sk->id);
	if (gap_add(cap->gaps, GAP_DEGRADED, "socket", 0, subject,
		    "%zu connections that were not accepted yet are lost", lost) < 0)
		return error_nomem(err);
	return 0;
}

int sock_index_finish(struct capture *cap, struct error *err)
{
	struct sock_index *index = cap->sockets;
	size_t i, n = index ? index->n_unix_entries : 0;
	int r = 0;

	if (index)
		sock_index_land(index);
	if (n)
		qsort(index->unix_entries, n, sizeof(*index->unix_entries), entry_compare);
	for (i = 0; i < n && r == 0; i++) {
		const Img__UnixSk *sk = index->unix_entries[i];

		r = peer_check(cap, n, sk, err);
		if (r == 0)
			r = icons_check(cap, n, sk, err);
	}
	return r;
}

const struct fd_kind sk_unix_kind = {
	.name = "unix-socket",
	.type = IMG__FD_TYPES__UNIXSK,
	.match = unix_match,
	.capture = unix_capture,
	.open = sk_unix_open,
	.connect = sk_unix_connect,
	.attach = sk_unix_attach,
};
