/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xlat: numbers of the kernel's interface to names and back to nothing: tables only.
 *
 * A number without a name stays a number, so that nothing is lost.
 */
#pragma once

#include "base/json.h"

struct xlat {
	uint64_t value;
	const char *name;
};

/* Each table ends with a NULL name. */
extern const struct xlat xlat_families[];	  /* AF_*: "inet" */
extern const struct xlat xlat_socket_types[];	  /* SOCK_*: "stream" */
extern const struct xlat xlat_protocols[];	  /* IPPROTO_*: "tcp" */
extern const struct xlat xlat_tcp_states[];	  /* "established" */
extern const struct xlat xlat_netlink[];	  /* NETLINK_*: "route" */
extern const struct xlat xlat_open_flags[];	  /* "O_NONBLOCK", without the access mode */
extern const struct xlat xlat_mount_flags[];	  /* MS_*: "ro" */
extern const struct xlat xlat_clone_namespaces[]; /* CLONE_NEW*: "net" */
extern const struct xlat xlat_capabilities[];	  /* bit: "CAP_CHOWN" */
extern const struct xlat xlat_task_states[];	  /* "alive" */
extern const struct xlat xlat_clocks[];		  /* "monotonic" */
extern const struct xlat xlat_file_kinds[];	  /* Img.FdTypes: "file" */

/* xlat_name - of one value; NULL when the table has none. */
const char *xlat_name(const struct xlat *table, uint64_t value);

/* xlat_json - the name, or the number when there is none. */
json_object *xlat_json(const struct xlat *table, uint64_t value);

/* xlat_flags_json - a list of the names of all set bits; what is left over is a number in hex. */
json_object *xlat_flags_json(const struct xlat *table, uint64_t value);

/* xlat_open_flags_json - the same for open flags: "O_RDWR", "O_APPEND", ... */
json_object *xlat_open_flags_json(uint32_t flags);

/* xlat_capabilities_json - names of the capabilities of 32-bit words. */
json_object *xlat_capabilities_json(const uint32_t *words, size_t n);
