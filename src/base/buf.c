// SPDX-License-Identifier: Apache-2.0
/*
 * buf: see buf.h.
 */
#include "base/buf.h"

#include <stdarg.h>
#include <string.h>

void buf_deinit(struct buf *buf)
{
	free(buf->data);
	*buf = BUF_INIT;
}

int buf_reserve(struct buf *buf, size_t more, struct error *err)
{
	size_t need, cap;
	void *p;

	if (more >= SIZE_MAX / 2 - buf->len)
		return error_nomem(err);
	need = buf->len + more + 1;
	if (need <= buf->cap)
		return 0;
	cap = MAX(buf->cap * 2, (size_t)256);
	cap = MAX(need, cap);
	p = realloc(buf->data, cap);
	if (!p)
		return error_nomem(err);
	buf->data = p;
	buf->cap = cap;
	buf->data[buf->len] = '\0';
	return 0;
}

int buf_append(struct buf *buf, const void *data, size_t len, struct error *err)
{
	int r = buf_reserve(buf, len, err);

	if (r < 0)
		return r;
	if (len)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
	return 0;
}

int buf_printf(struct buf *buf, struct error *err, const char *fmt, ...)
{
	va_list ap;
	int n, r;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return error_nomem(err);
	r = buf_reserve(buf, (size_t)n, err);
	if (r < 0)
		return r;
	va_start(ap, fmt);
	vsnprintf((char *)buf->data + buf->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	buf->len += (size_t)n;
	return 0;
}
