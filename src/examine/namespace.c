// SPDX-License-Identifier: Apache-2.0
/*
 * namespace: see namespace.h.
 */
#include "examine/namespace.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "examine/xlat.h"

#define ADDR_DUMP_MAGIC 0x47361222U /* first word of what `ip addr save` writes */

/* One address message. */
static json_object *address_json(const unsigned char *data, size_t len)
{
	const unsigned char *local = NULL;
	char text[INET6_ADDRSTRLEN], full[INET6_ADDRSTRLEN + 8];
	struct ifaddrmsg msg;
	struct rtattr attr;
	json_object *o;
	size_t at, need;

	if (len < sizeof(msg))
		return NULL;
	memcpy(&msg, data, sizeof(msg));
	need = msg.ifa_family == AF_INET ? 4 : msg.ifa_family == AF_INET6 ? 16 : SIZE_MAX;
	for (at = NLMSG_ALIGN(sizeof(msg)); at + sizeof(attr) <= len;) {
		memcpy(&attr, data + at, sizeof(attr));
		if (attr.rta_len < sizeof(attr) || attr.rta_len > len - at)
			break;
		/* The far end of a point-to-point link is no address of ours. */
		if (attr.rta_len - sizeof(attr) == need &&
		    (attr.rta_type == IFA_LOCAL || (attr.rta_type == IFA_ADDRESS && !local)))
			local = data + at + sizeof(attr);
		at += RTA_ALIGN(attr.rta_len);
	}
	if (!local || !inet_ntop(msg.ifa_family, local, text, sizeof(text)))
		return NULL;
	snprintf(full, sizeof(full), "%s/%u", text, msg.ifa_prefixlen);
	o = json_object_new_object();
	json_put_number(o, "ifindex", msg.ifa_index);
	json_put_text(o, "address", full);
	return o;
}

json_object *namespace_addresses_json(struct bytes data)
{
	json_object *list = json_object_new_array(), *o;
	struct nlmsghdr h;
	uint32_t magic = 0;
	size_t at;

	if (data.len >= sizeof(magic))
		memcpy(&magic, data.data, sizeof(magic));
	for (at = magic == ADDR_DUMP_MAGIC ? sizeof(magic) : 0; at + sizeof(h) <= data.len;) {
		memcpy(&h, data.data + at, sizeof(h));
		if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > data.len - at)
			break;
		o = h.nlmsg_type == RTM_NEWADDR
			    ? address_json(data.data + at + sizeof(h), h.nlmsg_len - sizeof(h))
			    : NULL;
		if (o)
			json_object_array_add(list, o);
		at += NLMSG_ALIGN((size_t)h.nlmsg_len);
	}
	return list;
}

static json_object *devices_json(const struct image *image)
{
	json_object *list = json_object_new_array(), *o;
	const Img__NetDevice *d;
	char mac[32];
	size_t i;

	for (i = 0; image && i < image->n_entries; i++) {
		d = image_message(image, i);
		if (!d)
			continue;
		o = json_object_new_object();
		json_put_text(o, "name", d->name);
		json_put_number(o, "ifindex", d->ifindex);
		json_put_number(o, "mtu", d->mtu);
		json_put_bool(o, "up", d->flags & 1);
		if (d->has_address && d->address.len == 6) {
			snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x",
				 d->address.data[0], d->address.data[1], d->address.data[2],
				 d->address.data[3], d->address.data[4], d->address.data[5]);
			json_put_text(o, "address", mac);
		}
		json_object_array_add(list, o);
	}
	return list;
}

static void put_net(const struct examine *x, uint64_t id, json_object *o)
{
	const struct image *raw = image_find(&x->set, IMAGE_IFADDR, id);
	const Img__Netns *netns = image_single(&x->set, IMAGE_NETNS, id);

	json_object_object_add(o, "devices", devices_json(image_find(&x->set, IMAGE_NETDEV, id)));
	if (raw && raw->n_entries)
		json_object_object_add(o, "addresses",
				       namespace_addresses_json(raw->entries[0].extra));
	if (netns && netns->ext_key)
		json_put_text(o, "external", netns->ext_key);
}

