/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net-conf: the settings (sysctls) of a network namespace and of its interfaces, both directions.
 *
 * An image holds them as lists without names: their order is that of the tables in net-conf.c.
 */
#pragma once

#include "base/buf.h"
#include "image/image.h"
#include "image/schema.h"
#include "object/restore.h"

/*
 * net_conf_read - the settings of the network namespace of the calling task, as text: lines of
 * "FAMILY INTERFACE KEY VALUE". For a child that has joined it (ns_call_fn).
 */
int net_conf_read(struct buf *out, struct error *err) _must_check_;

/* net_conf_device - conf4 and conf6 of an interface from that text. Returns 0 or -ENOMEM. */
int net_conf_device(struct image_set *set, struct bytes text, Img__NetDevice *dev,
		    struct error *err) _must_check_;

/* net_conf_namespace - the namespace's own, into a new Netns message. NULL: out of memory. */
Img__Netns *net_conf_namespace(struct image_set *set, struct bytes text,
			       struct error *err) _must_check_;

/* net_conf_number - a number that the text has under family, interface and key; def without one. */
int32_t net_conf_number(struct bytes text, const char *family, const char *device, const char *key,
			int32_t def);

/* net_conf_restore - set what differs in the namespace of the calling task. Failures become notes.
 */
void net_conf_restore(struct restore *rst, const Img__Netns *netns);
void net_conf_restore_device(struct restore *rst, const Img__NetDevice *dev);
