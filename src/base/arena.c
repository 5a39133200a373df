// SPDX-License-Identifier: Apache-2.0
/*
 * arena: see arena.h. Chunks double up to a maximum; a request larger than a chunk gets its own.
 */
#include "base/arena.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MIN (64UL << 10)
#define CHUNK_MAX (4UL << 20)
#define ALIGN	  16UL
#define PAGE	  4096UL

struct arena_chunk {
	struct arena_chunk *next;
	size_t size; /* of data */
	size_t used;
	_Alignas(16) unsigned char data[];
};

void arena_deinit(struct arena *arena)
{
	struct arena_chunk *chunk, *next;

	for (chunk = arena->chunks; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	*arena = ARENA_INIT;
}

static struct arena_chunk *chunk_new(struct arena *arena, size_t need)
{
	size_t size = arena->chunks ? MIN(arena->chunks->size * 2, CHUNK_MAX) : CHUNK_MIN;
	struct arena_chunk *chunk;

	size = MAX(size, need);
	chunk = calloc(1, sizeof(*chunk) + size);
	if (!chunk)
		return NULL;
	chunk->size = size;
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	return chunk;
}

int arena_reserve(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk = arena->chunks;
	volatile unsigned char *page;
	size_t at;

	if (size > SIZE_MAX / 2)
		return -ENOMEM;
	if (!chunk || chunk->size - chunk->used < size)
		chunk = chunk_new(arena, size);
	if (!chunk)
		return -ENOMEM;
	page = chunk->data;
	for (at = chunk->used; at < chunk->size; at += PAGE)
		page[at] = 0;
	return 0;
}

void arena_reset(struct arena *arena)
{
	struct arena_chunk *chunk = arena->chunks, *older, *next;

	arena->used = 0;
	if (!chunk)
		return;
	for (older = chunk->next; older; older = next) {
		next = older->next;
		free(older);
	}
	chunk->next = NULL;
	memset(chunk->data, 0, chunk->used);
	chunk->used = 0;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk = arena->chunks;
	void *p;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = size ? (size + ALIGN - 1) & ~(ALIGN - 1) : ALIGN;
	if (arena->limit && size > arena->limit - MIN(arena->used, arena->limit))
		return NULL;
	if (!chunk || chunk->size - chunk->used < size) {
		chunk = chunk_new(arena, size);
		if (!chunk)
			return NULL;
	}
	p = chunk->data + chunk->used;
	chunk->used += size;
	arena->used += size;
	return p;
}

void *arena_calloc(struct arena *arena, size_t count, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(count, size, &total))
		return NULL;
	return arena_alloc(arena, total);
}

void *arena_memdup(struct arena *arena, const void *data, size_t size)
{
	char *p;

	if (size == SIZE_MAX)
		return NULL;
	p = arena_alloc(arena, size + 1);
	if (p && size)
		memcpy(p, data, size);
	return p;
}

char *arena_strdup(struct arena *arena, const char *s)
{
	return s ? arena_memdup(arena, s, strlen(s)) : NULL;
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
	va_list ap, ap2;
	char *s = NULL;
	int n;

	va_start(ap, fmt);
	va_copy(ap2, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n >= 0)
		s = arena_alloc(arena, (size_t)n + 1);
	if (s)
		vsnprintf(s, (size_t)n + 1, fmt, ap2);
	va_end(ap2);
	return s;
}

void *arena_grow(struct arena *arena, void *array, size_t n, size_t size)
{
	size_t total, next;
	void *p;

	if (n && (n & (n - 1)))
		return array; /* room is there: capacity is the next power of two */
	next = n ? n * 2 : 1;
	if (next < n || __builtin_mul_overflow(next, size, &total))
		return NULL;
	p = arena_alloc(arena, total);
	if (p && n)
		memcpy(p, array, n * size);
	return p;
}