static void put_uts(const struct examine *x, uint64_t id, json_object *o)
{
	const Img__Utsns *uts = image_single(&x->set, IMAGE_UTSNS, id);

	if (!uts)
		return;
	json_put_text(o, "hostname", uts->nodename);
	json_put_text(o, "domainname", uts->domainname);
}

static size_t count(const struct examine *x, enum image_kind kind, uint64_t id,
		    const ProtobufCMessageDescriptor *type)
{
	const struct image *image = image_find(&x->set, kind, id);
	size_t i, n = 0;

	for (i = 0; image && i < image->n_entries; i++)
		n += image->entries[i].msg && image->entries[i].msg->descriptor == type;
	return n;
}

static void put_ipc(const struct examine *x, uint64_t id, json_object *o)
{
	json_put_number(o, "shared_memories",
			count(x, IMAGE_IPC_SHM, id, &img__ipc_shm__descriptor));
	json_put_number(o, "message_queues",
			count(x, IMAGE_IPC_MSG, id, &img__ipc_msg__descriptor));
	json_put_number(o, "semaphore_sets",
			count(x, IMAGE_IPC_SEM, id, &img__ipc_sem__descriptor));
}

static void put_pid(const struct examine *x, uint64_t id, json_object *o)
{
	const Img__Pidns *pid = image_single(&x->set, IMAGE_PIDNS, id);

	if (pid && pid->ext_key)
		json_put_text(o, "external", pid->ext_key);
}

static json_object *map_json(Img__UidGidExtent *const *extents, size_t n)
{
	json_object *list = json_object_new_array(), *o;
	size_t i;

	for (i = 0; i < n; i++) {
		o = json_object_new_object();
		json_put_number(o, "inside", extents[i]->first);
		json_put_number(o, "outside", extents[i]->lower_first);
		json_put_number(o, "count", extents[i]->count);
		json_object_array_add(list, o);
	}
	return list;
}

static void put_user(const struct examine *x, uint64_t id, json_object *o)
{
	const Img__Userns *user = image_single(&x->set, IMAGE_USERNS, id);

	if (!user)
		return;
	json_object_object_add(o, "uid_map", map_json(user->uid_map, user->n_uid_map));
	json_object_object_add(o, "gid_map", map_json(user->gid_map, user->n_gid_map));
}

static void put_mnt(const struct examine *x, uint64_t id, json_object *o)
{
	json_put_number(o, "mounts", count(x, IMAGE_MOUNTPOINTS, id, &img__mnt__descriptor));
}

static void put_nothing(const struct examine *x, uint64_t id, json_object *o)
{
	(void)x, (void)id, (void)o;
}

json_object *namespace_list_json(const struct examine *x)
{
	const Img__TaskKobjIds *ids = x->n_tasks ? x->tasks[0].ids : NULL;
	json_object *list = json_object_new_object(), *o;
	size_t i;

	if (!list || !ids)
		return list;
	const struct {
		const char *name;
		bool there;
		uint32_t id;
		void (*put)(const struct examine *x, uint64_t id, json_object *o);
	} kinds[] = {
		{ "pid", ids->has_pid_ns_id, ids->pid_ns_id, put_pid },
		{ "net", ids->has_net_ns_id, ids->net_ns_id, put_net },
		{ "mnt", ids->has_mnt_ns_id, ids->mnt_ns_id, put_mnt },
		{ "uts", ids->has_uts_ns_id, ids->uts_ns_id, put_uts },
		{ "ipc", ids->has_ipc_ns_id, ids->ipc_ns_id, put_ipc },
		{ "user", ids->has_user_ns_id, ids->user_ns_id, put_user },
		{ "cgroup", ids->has_cgroup_ns_id, ids->cgroup_ns_id, put_nothing },
		{ "time", ids->has_time_ns_id, ids->time_ns_id, put_nothing },
	};

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!kinds[i].there)
			continue;
		o = json_object_new_object();
		json_put_number(o, "id", kinds[i].id);
		kinds[i].put(x, kinds[i].id, o);
		json_object_object_add(list, kinds[i].name, o);
	}
	return list;
}
