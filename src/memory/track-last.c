// SPDX-License-Identifier: Apache-2.0
/*
 * track-last: the scan in the stop, the heart of the freeze.
 *
 * A page that is there and was not written costs nothing but being looked at: the kernel is asked
 * for all others, and what it does not name holds data as the last round reported it. That is three
 * times as fast as asking for all pages with data; asking for PAGEMAP_FILE, which looks at the page
 * frames too, would be five times slower. Large address spaces are walked by two threads. Nothing
 * is protected here, nothing written in the process.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "memory/track-impl.h"

#define BY_ITSELF     (2ULL << 20) /* from this size on a range is worth a call of its own */
#define GAP_MAX	      (4ULL << 20) /* between ranges walked in one call: something may be there */
#define ROOM_REGIONS  4096
#define STEPS_FOR_TWO 8 /* of 32 MiB each: less is walked faster than a thread wakes up */
#define LIST_MIN      ((size_t)1 << 10)
#define LIST_STEP     ((size_t)1 << 9) /* runs for which there is room, for each step */
#define LIST_MAX      ((size_t)1 << 17)

/* One wanted range, or a part of it that lies in or outside of an area. */
struct last_piece {
	uint64_t start, end;
	bool tracked; /* in an area of its kind: pages may be as the last round reported them */
	bool shared;
	bool own; /* pages of the file do not count */
};

enum last_how {
	LAST_TOGETHER, /* several pieces, asked what each page is */
	LAST_OTHERS,   /* one tracked piece: asked for what is not there and unwritten */
	LAST_WHOLE, /* one piece of shared memory that nobody watched: all of it may be written */
};

/* One call of the kernel. */
struct last_scan {
	enum last_how how;
	size_t first, n; /* pieces */
};

struct last_walk {
	int pagemap_fd;
	struct last_piece *pieces;
	struct last_scan *scans;
	size_t n_pieces, cap_pieces, n_scans;
};

static int add_piece(struct last_walk *w, struct last_piece piece, struct error *err)
{
	struct last_piece *grown;

	if (piece.start >= piece.end)
		return 0;
	if (w->n_pieces == w->cap_pieces) {
		w->cap_pieces = MAX(w->cap_pieces * 2, (size_t)64);
		grown = reallocarray(w->pieces, w->cap_pieces, sizeof(*grown));
		if (!grown)
			return error_nomem(err);
		w->pieces = grown;
	}
	w->pieces[w->n_pieces++] = piece;
	return 0;
}

static enum area_kind kind_of(const struct page_run *range)
{
	if (range->categories & TRACK_SHARED)
		return AREA_SHARED;
	return range->categories & TRACK_OWN_PAGES ? AREA_OWN : AREA_PRIVATE;
}

/* Cut the wanted ranges along the borders of areas. */
static int cut(const struct track *t, const struct page_run *ranges, size_t n_ranges,
	       struct last_walk *w, struct error *err)
{
	/* After an exec, addresses of areas mean nothing. */
	size_t n_areas = track_uffd_alive(t) ? t->n_areas : 0, at = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n_ranges; i++) {
		enum area_kind kind = kind_of(&ranges[i]);
		struct last_piece piece = { .end = ranges[i].start,
					    .shared = kind == AREA_SHARED,
					    .own = kind == AREA_OWN };

		while (r == 0 && piece.end < ranges[i].end) {
			const struct track_area *area;

			piece.start = piece.end;
			while (at < n_areas && t->areas[at].end <= piece.start)
				at++;
			area = at < n_areas ? &t->areas[at] : NULL;
			piece.tracked = area && area->start <= piece.start && area->kind == kind &&
					!area->fresh;
			if (!area || area->start >= ranges[i].end)
				piece.end = ranges[i].end;
			else if (area->start > piece.start)
				piece.end = area->start;
			else
				piece.end = MIN(area->end, ranges[i].end);
			r = add_piece(w, piece, err);
		}
	}
	return r;
}

static uint64_t piece_size(const struct last_piece *piece)
{
	return piece->end - piece->start;
}

static enum last_how how_of(const struct last_piece *piece)
{
	if (piece->shared)
		return piece->tracked ? LAST_OTHERS : LAST_WHOLE;
	return piece->tracked && !piece->own && piece_size(piece) >= BY_ITSELF ? LAST_OTHERS
									       : LAST_TOGETHER;
}

