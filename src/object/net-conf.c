// SPDX-License-Identifier: Apache-2.0
/*
 * net-conf: sysctls of a network namespace.
 *
 * /proc/sys/net shows the namespace of whoever opens it, so the reader is a short-lived child
 * inside, and it reads everything in one go. The tables name what the image format has room for, in
 * its order.
 */
#include "object/net-conf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "kernel/scan.h"

#define VALUE_MAX 256

static const char *const conf4[] = {
	"accept_local",
	"accept_redirects",
	"accept_source_route",
	"arp_accept",
	"arp_announce",
	"arp_filter",
	"arp_ignore",
	"arp_notify",
	"bootp_relay",
	"disable_policy",
	"disable_xfrm",
	"force_igmp_version",
	"forwarding",
	"igmpv2_unsolicited_report_interval",
	"igmpv3_unsolicited_report_interval",
	"log_martians",
	"medium_id",
	"promote_secondaries",
	"proxy_arp",
	"proxy_arp_pvlan",
	"route_localnet",
	"rp_filter",
	"secure_redirects",
	"send_redirects",
	"shared_media",
	"src_valid_mark",
	"tag",
	"ignore_routes_with_linkdown",
	"drop_gratuitous_arp",
	"drop_unicast_in_l2_multicast",
};

static const char *const conf6[] = {
	"accept_dad",
	"accept_ra",
	"accept_ra_defrtr",
	"accept_ra_from_local",
	"accept_ra_min_hop_limit",
	"accept_ra_mtu",
	"accept_ra_pinfo",
	"accept_ra_rt_info_max_plen",
	"accept_ra_rtr_pref",
	"accept_redirects",
	"accept_source_route",
	"autoconf",
	"dad_transmits",
	"disable_ipv6",
	"drop_unicast_in_l2_multicast",
	"drop_unsolicited_na",
	"force_mld_version",
	"force_tllao",
	"forwarding",
	"hop_limit",
	"ignore_routes_with_linkdown",
	"keep_addr_on_down",
	"max_addresses",
	"max_desync_factor",
	"mldv1_unsolicited_report_interval",
	"mldv2_unsolicited_report_interval",
	"mtu",
	"ndisc_notify",
	"optimistic_dad",
	"proxy_ndp",
	"regen_max_retry",
	"router_probe_interval",
	"router_solicitation_delay",
	"router_solicitation_interval",
	"router_solicitations",
	"stable_secret",
	"suppress_frag_ndisc",
	"temp_prefered_lft",
	"temp_valid_lft",
	"use_oif_addrs_only",
	"use_optimistic",
	"use_tempaddr",
};

/* A list of settings that every interface has. */
struct family {
	const char *name;
	const char *const *keys;
	size_t n_keys;
};

static const struct family family4 = { "ipv4", conf4, ARRAY_SIZE(conf4) };
static const struct family family6 = { "ipv6", conf6, ARRAY_SIZE(conf6) };

static bool is_string(const char *key)
{
	return strcmp(key, "stable_secret") == 0 || strcmp(key, "ping_group_range") == 0;
}

/* One value without its newline. False: there is none (no such key, or none was ever set). */
static bool value_read(const char *path, char *ret, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);

	if (n < 0)
		return false;
	ret[n] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return true;
}

static int line_read(struct buf *out, const char *family, const char *device, const char *key,
		     const char *path, struct error *err)
{
	char value[VALUE_MAX];

	if (!value_read(path, value, sizeof(value)) || !value[0])
		return 0;
	return buf_printf(out, err, "%s %s %s %s\n", family, device, key, value);
}

static int device_read(struct buf *out, const struct family *family, const char *device,
		       struct error *err)
{
	char path[512];
	size_t i;
	int r = 0;

	for (i = 0; i < family->n_keys && r == 0; i++) {
		(void)snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family->name,
			       device, family->keys[i]);
		r = line_read(out, family->name, device, family->keys[i], path, err);
	}
	return r;
}

static int family_read(struct buf *out, const struct family *family, struct error *err)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *d;
	char path[128];
	int r = 0;

	(void)snprintf(path, sizeof(path), "/proc/sys/net/%s/conf", family->name);
	dir = opendir(path);
	while (dir && r == 0 && (d = readdir(dir)))
		if (d->d_name[0] != '.')
			r = device_read(out, family, d->d_name, err);
	return r;
}

