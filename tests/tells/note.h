/* SPDX-License-Identifier: Apache-2.0 */
/*
 * note: what was seen, under a key, in which window of time. A notebook belongs to one thread.
 *
 * It keeps for each key and window the first and the last value and the set of all values, so that
 * a state that lasted for one look is as good as one that stayed. It judges nothing: that a value
 * is a tell is decided by whoever compares the windows (tells.py).
 */
#pragma once

#include <stdio.h>

/* What happens in each window is up to the runner: two quiet ones, one around a checkpoint, one
 * after it. */
#define WINDOWS 4

struct notebook;

/* notebook_new - an empty notebook. Never NULL: without memory the program ends. */
struct notebook *notebook_new(void);

/* note - `value` was seen in this window under the key that the format makes. */
void note(struct notebook *b, int window, const char *value, const char *key, ...)
	__attribute__((format(printf, 4, 5)));

/* note_number - the same with a number as value. */
void note_number(struct notebook *b, int window, long long value, const char *key, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * notebook_write - members of a JSON object: "key": [{"first", "last", "seen", "samples"} or null
 * for each window], each followed by a comma.
 */
void notebook_write(const struct notebook *b, FILE *out);
