/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount: the mounts of an image set as JSON.
 */
#pragma once

#include "examine/examine.h"

/* mount_list_json - those of every mount namespace, by path. */
json_object *mount_list_json(const struct examine *x) _must_check_;
