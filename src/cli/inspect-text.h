/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect-text: the document of `amber inspect --json` for people.
 */
#pragma once

#include "base/json.h"

/* inspect_text - a tree of the document, safely quoted. Appends to out. Returns 0 or -ENOMEM. */
int inspect_text(json_object *document, struct buf *out, struct error *err) _must_check_;
