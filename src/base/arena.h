/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena: memory with one owner and one end.
 *
 * A checkpoint's or an archive's messages point at each other in every direction; they live in one
 * arena and die together. Memory is zeroed. Never shared between threads without a lock of the
 * owner.
 */
#pragma once

#include <stdarg.h>

#include "base/error.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks;
	size_t used;  /* bytes handed out */
	size_t limit; /* most bytes it may hand out, 0 = no limit */
};

#define ARENA_INIT ((struct arena){ 0 })

/* arena_deinit - free everything. Accepts a zeroed arena. */
void arena_deinit(struct arena *arena);

/* arena_alloc - size zeroed bytes, 16-aligned. NULL when memory or the limit is exhausted. */
void *arena_alloc(struct arena *arena, size_t size) _must_check_;

/*
 * arena_reserve - have size bytes at hand, their pages faulted in, so that handing them out costs
 * the kernel nothing. They count as used when they are handed out. Returns 0 or -ENOMEM.
 */
int arena_reserve(struct arena *arena, size_t size);

/* arena_reset - take back all that was handed out, and keep the newest, largest chunk for reuse. */
void arena_reset(struct arena *arena);

/* arena_memdup - a copy of size bytes, with a NUL behind them. NULL when exhausted. */
void *arena_memdup(struct arena *arena, const void *data, size_t size) _must_check_;

/* arena_strdup - a copy of a string. NULL when exhausted or s is NULL. */
char *arena_strdup(struct arena *arena, const char *s) _must_check_;

/* arena_printf - a formatted string. NULL when exhausted. */
char *arena_printf(struct arena *arena, const char *fmt, ...) _printf_(2, 3) _must_check_;

/*
 * arena_grow - make room for one more element in an array of n, in steps of powers of two.
 * @array: the present array, NULL when n is 0; a moved array's old memory stays with the arena
 * @size: bytes of one element
 * Returns the array with room for n + 1 elements (the new one zeroed), NULL when exhausted.
 */
void *arena_grow(struct arena *arena, void *array, size_t n, size_t size) _must_check_;

#define arena_new(arena, type)		((type *)arena_alloc(arena, sizeof(type)))
#define arena_array(arena, type, count) ((type *)arena_calloc(arena, count, sizeof(type)))

/* arena_calloc - count zeroed elements, checked for overflow. NULL when exhausted. */
void *arena_calloc(struct arena *arena, size_t count, size_t size) _must_check_;
