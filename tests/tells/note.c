// SPDX-License-Identifier: Apache-2.0
/*
 * note: a hash table of keys; for each window the values seen, up to SEEN_MAX of them.
 *
 * It must not allocate while nothing new is seen: a watcher whose own memory changes all the time
 * could not tell what others do to it.
 */
#include "note.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS	 16384
#define SEEN_MAX 400

struct value {
	uint64_t hash;
	char *text;
};

struct page {
	struct value *seen;
	size_t n_seen, seen_size;
	unsigned long samples;
	char *first, *last;
	size_t last_size;
};

struct entry {
	uint64_t hash;
	char *key;
	struct page pages[WINDOWS];
};

struct notebook {
	struct entry *slots[SLOTS];
	size_t n;
};

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static uint64_t hash_text(const char *text)
{
	uint64_t h = 1469598103934665603ULL; /* FNV-1a */

	while (*text)
		h = (h ^ (unsigned char)*text++) * 1099511628211ULL;
	return h;
}

struct notebook *notebook_new(void)
{
	return must(calloc(1, sizeof(struct notebook)));
}

static struct entry *entry_of(struct notebook *b, const char *key)
{
	uint64_t hash = hash_text(key);
	struct entry **slot = &b->slots[hash % SLOTS];

	while (*slot && ((*slot)->hash != hash || strcmp((*slot)->key, key)))
		if (++slot == b->slots + SLOTS)
			slot = b->slots;
	if (*slot)
		return *slot;
	if (++b->n >= SLOTS)
		abort();
	*slot = must(calloc(1, sizeof(**slot)));
	(*slot)->hash = hash;
	(*slot)->key = must(strdup(key));
	return *slot;
}

static void set_last(struct page *page, const char *value)
{
	size_t size = strlen(value) + 1;

	if (size > page->last_size) {
		page->last_size = size + 16;
		page->last = must(realloc(page->last, page->last_size));
	}
	memcpy(page->last, value, size);
}

static void note_text(struct notebook *b, int window, const char *value, const char *key)
{
	struct page *page = &entry_of(b, key)->pages[window];
	uint64_t hash;
	size_t i;

	page->samples++;
	if (page->last && strcmp(page->last, value) == 0)
		return;
	set_last(page, value);
	if (!page->first)
		page->first = must(strdup(value));
	hash = hash_text(value);
	for (i = 0; i < page->n_seen; i++)
		if (page->seen[i].hash == hash)
			return;
	if (page->n_seen == SEEN_MAX)
		return;
	if (page->n_seen == page->seen_size) {
		page->seen_size = page->seen_size ? page->seen_size * 2 : 4;
		page->seen = must(realloc(page->seen, page->seen_size * sizeof(*page->seen)));
	}
	page->seen[page->n_seen++] = (struct value){ hash, must(strdup(value)) };
}

void note(struct notebook *b, int window, const char *value, const char *key, ...)
{
	char name[256];
	va_list ap;

	va_start(ap, key);
	vsnprintf(name, sizeof(name), key, ap);
	va_end(ap);
	note_text(b, window, value, name);
}

void note_number(struct notebook *b, int window, long long value, const char *key, ...)
{
	char name[256], text[32];
	va_list ap;

	va_start(ap, key);
	vsnprintf(name, sizeof(name), key, ap);
	va_end(ap);
	snprintf(text, sizeof(text), "%lld", value);
	note_text(b, window, text, name);
}

static void quote(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		unsigned char c = *text;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 32 || c > 126)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void write_page(const struct page *page, FILE *out)
{
	size_t i;

	if (!page->first) {
		fputs("null", out);
		return;
	}
	fputs("{\"first\":", out);
	quote(out, page->first);
	fputs(",\"last\":", out);
	quote(out, page->last);
	fprintf(out, ",\"samples\":%lu,\"seen\":[", page->samples);
	for (i = 0; i < page->n_seen; i++) {
		if (i)
			fputc(',', out);
		quote(out, page->seen[i].text);
	}
	fputs("]}", out);
}

void notebook_write(const struct notebook *b, FILE *out)
{
	size_t i;
	int w;

	for (i = 0; i < SLOTS; i++) {
		if (!b->slots[i])
			continue;
		quote(out, b->slots[i]->key);
		fputs(": [", out);
		for (w = 0; w < WINDOWS; w++) {
			if (w)
				fputc(',', out);
			write_page(&b->slots[i]->pages[w], out);
		}
		fputs("],\n", out);
	}
}