/* Can these be asked for in one call? Pieces of files make it slower for all that are in it. */
static bool fits(const struct last_walk *w, const struct last_scan *scan,
		 const struct last_piece *piece)
{
	const struct last_piece *before = &w->pieces[scan->first + scan->n - 1];
	bool large = !piece->own && piece_size(piece) >= BY_ITSELF;
	bool large_before = !before->own && piece_size(before) >= BY_ITSELF;

	return scan->how == LAST_TOGETHER && !large && !large_before &&
	       piece->start - before->end <= GAP_MAX;
}

static int group(struct last_walk *w, struct error *err)
{
	w->scans = calloc(w->n_pieces + 1, sizeof(*w->scans));
	if (!w->scans)
		return error_nomem(err);
	for (size_t i = 0; i < w->n_pieces; i++) {
		enum last_how how = how_of(&w->pieces[i]);
		struct last_scan *last = w->n_scans ? &w->scans[w->n_scans - 1] : NULL;

		if (last && how == LAST_TOGETHER && fits(w, last, &w->pieces[i]))
			last->n++;
		else
			w->scans[w->n_scans++] = (struct last_scan){ how, i, 1 };
	}
	return 0;
}

/* Where the runs of one call go. */
struct last_sink {
	struct page_list *found;
	const struct last_piece *pieces; /* of this call, from the one we are at on */
	size_t n_pieces;
	uint64_t at; /* LAST_OTHERS: how far pages are accounted for */
};

/* LAST_TOGETHER: is a page of this piece, with these categories, as the last round reported it? */
static bool written(const struct last_piece *piece, uint64_t categories)
{
	if (!piece->tracked || !(categories & PAGEMAP_WPALLOWED) || categories & PAGEMAP_WRITTEN)
		return true;
	/* In a mapping of a file the mark of a protected page outlives the page, as if swapped. */
	return piece->own && categories & PAGEMAP_SWAPPED;
}

static int take_together(const struct page_run *run, void *arg, struct error *err)
{
	struct last_sink *sink = arg;
	int r = 0;

	while (sink->n_pieces && sink->pieces->end <= run->start) {
		sink->pieces++;
		sink->n_pieces--;
	}
	for (size_t i = 0; r == 0 && i < sink->n_pieces; i++) {
		const struct last_piece *piece = &sink->pieces[i];

		if (piece->start >= run->end)
			break;
		if (piece->own && run->categories & PAGEMAP_FILE)
			continue;
		r = page_list_add(sink->found, MAX(run->start, piece->start),
				  MIN(run->end, piece->end),
				  written(piece, run->categories) ? PAGEMAP_WRITTEN : 0, err);
	}
	return r;
}

static int take_others(const struct page_run *run, void *arg, struct error *err)
{
	const struct last_piece *piece = ((struct last_sink *)arg)->pieces;
	struct last_sink *sink = arg;
	uint64_t is = run->categories;
	bool data = is & TRACK_DATA && !(is & TRACK_NO_DATA), changed = is & PAGEMAP_WRITTEN;
	int r;

	if (piece->shared) {
		/* An entry that is empty has lost its mark: it was written and let go. */
		changed |= !(is & TRACK_DATA);
		data = true;
	}
	r = page_list_add(sink->found, sink->at, run->start, 0, err);
	sink->at = run->end;
	if (r == 0 && data)
		r = page_list_add(sink->found, run->start, run->end, changed ? PAGEMAP_WRITTEN : 0,
				  err);
	return r;
}

static int scan_together(struct last_half *half, const struct last_piece *pieces, size_t n,
			 struct error *err)
{
	struct pagemap_query query = { .inverted = TRACK_NO_DATA,
				       .required = TRACK_NO_DATA,
				       .any_of = TRACK_DATA,
				       .returned = PAGEMAP_WRITTEN | PAGEMAP_WPALLOWED };
	struct last_sink sink = { .found = &half->found, .pieces = pieces, .n_pieces = n };

	for (size_t i = 0; i < n; i++)
		if (pieces[i].own)
			query.returned |= PAGEMAP_FILE | PAGEMAP_SWAPPED;
	return pagemap_scan_in(&half->room, half->walk->pagemap_fd, pieces[0].start,
			       pieces[n - 1].end, &query, take_together, &sink, NULL, err);
}

