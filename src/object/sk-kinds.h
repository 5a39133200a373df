/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sk-kinds: the rows of sockets for kinds.c.
 */
#pragma once

#include "object/capture.h"

extern const struct fd_kind sk_inet_kind;
extern const struct fd_kind sk_unix_kind;
extern const struct fd_kind sk_netlink_kind;
extern const struct fd_kind sk_packet_kind;
