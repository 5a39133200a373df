// SPDX-License-Identifier: Apache-2.0
/*
 * socket: see socket.h.
 */
#include "examine/socket.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "examine/xlat.h"

#define ADDRESS_MAX (INET6_ADDRSTRLEN + 32)

/* CRIU's words hold the address as the kernel has it, in network order. */
static void address(const Img__InetSk *m, const uint32_t *words, size_t n, uint32_t port,
		    char ret[ADDRESS_MAX])
{
	char text[INET6_ADDRSTRLEN] = "?";
	bool six = m->family == 10;

	if (n >= (six ? 4U : 1U))
		inet_ntop(six ? AF_INET6 : AF_INET, words, text, sizeof(text));
	snprintf(ret, ADDRESS_MAX, six ? "[%s]:%u" : "%s:%u", text, port);
}

static void put_tcp(const struct examine *x, const Img__InetSk *m, json_object *o)
{
	const Img__TcpStream *tcp = image_single(&x->set, IMAGE_TCP_STREAM, m->ino);

	if (!tcp)
		return;
	json_put_number(o, "receive_queue_bytes", tcp->inq_len);
	json_put_number(o, "send_queue_bytes", tcp->outq_len);
	json_put_number(o, "unsent_bytes", tcp->unsq_len);
}

static int describe_inet(const struct examine *x, const struct examine_file *file, json_object *o,
			 struct buf *line)
{
	const Img__InetSk *m = (const Img__InetSk *)file->msg;
	const char *protocol = xlat_name(xlat_protocols, m->proto),
		   *state = xlat_name(xlat_tcp_states, m->state);
	char local[ADDRESS_MAX], remote[ADDRESS_MAX];
	bool connected = m->dst_port || m->state == 1;
	int r;

	address(m, m->src_addr, m->n_src_addr, m->src_port, local);
	address(m, m->dst_addr, m->n_dst_addr, m->dst_port, remote);
	if (o) {
		json_object_object_add(o, "family", xlat_json(xlat_families, m->family));
		json_object_object_add(o, "type", xlat_json(xlat_socket_types, m->type));
		json_object_object_add(o, "protocol", xlat_json(xlat_protocols, m->proto));
		json_object_object_add(o, "state", xlat_json(xlat_tcp_states, m->state));
		json_put_text(o, "local", local);
		if (connected)
			json_put_text(o, "remote", remote);
		json_put_number(o, "inode", m->ino);
		if (m->state == 10)
			json_put_number(o, "backlog", m->backlog);
		if (m->ifname)
			json_put_text(o, "device", m->ifname);
		put_tcp(x, m, o);
	}
	r = buf_printf(line, NULL, "%s%s %s", protocol ? protocol : "inet",
		       m->family == 10 && protocol ? "6" : "", local);
	if (r == 0 && connected)
		r = buf_printf(line, NULL, " -> %s", remote);
	return r == 0 && state ? buf_printf(line, NULL, " %s", state) : r;
}

/* "@name" for an abstract one, the path without its end for others. */
static int unix_name(const ProtobufCBinaryData *name, struct buf *ret)
{
	size_t n = name->len, i;
	int r = 0;

	if (!n)
		return 0;
	if (name->data[0]) {
		n = strnlen((const char *)name->data, n);
		return buf_append(ret, name->data, n, NULL);
	}
	r = buf_append(ret, "@", 1, NULL);
	for (i = 1; r == 0 && i < n; i++)
		r = buf_append(ret, name->data[i] ? (const char *)&name->data[i] : "@", 1, NULL);
	return r;
}

static const char *unix_state(const Img__UnixSk *m)
{
	if (m->state == 10)
		return "listen";
	return m->peer || m->state == 1 ? "connected" : "unconnected";
}

static int describe_unix(const struct examine *x, const struct examine_file *file, json_object *o,
			 struct buf *line)
{
	const Img__UnixSk *m = (const Img__UnixSk *)file->msg;
	const struct examine_file *peer = m->peer ? examine_file_by_inode(x, m->peer) : NULL;
	const char *type = xlat_name(xlat_socket_types, m->type);
	_cleanup_buf_ struct buf name = BUF_INIT;
	json_object *other;
	int r;

