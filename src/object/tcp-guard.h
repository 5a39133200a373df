/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp-guard: whoever puts a live connection into repair mode must not die on it.
 *
 * A connection in repair mode refuses to send and to receive for its program. Capture needs that
 * mode for some microseconds a connection; were amber killed in them, the connection would stay so.
 * The guard is a process that shares our descriptors and sleeps until we die: then it ends repair
 * mode and dies too.
 */
#pragma once

#include "base/error.h"

struct tcp_guard;

/* tcp_guard_new - fork the guard. tcp_guard_free() ends it. */
int tcp_guard_new(struct tcp_guard **ret, struct error *err) _must_check_;
void tcp_guard_free(struct tcp_guard *guard);

/*
 * tcp_repair_begin - put the connection behind a descriptor into repair mode; one at a time.
 * Returns 0 or -errno; sets no text. tcp_repair_end() leaves the mode without sending a packet, and
 * gives back SO_REUSEADDR, which the kernel clears on the way.
 */
int tcp_repair_begin(struct tcp_guard *guard, int fd) _must_check_;
void tcp_repair_end(struct tcp_guard *guard);