int net_conf_read(struct buf *out, struct error *err)
{
	static const struct {
		const char *family, *key, *path;
	} single[] = {
		{ "unix", "max_dgram_qlen", "/proc/sys/net/unix/max_dgram_qlen" },
		{ "ipv4", "ping_group_range", "/proc/sys/net/ipv4/ping_group_range" },
		{ "netfilter", "nf_conntrack_count", "/proc/sys/net/netfilter/nf_conntrack_count" },
		{ "netfilter", "ip_tables", "/proc/thread-self/net/ip_tables_names" },
		{ "netfilter", "ip6_tables", "/proc/thread-self/net/ip6_tables_names" },
	};
	size_t i;
	int r;

	r = family_read(out, &family4, err);
	if (r == 0)
		r = family_read(out, &family6, err);
	for (i = 0; i < ARRAY_SIZE(single) && r == 0; i++)
		r = line_read(out, single[i].family, "-", single[i].key, single[i].path, err);
	return r;
}

/* The value in the text; false when it is not there. */
static bool value_find(struct bytes text, const char *family, const char *device, const char *key,
		       struct scan *ret)
{
	struct scan all = scan_of(text), line, word;

	while (scan_line(&all, &line)) {
		if (!scan_word(&line, &word) || !scan_is(&word, family) ||
		    !scan_word(&line, &word) || !scan_is(&word, device) ||
		    !scan_word(&line, &word) || !scan_is(&word, key))
			continue;
		scan_blanks(&line);
		*ret = line;
		return true;
	}
	return false;
}

int32_t net_conf_number(struct bytes text, const char *family, const char *device, const char *key,
			int32_t def)
{
	struct scan value;
	int32_t number;

	if (!value_find(text, family, device, key, &value) || !scan_i32(&value, &number))
		return def;
	return number;
}

static Img__Sysctl *sysctl_make(struct image_set *set, struct bytes text, const char *family,
				const char *device, const char *key, struct error *err)
{
	Img__Sysctl *ctl = img_new(set, Img__Sysctl, sysctl);
	struct scan value;

	if (!ctl) {
		(void)error_nomem(err);
		return NULL;
	}
	ctl->type = is_string(key) ? IMG__SYSCTL_TYPE__CTL_STR : IMG__SYSCTL_TYPE__CTL_32;
	if (!value_find(text, family, device, key, &value))
		return ctl;
	if (ctl->type == IMG__SYSCTL_TYPE__CTL_STR) {
		ctl->sarg = scan_str(&set->arena, &value);
		if (!ctl->sarg) {
			(void)error_nomem(err);
			return NULL;
		}
	} else {
		ctl->has_iarg = scan_i32(&value, &ctl->iarg);
	}
	return ctl;
}

/* The lines of one interface, which stand together: looking a key up in all lines would take long.
 */
static struct bytes block_find(struct bytes text, const char *family, const char *device)
{
	struct scan all = scan_of(text), before, line, word;
	const char *from = NULL;

	for (before = all; scan_line(&all, &line); before = all) {
		bool inside = scan_word(&line, &word) && scan_is(&word, family) &&
			      scan_word(&line, &word) && scan_is(&word, device);

		if (inside && !from)
			from = before.at;
		if (!inside && from)
			break;
	}
	return from ? (struct bytes){ (const unsigned char *)from, before.at - from }
		    : (struct bytes){ 0 };
}

static int list_make(struct image_set *set, struct bytes text, const struct family *family,
		     const char *device, Img__Sysctl ***ret, size_t *ret_n, struct error *err)
{
	struct bytes block = block_find(text, family->name, device);
	size_t i;

	*ret = arena_array(&set->arena, Img__Sysctl *, family->n_keys);
	if (!*ret)
		return error_nomem(err);
	for (i = 0; i < family->n_keys; i++) {
		(*ret)[i] = sysctl_make(set, block, family->name, device, family->keys[i], err);
		if (!(*ret)[i])
			return -ENOMEM;
	}
	*ret_n = family->n_keys;
	return 0;
}

static int single_make(struct image_set *set, struct bytes text, const char *family,
		       const char *key, Img__Sysctl ***ret, size_t *ret_n, struct error *err)
{
	*ret = arena_array(&set->arena, Img__Sysctl *, 1);
	if (!*ret)
		return error_nomem(err);
	(*ret)[0] = sysctl_make(set, text, family, "-", key, err);
	if (!(*ret)[0])
		return -ENOMEM;
	if ((*ret)[0]->has_iarg || (*ret)[0]->sarg)
		*ret_n = 1;
	return 0;
}

