// SPDX-License-Identifier: Apache-2.0
/*
 * page-settle: after the thaw: every page to its final place.
 *
 * Pages of the main zone are in their final order already; only gaps open and close between them.
 * So what moves towards the begin is moved in ascending order, what moves towards the end in
 * descending order, and nothing is overwritten before it has been moved. Then the pages of the
 * spill zone and the hot ones are put into the gaps.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "memory/page-state.h"
#include "memory/page-store.h"

#define CHUNK 128U /* pages moved at a time */

struct move {
	uint64_t from, to, n;
};

struct settle {
	struct page_store *store;
	struct page_space **order; /* as they will lie */
	size_t n_order;
	uint64_t end;	  /* behind the last final page */
	struct move *ups; /* towards the end of the file, ascending */
	size_t n_ups, room_ups;
	struct move move;  /* not done yet; n == 0: none */
	uint64_t hot_seen; /* hot pages walked over */
	unsigned char buffer[CHUNK * AMBER_PAGE_SIZE];
};

static int read_slots(struct settle *s, uint64_t slot, uint64_t n, struct error *err)
{
	int r = fd_pread_all(s->store->fd, s->buffer, n * AMBER_PAGE_SIZE,
			     (off_t)(slot * AMBER_PAGE_SIZE), err);

	return r < 0 ? error_while(err, r, "reading pages of the archive at offset 0x%llx",
				   (unsigned long long)(slot * AMBER_PAGE_SIZE))
		     : 0;
}

/* Source and target may overlap. */
static int do_move(struct settle *s, const struct move *move, struct error *err)
{
	uint64_t done, take, at;
	int r = 0;

	for (done = 0; r == 0 && done < move->n; done += take) {
		take = MIN(move->n - done, (uint64_t)CHUNK);
		at = move->to < move->from ? done : move->n - done - take;
		r = op_cancelled(s->store->op, err);
		if (r == 0)
			r = read_slots(s, move->from + at, take, err);
		if (r == 0)
			r = page_store_write(s->store, s->buffer, move->to + at, take, err);
	}
	return r;
}

static int note_up(struct settle *s, const struct move *move, struct error *err)
{
	struct move *grown;
	size_t room;

	if (s->n_ups == s->room_ups) {
		room = s->room_ups ? 2 * s->room_ups : 64;
		grown = reallocarray(s->ups, room, sizeof(*grown));
		if (!grown)
			return error_nomem(err);
		s->ups = grown;
		s->room_ups = room;
	}
	s->ups[s->n_ups++] = *move;
	return 0;
}

static int flush_move(struct settle *s, struct error *err)
{
	struct move move = s->move;

	s->move.n = 0;
	if (move.n == 0 || move.from == move.to)
		return 0;
	return move.to < move.from ? do_move(s, &move, err) : note_up(s, &move, err);
}

/* One more piece, in ascending order; what moves alike and touches is moved together. */
static int add_move(struct settle *s, uint64_t from, uint64_t to, uint64_t n, struct error *err)
{
	int r = 0;

	if (s->move.n && s->move.from + s->move.n == from && s->move.to + s->move.n == to) {
		s->move.n += n;
		return 0;
	}
	r = flush_move(s, err);
	s->move = (struct move){ from, to, n };
	return r;
}

static bool in_main(const struct page_store *store, const struct page_piece *piece)
{
	return piece->slot < store->spill_first; /* PAGE_SLOT_NONE is not */
}

/* Hot pages that have a slot are moved along with their neighbours: one long move is cheaper. */
static int settle_main(struct settle *s, struct error *err)
{
	struct page_piece piece;
	struct page_walk walk;
	uint64_t to;
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < s->n_order; i++) {
		walk = (struct page_walk){ .space = s->order[i] };
		to = s->order[i]->first_slot;
		for (; r == 0 && page_walk_next(&walk, UINT64_MAX, &piece); to += piece.n)
			if (in_main(s->store, &piece))
				r = add_move(s, piece.slot, to, piece.n, err);
	}
	if (r == 0)
		r = flush_move(s, err);
	while (r == 0 && s->n_ups > 0)
		r = do_move(s, &s->ups[--s->n_ups], err);
	return r;
}

/* What the main zone has grown over goes out of the way, last page first. */
static int make_way(struct settle *s, uint64_t *ret_shift, struct error *err)
{
	struct page_store *store = s->store;
	struct move move = { store->spill_first, s->end, store->spill_next - store->spill_first };

	*ret_shift = 0;
	if (move.n == 0 || move.to <= move.from)
		return 0;
	*ret_shift = move.to - move.from;
	return do_move(s, &move, err);
}

