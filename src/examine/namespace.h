/* SPDX-License-Identifier: Apache-2.0 */
/*
 * namespace: the namespaces of an image set and what is in them, as JSON.
 */
#pragma once

#include "examine/examine.h"

/* namespace_list_json - {"uts": {"id", "hostname"}, "net": {"devices", "addresses"}, ...}: those of
 * the root task; kinds that the set says nothing about are left out. */
json_object *namespace_list_json(const struct examine *x) _must_check_;

/* namespace_addresses_json - the addresses in bytes of `ip addr save`: a list of
 * {"ifindex", "address"}. For the fuzzer too. */
json_object *namespace_addresses_json(struct bytes data) _must_check_;
