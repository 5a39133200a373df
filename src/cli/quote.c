// SPDX-License-Identifier: Apache-2.0
/*
 * quote: see quote.h.
 */
#include "cli/quote.h"

#include <string.h>

/* Code point and length of the UTF-8 sequence at p; length 1 and the byte itself when it is none.
 */
static uint32_t decode(const unsigned char *p, size_t *len)
{
	size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 1, i;
	uint32_t code = n == 1 ? p[0] : p[0] & (0xffU >> (n + 1));

	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			*len = 1;
			return p[0];
		}
		code = code << 6 | (p[i] & 0x3f);
	}
	*len = n;
	return code;
}

/* Steers a terminal, or changes how the text around it reads. */
static bool is_unsafe(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad || code == 0x61c ||
	       (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
	       (code >= 0xfff0 && code <= 0xfffb) || (code >= 0xe0000 && code <= 0xe0fff);
}

static int escape(struct buf *buf, uint32_t code, bool byte, struct error *err)
{
	static const char letters[] = "\aa\bb\tt\nn\vv\ff\rr";
	const char *found = code && code < 0x80 ? strchr(letters, (int)code) : NULL;

	if (found && code < 0x20)
		return buf_printf(buf, err, "\\%c", found[1]);
	if (byte || code < 0x80)
		return buf_printf(buf, err, "\\x%02x", code);
	return buf_printf(buf, err, code > 0xffff ? "\\U%08x" : "\\u%04x", code);
}

int quote_append(struct buf *buf, const char *text, struct error *err)
{
	const unsigned char *p = (const unsigned char *)text;
	uint32_t code;
	size_t len;
	int r = 0;

	for (; *p && r == 0; p += len) {
		code = decode(p, &len);
		if (is_unsafe(code) || (len == 1 && code >= 0x80))
			r = escape(buf, code, len == 1, err);
		else if (code == '\\')
			r = buf_append(buf, "\\\\", 2, err);
		else
			r = buf_append(buf, p, len, err);
	}
	return r;
}

static int escape_json(struct buf *buf, uint32_t code, struct error *err)
{
	if (code <= 0xffff)
		return buf_printf(buf, err, "\\u%04x", code);
	code -= 0x10000;
	return buf_printf(buf, err, "\\u%04x\\u%04x", 0xd800 + (code >> 10),
			  0xdc00 + (code & 0x3ff));
}

int quote_json(struct buf *buf, const char *json, struct error *err)
{
	const unsigned char *p = (const unsigned char *)json, *plain = p;
	uint32_t code;
	size_t len;
	int r = 0;

	for (; *p && r == 0; p += len) {
		code = decode(p, &len);
		/* What is below a blank stands between the tokens, or json-c has escaped it. */
		if (code < 0x7f || !is_unsafe(code) || (len == 1 && code >= 0x80))
			continue;
		r = buf_append(buf, plain, (size_t)(p - plain), err);
		if (r == 0)
			r = escape_json(buf, code, err);
		plain = p + len;
	}
	return r < 0 ? r : buf_append(buf, plain, (size_t)(p - plain), err);
}

size_t quote_width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}