static int scan_others(struct last_half *half, const struct last_piece *piece, struct error *err)
{
	const struct pagemap_query query = { .inverted = PAGEMAP_PRESENT,
					     .any_of = PAGEMAP_WRITTEN | PAGEMAP_PRESENT,
					     .returned =
						     PAGEMAP_WRITTEN | TRACK_DATA | TRACK_NO_DATA,
					     .only_tracked = true };
	struct last_sink sink = { .found = &half->found, .pieces = piece, .at = piece->start };
	struct page_list before = half->found;
	uint64_t before_end = before.n_runs ? before.runs[before.n_runs - 1].end : 0;
	int r;

	r = pagemap_scan_in(&half->room, half->walk->pagemap_fd, piece->start, piece->end, &query,
			    take_others, &sink, NULL, err);
	if (r == 0)
		return page_list_add(&half->found, sink.at, piece->end, 0, err);
	if (r != -EPERM)
		return r;
	/* Some of it is another mapping by now, not tracked: ask in the ordinary way. */
	error_clear(err);
	half->found.n_runs = before.n_runs;
	half->found.n_pages = before.n_pages;
	if (before.n_runs)
		half->found.runs[before.n_runs - 1].end = before_end;
	if (piece->shared)
		return page_list_add(&half->found, piece->start, piece->end, PAGEMAP_WRITTEN, err);
	return scan_together(half, piece, 1, err);
}

static int scan_half(struct last_half *half)
{
	struct error *err = &half->err;
	int r = 0;

	for (size_t i = 0; r == 0 && i < half->n_scans; i++) {
		const struct last_scan *scan = &half->scans[i];
		const struct last_piece *pieces = &half->walk->pieces[scan->first];

		switch (scan->how) {
		case LAST_TOGETHER:
			r = scan_together(half, pieces, scan->n, err);
			break;
		case LAST_OTHERS:
			r = scan_others(half, pieces, err);
			break;
		case LAST_WHOLE:
			r = page_list_add(&half->found, pieces->start, pieces->end, PAGEMAP_WRITTEN,
					  err);
			break;
		}
	}
	return r;
}

static void *help(void *arg)
{
	struct last_helper *helper = arg;

	pthread_mutex_lock(&helper->lock);
	for (;;) {
		while (!helper->work && !helper->ends)
			pthread_cond_wait(&helper->changed, &helper->lock);
		if (helper->ends)
			break;
		pthread_mutex_unlock(&helper->lock);
		helper->work->result = scan_half(helper->work);
		pthread_mutex_lock(&helper->lock);
		helper->work = NULL;
		pthread_cond_broadcast(&helper->changed);
	}
	pthread_mutex_unlock(&helper->lock);
	return NULL;
}

static void hand_over(struct last_helper *helper, struct last_half *half)
{
	pthread_mutex_lock(&helper->lock);
	helper->work = half;
	pthread_cond_broadcast(&helper->changed);
	pthread_mutex_unlock(&helper->lock);
}

static void wait_for(struct last_helper *helper)
{
	pthread_mutex_lock(&helper->lock);
	while (helper->work)
		pthread_cond_wait(&helper->changed, &helper->lock);
	pthread_mutex_unlock(&helper->lock);
}

static bool for_two(const struct track *t)
{
	return t->steps.n_runs >= STEPS_FOR_TWO;
}

/* Room for what the stop is likely to find, made in live time. */
int track_last_ready(struct track *t, struct error *err)
{
	size_t runs = MIN(LIST_MIN + t->steps.n_runs * LIST_STEP, LIST_MAX);
	int r = 0;

	for (size_t i = 0; r == 0 && i < (for_two(t) ? ARRAY_SIZE(t->halves) : 1); i++) {
		if (!t->halves[i].room.regions)
			r = pagemap_room_init(&t->halves[i].room, ROOM_REGIONS, err);
		if (r == 0)
			r = page_list_ready(&t->halves[i].found, runs, err);
	}
	if (r < 0 || !for_two(t) || t->helper.runs)
		return r;
	pthread_mutex_init(&t->helper.lock, NULL);
	pthread_cond_init(&t->helper.changed, NULL);
	/* Without it one thread walks both halves. */
	t->helper.runs = pthread_create(&t->helper.thread, NULL, help, &t->helper) == 0;
	return 0;
}

