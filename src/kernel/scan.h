/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan: walking over the text of /proc with a cursor that never leaves its bytes.
 *
 * Every scan_* function either consumes what it was asked for and returns true, or consumes nothing
 * and returns false. No locale, no sscanf, no NUL needed at the end. Knows no file of /proc by
 * name.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

struct scan {
	const char *at;
	const char *end;
};

static inline struct scan scan_of(struct bytes text)
{
	const char *data = text.data ? (const char *)text.data : "";

	return (struct scan){ data, data + text.len };
}

static inline size_t scan_left(const struct scan *s)
{
	return s->end - s->at;
}

static inline bool scan_done(const struct scan *s)
{
	return s->at >= s->end;
}

/* scan_line - take the next line without its newline; the last one may lack it. False at the end.
 */
bool scan_line(struct scan *s, struct scan *ret_line);

/* scan_blanks - skip spaces and tabs. */
void scan_blanks(struct scan *s);

/* scan_word - skip blanks, take what is there up to the next blank. False when nothing is left. */
bool scan_word(struct scan *s, struct scan *ret_word);

/* scan_lit - take exactly this text. */
bool scan_lit(struct scan *s, const char *text);

/* scan_is - the whole of s is this text (nothing is consumed). */
bool scan_is(const struct scan *s, const char *text);

/* scan_u64 - take an unsigned number in base 8, 10 or 16 without prefix; blanks before it are
 * skipped. False when there is no digit or it exceeds 64 bits. */
bool scan_u64(struct scan *s, int base, uint64_t *ret);
bool scan_u32(struct scan *s, int base, uint32_t *ret);

/* scan_i64, scan_i32 - a decimal number with an optional '-'. */
bool scan_i64(struct scan *s, int64_t *ret);
bool scan_i32(struct scan *s, int32_t *ret);

/* scan_hex_bytes - pairs of hex digits, at most max bytes; ret_len says how many. */
bool scan_hex_bytes(struct scan *s, unsigned char *ret, size_t max, size_t *ret_len);

/* scan_str - a copy of what is left. NULL when the arena is exhausted. */
char *scan_str(struct arena *arena, const struct scan *s) _must_check_;

/* scan_unescape - as scan_str(), with \ooo (three octal digits) made one byte each.
 * @only: the one byte value to be unescaped, -1 for all */
char *scan_unescape(struct arena *arena, const struct scan *s, int only) _must_check_;
