/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quote: text from elsewhere on a terminal.
 *
 * A process can call itself anything, escape sequences included. What could steer a terminal or
 * deceive its reader (control characters, direction marks) is shown as an escape.
 */
#pragma once

#include "base/buf.h"

/* quote_append - text (UTF-8 or not) with everything unprintable as \n, \x1b, \u202e. Single and
 * double quotes stay, a backslash becomes two. Returns 0 or -ENOMEM. */
int quote_append(struct buf *buf, const char *text, struct error *err) _must_check_;

/* quote_json - a serialised JSON text in which DEL, C1 controls and direction marks, which JSON
 * allows, are escaped too. Means the same. Appends to buf. */
int quote_json(struct buf *buf, const char *json, struct error *err) _must_check_;

/* quote_width - columns of UTF-8 text on a terminal, wide characters counted as one. */
size_t quote_width(const char *text);