/*
 * Where the second half of the work begins: at the step of the last round that was in the middle.
 * A scan that lies across is cut. Returns how many scans belong to the first half in *ret_first.
 */
static int halve(const struct track *t, struct last_walk *w, size_t *ret_first, struct error *err)
{
	uint64_t middle = t->steps.runs[t->steps.n_runs / 2].start;
	struct last_piece rest;
	size_t i = 0;
	int r;

	while (i < w->n_scans && w->pieces[w->scans[i].first + w->scans[i].n - 1].end <= middle)
		i++;
	*ret_first = i;
	if (i == w->n_scans || w->scans[i].how != LAST_OTHERS)
		return 0;
	rest = w->pieces[w->scans[i].first];
	if (rest.start >= middle)
		return 0;
	/* Its second part stands at the end of the array of pieces; order is that of scans. */
	rest.start = middle;
	r = add_piece(w, rest, err);
	if (r < 0)
		return r;
	w->pieces[w->scans[i].first].end = middle;
	for (size_t k = w->n_scans++; k > i + 1; k--)
		w->scans[k] = w->scans[k - 1];
	w->scans[i + 1] = (struct last_scan){ LAST_OTHERS, w->n_pieces - 1, 1 };
	*ret_first = i + 1;
	return 0;
}

static int walk(struct track *t, struct last_walk *w, struct error *err)
{
	struct last_half *halves = t->halves;
	size_t first = w->n_scans;
	int r = 0;

	if (t->helper.runs && for_two(t))
		r = halve(t, w, &first, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(t->halves); i++) {
		page_list_clear(&halves[i].found);
		halves[i].walk = w;
		halves[i].scans = w->scans + (i ? first : 0);
		halves[i].n_scans = i ? w->n_scans - first : first;
		halves[i].result = 0;
		error_clear(&halves[i].err);
	}
	if (halves[1].n_scans)
		hand_over(&t->helper, &halves[1]);
	halves[0].result = scan_half(&halves[0]);
	if (halves[1].n_scans)
		wait_for(&t->helper);
	for (size_t i = 0; i < ARRAY_SIZE(t->halves); i++) {
		if (halves[i].result < 0 && err)
			*err = halves[i].err;
		if (halves[i].result < 0)
			return halves[i].result;
	}
	return 0;
}

int track_last_scan(struct track *t, const struct page_run *ranges, size_t n_ranges, pagemap_fn *fn,
		    void *arg, struct error *err)
{
	struct last_walk w = { .pagemap_fd = -1 };
	int r;

	r = track_last_ready(t, err);
	/* Opened anew: after an exec the old one shows an address space that is no longer there. */
	if (r == 0)
		r = pagemap_open(t->proc_fd, &w.pagemap_fd, err);
	if (r == 0)
		r = cut(t, ranges, n_ranges, &w, err);
	if (r == 0)
		r = group(&w, err);
	if (r == 0)
		r = walk(t, &w, err);
	for (size_t i = 0; i < ARRAY_SIZE(t->halves); i++)
		for (size_t k = 0; r == 0 && k < t->halves[i].found.n_runs; k++)
			r = fn(&t->halves[i].found.runs[k], arg, err);
	if (w.pagemap_fd >= 0)
		close(w.pagemap_fd);
	free(w.pieces);
	free(w.scans);
	return r < 0 ? r : 0;
}

void track_last_deinit(struct track *t)
{
	if (t->helper.runs) {
		pthread_mutex_lock(&t->helper.lock);
		t->helper.ends = true;
		pthread_cond_broadcast(&t->helper.changed);
		pthread_mutex_unlock(&t->helper.lock);
		pthread_join(t->helper.thread, NULL);
		pthread_cond_destroy(&t->helper.changed);
		pthread_mutex_destroy(&t->helper.lock);
	}
	for (size_t i = 0; i < ARRAY_SIZE(t->halves); i++) {
		page_list_deinit(&t->halves[i].found);
		pagemap_room_deinit(&t->halves[i].room);
	}
}
