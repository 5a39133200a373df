/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf: a growing row of bytes with one owner.
 */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"

struct buf {
	unsigned char *data; /* always followed by a NUL that is not counted, when not NULL */
	size_t len;
	size_t cap;
};

#define BUF_INIT      ((struct buf){ 0 })
#define _cleanup_buf_ _cleanup_(buf_deinit)

/* A borrowed, read-only row of bytes: what every parser takes. */
struct bytes {
	const unsigned char *data;
	size_t len;
};

void buf_deinit(struct buf *buf);

/* buf_reserve - room for more bytes behind len. Returns 0 or -ENOMEM. */
int buf_reserve(struct buf *buf, size_t more, struct error *err) _must_check_;

/* buf_append - copy bytes to the end. Returns 0 or -ENOMEM. */
int buf_append(struct buf *buf, const void *data, size_t len, struct error *err) _must_check_;

/* buf_printf - formatted text to the end. Returns 0 or -ENOMEM. */
int buf_printf(struct buf *buf, struct error *err, const char *fmt, ...)
	_printf_(3, 4) _must_check_;