int net_conf_device(struct image_set *set, struct bytes text, Img__NetDevice *dev,
		    struct error *err)
{
	int r = list_make(set, text, &family4, dev->name, &dev->conf4, &dev->n_conf4, err);

	if (r < 0)
		return r;
	return list_make(set, text, &family6, dev->name, &dev->conf6, &dev->n_conf6, err);
}

Img__Netns *net_conf_namespace(struct image_set *set, struct bytes text, struct error *err)
{
	Img__Netns *ns = img_new(set, Img__Netns, netns);
	int r;

	if (!ns) {
		(void)error_nomem(err);
		return NULL;
	}
	r = list_make(set, text, &family4, "default", &ns->def_conf4, &ns->n_def_conf4, err);
	if (r == 0)
		r = list_make(set, text, &family4, "all", &ns->all_conf4, &ns->n_all_conf4, err);
	if (r == 0)
		r = list_make(set, text, &family6, "default", &ns->def_conf6, &ns->n_def_conf6,
			      err);
	if (r == 0)
		r = list_make(set, text, &family6, "all", &ns->all_conf6, &ns->n_all_conf6, err);
	if (r == 0)
		r = single_make(set, text, "unix", "max_dgram_qlen", &ns->unix_conf,
				&ns->n_unix_conf, err);
	if (r == 0)
		r = single_make(set, text, "ipv4", "ping_group_range", &ns->ipv4_sysctl,
				&ns->n_ipv4_sysctl, err);
	return r < 0 ? NULL : ns;
}

/* --- restore */

/* Set a value where it is not what it should be. */
static void value_restore(struct restore *rst, const char *path, const Img__Sysctl *ctl)
{
	char want[VALUE_MAX], have[VALUE_MAX];
	struct error err = ERROR_INIT;

	if (ctl->type == IMG__SYSCTL_TYPE__CTL_STR && ctl->sarg)
		(void)snprintf(want, sizeof(want), "%s", ctl->sarg);
	else if (ctl->type == IMG__SYSCTL_TYPE__CTL_32 && ctl->has_iarg)
		(void)snprintf(want, sizeof(want), "%d", ctl->iarg);
	else
		return;
	if (value_read(path, have, sizeof(have)) && strcmp(want, have) == 0)
		return;
	if (fd_write_file(AT_FDCWD, path, 0, 0, want, strlen(want), &err) < 0)
		restore_gap(rst, GAP_COSMETIC, "netns", 0, path, "cannot be set to %s: %s", want,
			    err.text);
}

static void list_restore(struct restore *rst, const struct family *family, const char *device,
			 Img__Sysctl *const *list, size_t n)
{
	char path[512];
	size_t i;

	/* A name is a component of a path here, and images may be hostile. */
	if (!device || strchr(device, '/') || device[0] == '.')
		return;
	for (i = 0; i < MIN(n, family->n_keys); i++) {
		(void)snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family->name,
			       device, family->keys[i]);
		value_restore(rst, path, list[i]);
	}
}

void net_conf_restore(struct restore *rst, const Img__Netns *ns)
{
	/* "all" first: some of its values spread to the others when they are written. */
	list_restore(rst, &family4, "all", ns->all_conf4, ns->n_all_conf4);
	list_restore(rst, &family4, "default", ns->def_conf4, ns->n_def_conf4);
	list_restore(rst, &family6, "all", ns->all_conf6, ns->n_all_conf6);
	list_restore(rst, &family6, "default", ns->def_conf6, ns->n_def_conf6);
	if (ns->n_unix_conf)
		value_restore(rst, "/proc/sys/net/unix/max_dgram_qlen", ns->unix_conf[0]);
	if (ns->n_ipv4_sysctl)
		value_restore(rst, "/proc/sys/net/ipv4/ping_group_range", ns->ipv4_sysctl[0]);
}

void net_conf_restore_device(struct restore *rst, const Img__NetDevice *dev)
{
	list_restore(rst, &family4, dev->name, dev->conf4, dev->n_conf4);
	list_restore(rst, &family6, dev->name, dev->conf6, dev->n_conf6);
}
