// SPDX-License-Identifier: Apache-2.0
/*
 * scan: walking over the text of /proc with a cursor that never leaves its bytes. Never needs a
 * NUL.
 */
#include "kernel/scan.h"

#include <string.h>

bool scan_line(struct scan *s, struct scan *ret_line)
{
	const char *nl;

	if (scan_done(s))
		return false;
	nl = memchr(s->at, '\n', scan_left(s));
	*ret_line = (struct scan){ s->at, nl ? nl : s->end };
	s->at = nl ? nl + 1 : s->end;
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

void scan_blanks(struct scan *s)
{
	while (s->at < s->end && is_blank(*s->at))
		s->at++;
}

bool scan_word(struct scan *s, struct scan *ret_word)
{
	struct scan t = *s;
	const char *start;

	scan_blanks(&t);
	if (scan_done(&t))
		return false;
	start = t.at;
	while (t.at < t.end && !is_blank(*t.at))
		t.at++;
	*ret_word = (struct scan){ start, t.at };
	*s = t;
	return true;
}

bool scan_lit(struct scan *s, const char *text)
{
	size_t len = strlen(text);

	if (scan_left(s) < len || memcmp(s->at, text, len) != 0)
		return false;
	s->at += len;
	return true;
}

bool scan_is(const struct scan *s, const char *text)
{
	size_t len = strlen(text);

	return scan_left(s) == len && memcmp(s->at, text, len) == 0;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

bool scan_u64(struct scan *s, int base, uint64_t *ret)
{
	struct scan t = *s;
	const char *start;
	uint64_t value = 0;

	scan_blanks(&t);
	start = t.at;
	for (; t.at < t.end && digit(*t.at) < base; t.at++)
		if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit(*t.at), &value))
			return false;
	if (t.at == start)
		return false;
	*ret = value;
	*s = t;
	return true;
}

bool scan_u32(struct scan *s, int base, uint32_t *ret)
{
	struct scan t = *s;
	uint64_t value;

	if (!scan_u64(&t, base, &value) || value > UINT32_MAX)
		return false;
	*ret = value;
	*s = t;
	return true;
}

bool scan_i64(struct scan *s, int64_t *ret)
{
	struct scan t = *s;
	uint64_t value;
	bool minus;

	scan_blanks(&t);
	minus = scan_lit(&t, "-");
	if (minus && (scan_done(&t) || is_blank(*t.at)))
		return false;
	if (!scan_u64(&t, 10, &value) || value > (uint64_t)INT64_MAX + minus)
		return false;
	*ret = minus ? (int64_t)-value : (int64_t)value;
	*s = t;
	return true;
}

bool scan_i32(struct scan *s, int32_t *ret)
{
	struct scan t = *s;
	int64_t value;

	if (!scan_i64(&t, &value) || value < INT32_MIN || value > INT32_MAX)
		return false;
	*ret = value;
	*s = t;
	return true;
}

bool scan_hex_bytes(struct scan *s, unsigned char *ret, size_t max, size_t *ret_len)
{
	struct scan t = *s;
	size_t len = 0;

	while (scan_left(&t) >= 2 && digit(t.at[0]) < 16 && digit(t.at[1]) < 16) {
		if (len >= max)
			return false;
		ret[len++] = digit(t.at[0]) << 4 | digit(t.at[1]);
		t.at += 2;
	}
	*ret_len = len;
	*s = t;
	return true;
}

char *scan_str(struct arena *arena, const struct scan *s)
{
	return arena_memdup(arena, s->at, scan_left(s));
}

/* A copy is made first and shortened in place: unescaping never makes it longer. */
char *scan_unescape(struct arena *arena, const struct scan *s, int only)
{
	char *copy = scan_str(arena, s), *to = copy;
	const char *from, *end;

	if (!copy)
		return NULL;
	end = copy + scan_left(s);
	for (from = copy; from < end; to++) {
		if (*from == '\\' && end - from >= 4 && digit(from[1]) < 4 && digit(from[2]) < 8 &&
		    digit(from[3]) < 8) {
			int value = digit(from[1]) << 6 | digit(from[2]) << 3 | digit(from[3]);

			if (only < 0 || value == only) {
				*to = (char)value;
				from += 4;
				continue;
			}
		}
		*to = *from++;
	}
	*to = '\0';
	return copy;
}