/* Hot pages from the n-th on: those in memory, then those that did not fit. */
static int put_hot(struct settle *s, uint64_t nth, uint64_t to, uint64_t n, uint64_t shift,
		   struct error *err)
{
	struct page_store *store = s->store;
	uint64_t in_memory = nth < store->hot_pages ? MIN(n, store->hot_pages - nth) : 0;
	int r;

	r = page_store_write(store, store->hot + nth * AMBER_PAGE_SIZE, to, in_memory, err);
	if (r < 0 || in_memory == n)
		return r;
	return add_move(s, store->overflow_first + shift + (nth + in_memory - store->hot_pages),
			to + in_memory, n - in_memory, err);
}

static int put_space(struct settle *s, struct page_space *space, uint64_t shift, struct error *err)
{
	struct page_walk walk = { .space = space };
	uint64_t to = space->first_slot;
	struct page_piece piece;
	int r = 0;

	for (; r == 0 && page_walk_next(&walk, UINT64_MAX, &piece); to += piece.n) {
		if (piece.hot) {
			r = put_hot(s, s->hot_seen, to, piece.n, shift, err);
			s->hot_seen += piece.n;
		} else if (!in_main(s->store, &piece)) {
			r = add_move(s, piece.slot + shift, to, piece.n, err);
		}
		if (r == 0)
			r = op_cancelled(s->store->op, err);
	}
	return r == 0 ? flush_move(s, err) : r;
}

/* Hot pages were numbered by space in order of creation. */
static int settle_rest(struct settle *s, uint64_t shift, struct error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < s->store->n_spaces; i++)
		if (s->store->spaces[i]->ended)
			r = put_space(s, s->store->spaces[i], shift, err);
	return r;
}

/* Those that rounds have copied first, as they lie; then those that only the stop knew. */
static int make_order(struct settle *s, struct error *err)
{
	struct page_store *store = s->store;
	size_t i, lie;

	s->order = calloc(store->n_spaces + store->n_lie + 1, sizeof(*s->order));
	if (!s->order)
		return error_nomem(err);
	for (i = 0; i < store->n_spaces; i++)
		if (store->spaces[i]->lie != SIZE_MAX)
			s->order[store->spaces[i]->lie] = store->spaces[i];
	for (lie = 0; lie < store->n_lie; lie++)
		if (s->order[lie]->ended)
			s->order[s->n_order++] = s->order[lie];
	for (i = 0; i < store->n_spaces; i++)
		if (store->spaces[i]->lie == SIZE_MAX && store->spaces[i]->ended)
			s->order[s->n_order++] = store->spaces[i];
	return 0;
}

static int find_places(struct settle *s, page_place_fn *place, void *arg, struct error *err)
{
	struct page_space *space;
	uint64_t n, offset;
	size_t i, run;
	int r;

	for (i = 0; i < s->n_order; i++) {
		space = s->order[i];
		for (run = 0, n = 0; run < space->n_last; run++)
			n += (space->last[run].end - space->last[run].start) / AMBER_PAGE_SIZE;
		r = place(arg, space, n, &offset, err);
		if (r < 0)
			return r;
		space->first_slot = offset / AMBER_PAGE_SIZE;
		if (offset % AMBER_PAGE_SIZE || space->first_slot < s->end)
			return error_set(err, ERROR_INTERNAL, EINVAL,
					 "pages cannot be placed at offset 0x%llx",
					 (unsigned long long)offset);
		s->end = space->first_slot + n;
	}
	return 0;
}

int page_store_settle(struct page_store *store, page_place_fn *place, void *arg, struct error *err)
{
	_cleanup_free_ struct settle *s = calloc(1, sizeof(*s));
	uint64_t shift = 0;
	int r;

	if (!s)
		return error_nomem(err);
	s->store = store;
	r = make_order(s, err);
	if (r == 0)
		r = find_places(s, place, arg, err);
	if (r == 0)
		r = make_way(s, &shift, err);
	if (r == 0)
		r = settle_main(s, err);
	if (r == 0)
		r = settle_rest(s, shift, err);
	/* What lies behind is dead, and need not reach the disk. */
	if (r == 0 && s->end && ftruncate(store->fd, (off_t)(s->end * AMBER_PAGE_SIZE)) < 0)
		r = error_errno(err, errno, "cannot cut the archive");
	free(s->ups);
	free(s->order);
	return r;
}
