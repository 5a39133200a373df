/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netns: the network namespace of a container, both directions.
 *
 * In a sandbox every interface but lo is a stand-in: same name, index, addresses and routes,
 * carrier and all, but what is sent vanishes without a word, as if every peer had gone silent. The
 * kind of link that does so is the first of these that the kernel has: dummy, ifb (it drops what
 * was not redirected to it), veth (its other end lies in an empty namespace that lives as long as
 * the sandbox). Stand-ins know no ARP: a neighbour that does not answer would become an error, and
 * that is not silence.
 */
#pragma once

#include "object/namespace.h"

/* The restoring half, as struct namespace_kind describes it. */
int netns_restore(struct restore *rst, const struct sandbox_spec *spec, uint32_t id,
		  struct error *err) _must_check_;

extern const struct namespace_kind netns_kind;