	r = unix_name(&m->name, &name);
	if (r == 0 && o) {
		json_put_text(o, "family", "unix");
		json_object_object_add(o, "type", xlat_json(xlat_socket_types, m->type));
		json_put_text(o, "state", unix_state(m));
		if (name.len)
			json_object_object_add(
				o, "local", json_bytes_text((struct bytes){ name.data, name.len }));
		json_put_number(o, "inode", m->ino);
		json_put_bool(o, "external", m->uflags & 1);
		if (m->state == 10)
			json_put_number(o, "backlog", m->backlog);
		if (m->peer)
			json_put_number(o, "peer_inode", m->peer);
		if (peer && peer->holder) {
			other = json_object_new_object();
			json_put_number(other, "pid", peer->holder->node->pid);
			json_put_number(other, "fd", peer->holder_fd);
			json_object_object_add(o, "peer", other);
		}
	}
	if (r == 0)
		r = buf_printf(line, NULL, "unix %s%s%s %s", type ? type : "?", name.len ? " " : "",
			       name.data ? (char *)name.data : "", unix_state(m));
	if (r == 0 && peer && peer->holder)
		r = buf_printf(line, NULL, " -> process %u fd %u", peer->holder->node->pid,
			       peer->holder_fd);
	else if (r == 0 && m->peer)
		r = buf_printf(line, NULL, " -> inode %u", m->peer);
	return r;
}

static int describe_netlink(const struct examine_file *file, json_object *o, struct buf *line)
{
	const Img__NetlinkSk *m = (const Img__NetlinkSk *)file->msg;
	const char *protocol = xlat_name(xlat_netlink, m->protocol);

	if (o) {
		json_put_text(o, "family", "netlink");
		json_object_object_add(o, "protocol", xlat_json(xlat_netlink, m->protocol));
		json_put_number(o, "inode", m->ino);
		json_put_number(o, "port_id", m->portid);
	}
	return buf_printf(line, NULL, "netlink %s port %u", protocol ? protocol : "?", m->portid);
}

static int describe_packet(const struct examine_file *file, json_object *o, struct buf *line)
{
	const Img__PacketSock *m = (const Img__PacketSock *)file->msg;

	if (o) {
		json_put_text(o, "family", "packet");
		json_object_object_add(o, "type", xlat_json(xlat_socket_types, m->type));
		json_put_number(o, "protocol", ntohs((uint16_t)m->protocol));
		json_put_number(o, "ifindex", m->ifindex);
	}
	return buf_printf(line, NULL, "packet protocol 0x%04x ifindex %u",
			  ntohs((uint16_t)m->protocol), m->ifindex);
}

int socket_describe(const struct examine *x, const struct examine_file *file, json_object *o,
		    struct buf *line)
{
	switch (file->type) {
	case IMG__FD_TYPES__INETSK:
		return describe_inet(x, file, o, line);
	case IMG__FD_TYPES__UNIXSK:
		return describe_unix(x, file, o, line);
	case IMG__FD_TYPES__NETLINKSK:
		return describe_netlink(file, o, line);
	case IMG__FD_TYPES__PACKETSK:
		return describe_packet(file, o, line);
	default:
		return 0;
	}
}

static bool is_socket(const struct examine_file *file)
{
	return file->type == IMG__FD_TYPES__INETSK || file->type == IMG__FD_TYPES__UNIXSK ||
	       file->type == IMG__FD_TYPES__NETLINKSK || file->type == IMG__FD_TYPES__PACKETSK;
}

static void add_holders(const struct examine *x, json_object **holders)
{
	const struct examine_file *file;
	const Img__Fdinfo *info;
	json_object *item;
	size_t t, i, n = 0;

	for (t = 0; t < x->n_tasks; t++)
		for (i = 0; n < x->n_fds && (info = examine_fdinfo(&x->tasks[t], i)); i++, n++) {
			file = examine_file_find(x, info->id);
			if (!file || !holders[file - x->files])
				continue;
			item = json_object_new_object();
			json_put_number(item, "pid", x->tasks[t].node->pid);
			json_put_number(item, "fd", info->fd);
			json_object_array_add(holders[file - x->files], item);
		}
}

json_object *socket_list_json(const struct examine *x)
{
	_cleanup_free_ json_object **holders = calloc(x->n_files + 1, sizeof(*holders));
	json_object *list = json_object_new_array(), *o;
	size_t i;

	if (!holders || !list) {
		json_object_put(list);
		return NULL;
	}
	for (i = 0; i < x->n_files; i++) {
		_cleanup_buf_ struct buf line = BUF_INIT;

		if (!is_socket(&x->files[i]))
			continue;
		o = json_object_new_object();
		json_put_number(o, "file_id", x->files[i].id);
		if (socket_describe(x, &x->files[i], o, &line) == 0)
			json_put_text(o, "target", (char *)line.data);
		json_put_number(o, "queued_bytes", x->files[i].queue_bytes);
		json_put_number(o, "queued_packets", x->files[i].queue_packets);
		holders[i] = json_object_new_array();
		json_object_object_add(o, "holders", holders[i]);
		json_object_array_add(list, o);
	}
	add_holders(x, holders);
	return list;
}
