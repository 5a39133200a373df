// SPDX-License-Identifier: Apache-2.0
/*
 * rounds: memory is copied while the container runs, round by round; fills precopy.h.
 *
 * A round protects first and copies then: what is written between the two is written again in the
 * next round, never lost. Shared memory is copied when all who map it have been protected.
 */
#include "checkpoint/precopy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "checkpoint/run.h"
#include "kernel/proc-stat.h"
#include "kernel/proc-tasks.h"
#include "kernel/proc.h"
#include "memory/page-expect.h"

#define DEPTH_MAX	64   /* of the process tree */
#define BATCH_RUNS	4096 /* copied together: */
#define BATCH_PAGES	8192 /* soon after they were protected, so that few are written meanwhile */
#define ROUNDS_MAX	16   /* a program that writes everything all the time never converges */
#define ROUNDS_BUDGET	64   /* but with a budget more is tried */
#define PAGES_FEW	64   /* not worth another round */
#define PAYS_PERCENT	85   /* of the round before: less progress than this does not pay */
#define POOR_MAX	2    /* rounds in a row that did not pay */
#define SPARE_PAGES	4096ULL /* written while the container is being stopped */
#define SPARE_RUNS	1024
#define READY_MAX_PAGES 262144ULL /* 1 GiB; what is more goes to the file in the stop, slowly */
#define BASE_NS		3000000	  /* of a stop, besides memory: a guess before it is known */

/* Pages of one address space on their way into the store. */
struct batch {
	struct precopy *p;
	struct precopy_space *space;
	struct op *op;
	size_t window;
	struct page_run runs[BATCH_RUNS];
	size_t n, n_pages;
	uint64_t runs_seen, pages;
};

struct precopy_space *precopy_find(const struct precopy *p, pid_t pid)
{
	size_t i;

	for (i = 0; i < p->n_spaces; i++) {
		if (p->spaces[i]->pid != pid || p->spaces[i]->gone)
			continue;
		/* The directory of a process that was reaped stays empty, whoever has its number.
		 */
		if (faccessat(p->spaces[i]->proc_fd, "stat", F_OK, 0) == 0)
			return p->spaces[i];
	}
	return NULL;
}

struct precopy_object *precopy_find_object(const struct precopy *p, uint64_t ino)
{
	size_t i;

	for (i = 0; i < p->n_objects; i++)
		if (p->objects[i]->ino == ino)
			return p->objects[i];
	return NULL;
}

bool precopy_children_ended(struct precopy *p)
{
	struct precopy_space *space;
	struct proc_stat stat;
	bool any = false;
	size_t i;

	for (i = 0; i < p->n_spaces; i++) {
		space = p->spaces[i];
		if (space->gone || proc_stat_read(space->proc_fd, &stat, NULL) < 0)
			continue;
		any |= stat.cmin_flt != space->reaped;
		space->reaped = stat.cmin_flt;
	}
	return any;
}

static const char *kind_name(enum track_kind kind)
{
	switch (kind) {
	case TRACK_UFFD_WP:
		return "uffd-wp";
	case TRACK_SOFT_DIRTY:
		return "soft-dirty";
	case TRACK_NONE:
		break;
	}
	return "none";
}

static int64_t stat_ns(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

bool precopy_changed(const struct precopy_object *object, const struct stat *now)
{
	return now->st_size != object->seen.st_size ||
	       stat_ns(&now->st_mtim) != stat_ns(&object->seen.st_mtim) ||
	       stat_ns(&now->st_ctim) != stat_ns(&object->seen.st_ctim);
}

static int flush(struct batch *b, struct error *err)
{
	int r = b->n ? page_space_copy(b->space->pages, b->runs, b->n, err) : 0;

	b->n = b->n_pages = 0;
	return r < 0 ? r : op_cancelled(b->op, err);
}

/* What of a run lies in a window belongs to the object that is seen through it. */
static int take_shared(struct batch *b, const struct page_run *run,
		       const struct precopy_window *window, struct error *err)
{
	uint64_t start = MAX(run->start, window->start), end = MIN(run->end, window->end);
	struct precopy_object *object = b->p->objects[window->object];

	if (object->whole)
		return 0;
	return page_list_add(&object->dirty, start - window->start + window->pgoff,
			     end - window->start + window->pgoff, 0, err);
}

static int take_private(struct batch *b, uint64_t start, uint64_t end, struct error *err)
{
	b->runs[b->n++] = (struct page_run){ start, end, 0 };
	b->runs_seen++;
	b->pages += (end - start) / AMBER_PAGE_SIZE;
	b->n_pages += (end - start) / AMBER_PAGE_SIZE;
	return b->n == BATCH_RUNS || b->n_pages >= BATCH_PAGES ? flush(b, err) : 0;
}

static int take_run(const struct page_run *run, void *arg, struct error *err)
{
	const struct precopy_window *window;
	struct batch *b = arg;
	uint64_t at = run->start, end;
	int r = 0;

	while (r == 0 && at < run->end) {
		while (b->window < b->space->n_windows && b->space->windows[b->window].end <= at)
			b->window++;
		window = b->window < b->space->n_windows ? &b->space->windows[b->window] : NULL;
		if (window && window->start <= at) {
			end = MIN(run->end, window->end);
			r = take_shared(b, &(struct page_run){ at, end, 0 }, window, err);
		} else {
			end = window ? MIN(run->end, window->start) : run->end;
			r = take_private(b, at, end, err);
		}
		at = end;
	}
	return r;
}

/* An object that a mapping shows; seen for the first time it is copied whole. */
static int find_object(struct precopy *p, const struct precopy_space *space,
		       const struct proc_vma *vma, size_t *ret, struct error *err)
{
	struct precopy_object *object, **grown;
	struct page_source source = { .mem_fd = -1 };
	char link[64];
	struct stat st;
	size_t i;
	int fd;

	for (i = 0; i < p->n_objects; i++)
		if (p->objects[i]->ino == vma->ino) {
			*ret = i;
			return 0;
		}
	snprintf(link, sizeof(link), "map_files/%llx-%llx", (unsigned long long)vma->start,
		 (unsigned long long)vma->end);
	fd = openat(space->proc_fd, link, O_RDONLY | O_NOATIME | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_ino != vma->ino ||
	    st.st_blksize > (blksize_t)AMBER_PAGE_SIZE) {
		/* Unmapped meanwhile, or of huge pages: the stop will see to it. */
		if (fd >= 0)
			close(fd);
		return -ENOENT;
	}
	source.shmem_fd = fd;
	object = arena_new(&p->arena, struct precopy_object);
	grown = arena_grow(&p->arena, p->objects, p->n_objects, sizeof(object));
	if (object && grown) {
		p->objects = grown;
		object->pages = page_store_space(p->store, &source);
	}
	if (!object || !grown || !object->pages) {
		close(fd);
		return error_nomem(err);
	}
	object->ino = vma->ino;
	object->fd = fd;
	object->whole = true;
	*ret = p->n_objects;
	p->objects[p->n_objects++] = object;
	return 0;
}

static bool shows_object(const struct proc_vma *vma)
{
	if (!vma->shared || !vma->ino || vma->vmflags & PROC_VMF_HT)
		return false;
	return vma->kind == PROC_VMA_ANON_SHARED ||
	       (vma->kind == PROC_VMA_FILE && strncmp(vma->path, "/memfd:", 7) == 0);
}

/* Of shared mappings only those stay in maps that show an object, with a window for each: others
 * are files, and not copied here. */
static int find_windows(struct precopy *p, struct precopy_space *space, struct proc_maps *maps,
			struct error *err)
{
	struct precopy_window *window;
	size_t i, kept = 0, object = 0;
	struct proc_vma *vma;
	int r;

	space->n_windows = 0;
	space->windows = arena_array(&space->arena, struct precopy_window, maps->n_vmas);
	if (!space->windows && maps->n_vmas)
		return error_nomem(err);
	for (i = 0; i < maps->n_vmas; i++) {
		vma = &maps->vmas[i];
		if (vma->shared) {
			r = shows_object(vma) ? find_object(p, space, vma, &object, err) : -ENOENT;
			if (r == -ENOENT)
				continue;
			if (r < 0)
				return r;
			window = &space->windows[space->n_windows++];
			*window =
				(struct precopy_window){ vma->start, vma->end, vma->pgoff, object };
		}
		maps->vmas[kept++] = *vma;
	}
	maps->n_vmas = kept;
	return 0;
}

/* The maps as they are now: what is to be tracked, and what shows shared memory. */
static int look(struct precopy *p, struct precopy_space *space, struct error *err)
{
	struct proc_maps maps = { 0 };
	/* smaps walks page tables: once is enough. */
	enum proc_maps_detail detail = space->looked ? PROC_MAPS_ONLY : PROC_MAPS_SMAPS;
	int r;

	space->looked = true;
	arena_deinit(&space->arena);
	r = proc_maps_read(space->proc_fd, detail, &space->arena, &maps, err);
	if (r == 0)
		r = find_windows(p, space, &maps, err);
	if (r == 0 && detail == PROC_MAPS_SMAPS)
		r = page_expect(space->pages, space->proc_fd, &maps, err);
	return r < 0 ? r : track_cover(space->track, &maps, err);
}

static void end_space(struct precopy_space *space)
{
	track_close(&space->track);
	space->gone = true;
}

/* A process that ends while it is copied is no error of anybody. */
static bool has_ended(struct precopy_space *space, int r, struct error *err)
{
	if (r != -ESRCH && r != -ENOENT)
		return false;
	error_clear(err);
	end_space(space);
	return true;
}

static int add_space(struct checkpoint *c, pid_t pid, int *proc_fd, struct error *err)
{
	struct precopy *p = c->precopy;
	struct page_source source = { .pid = pid, .shmem_fd = -1 };
	struct precopy_space *space, **grown;
	struct error local = ERROR_INIT;
	int r;

	space = arena_new(&p->arena, struct precopy_space);
	grown = arena_grow(&p->arena, p->spaces, p->n_spaces, sizeof(space));
	if (!space || !grown)
		return error_nomem(err);
	p->spaces = grown;
	*space = (struct precopy_space){ .pid = pid, .mem_fd = -1, .arena = ARENA_INIT };
	p->spaces[p->n_spaces++] = space;
	space->proc_fd = TAKE_FD(*proc_fd);
	space->mem_fd = openat(space->proc_fd, "mem", O_RDONLY | O_CLOEXEC);
	source.mem_fd = space->mem_fd;
	space->pages = page_store_space(p->store, &source);
	if (!space->pages)
		return error_nomem(err);
	r = track_open(&c->op, p->kind, pid, space->proc_fd, &space->track, &local);
	if (r == 0)
		return 0;
	op_debug(&c->op, "memory of process %d is copied in the stop: %s", pid, local.text);
	if (r == -ESRCH)
		space->gone = true;
	return r == -ENOMEM ? error_nomem(err) : 0;
}

/* A process and its descendants, as far as they are not known yet. */
static int find_spaces(struct checkpoint *c, pid_t pid, unsigned depth, struct error *err)
{
	_cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
	_cleanup_close_ int proc_fd = -1;
	struct proc_numbers children = { 0 };
	size_t i;
	int r;

	if (depth > DEPTH_MAX || proc_open(pid, &proc_fd, NULL) < 0)
		return 0;
	if (proc_children_read(proc_fd, &arena, &children, NULL) < 0)
		children.n_values = 0;
	r = op_cancelled(&c->op, err);
	if (r == 0 && !precopy_find(c->precopy, pid))
		r = add_space(c, pid, &proc_fd, err);
	for (i = 0; r == 0 && i < children.n_values; i++)
		r = find_spaces(c, children.values[i], depth + 1, err);
	return r;
}

static int round_of_space(struct checkpoint *c, struct precopy_space *space, struct error *err)
{
	struct batch b = { .p = c->precopy, .space = space, .op = &c->op };
	int r;

	r = look(c->precopy, space, err);
	if (r == 0)
		r = track_round(space->track, take_run, &b, err);
	if (r == 0)
		r = flush(&b, err);
	c->precopy->last_pages += b.pages;
	c->precopy->last_runs += b.runs_seen;
	space->runs = b.runs_seen;
	return r;
}

static int round_of_object(struct precopy *p, struct precopy_object *object, struct error *err)
{
	struct stat now;
	int r = 0;

	if (fstat(object->fd, &now) < 0)
		return error_errno(err, errno, "cannot look at shared memory %llu",
				   (unsigned long long)object->ino);
	if (object->whole || precopy_changed(object, &now)) {
		page_list_clear(&object->dirty);
		r = page_list_extents(&object->dirty, object->fd, (uint64_t)now.st_size, err);
	}
	page_list_sort(&object->dirty);
	object->seen = now;
	object->whole = false;
	p->last_pages += object->dirty.n_pages;
	p->last_runs += object->dirty.n_runs;
	if (r == 0)
		r = page_space_copy(object->pages, object->dirty.runs, object->dirty.n_runs, err);
	page_list_clear(&object->dirty);
	return r;
}

static int copy_round(struct checkpoint *c, struct error *err)
{
	struct precopy *p = c->precopy;
	size_t i, known = p->n_spaces;
	uint64_t before = clock_ns();
	bool unseen;
	int r = 0;

	p->last_pages = p->last_runs = 0;
	for (i = 0; r == 0 && i < c->request->target.n_pids; i++)
		r = find_spaces(c, c->request->target.pids[i], 0, err);
	for (i = 0; r == 0 && i < p->n_spaces; i++) {
		if (!p->spaces[i]->track || p->spaces[i]->gone)
			continue;
		r = round_of_space(c, p->spaces[i], err);
		if (r < 0 && has_ended(p->spaces[i], r, err))
			r = 0;
	}
	/* The newly found ones were not tracked until now; of others only the end was seen. */
	unseen = precopy_children_ended(p) || p->n_spaces > known;
	for (i = 0; i < p->n_objects; i++)
		p->objects[i]->whole |= unseen;
	for (i = 0; r == 0 && i < p->n_objects; i++)
		r = round_of_object(p, p->objects[i], err);
	if (r < 0)
		return r;
	p->rounds++;
	p->copied_pages += p->last_pages;
	p->round_ns = clock_ns() - before;
	op_debug(&c->op, "round %u: %llu pages in %llu runs, %.3f ms", p->rounds,
		 (unsigned long long)p->last_pages, (unsigned long long)p->last_runs,
		 (double)p->round_ns / 1e6);
	return 0;
}

/*
 * Another round pays while each leaves clearly less to the next: twice in a row not means that it
 * never will. With a budget also as long as the rest would not fit into it: a stop copies faster
 * than a round, so the round's time is a safe guess.
 */
static bool pays(const struct checkpoint *c, uint64_t before, unsigned *poor)
{
	const struct precopy *p = c->precopy;
	uint64_t budget = c->request->max_freeze_ns;

	if (p->last_pages <= PAGES_FEW)
		return false;
	*poor = p->last_pages * 100 < before * PAYS_PERCENT ? 0 : *poor + 1;
	if (budget && p->rounds < ROUNDS_BUDGET && BASE_NS + p->round_ns > budget)
		return true;
	return p->rounds < ROUNDS_MAX && *poor < POOR_MAX;
}

/*
 * Memory for the last pages. Faulting it in takes time in which the container writes: whoever has
 * grown it must make another round.
 */
static int make_ready(struct precopy *p, bool *ret_grown, struct error *err)
{
	uint64_t free_pages = (uint64_t)MAX(sysconf(_SC_AVPHYS_PAGES), 0L);
	uint64_t most = MIN(READY_MAX_PAGES, MAX(free_pages / 2, SPARE_PAGES));
	uint64_t pages = MIN(p->last_pages + SPARE_PAGES, most);
	size_t i;
	int r = 0;

	/* Written pages lie apart from each other: two runs each at most. */
	for (i = 0; r == 0 && i < p->n_spaces; i++)
		r = page_list_ready(&p->spaces[i]->last, 2 * p->spaces[i]->runs + SPARE_RUNS, err);
	if (r < 0)
		return r;
	*ret_grown = pages > p->ready_pages;
	if (!*ret_grown)
		return 0;
	p->ready_pages = MIN(pages + pages / 2, most);
	return page_store_ready(p->store, p->ready_pages * AMBER_PAGE_SIZE, err);
}

int checkpoint_precopy(struct checkpoint *c, struct error *err)
{
	struct precopy *p = arena_new(&c->set.arena, struct precopy);
	unsigned poor = 0;
	uint64_t before = 0;
	bool grown = false;
	int r;

	if (!p)
		return error_nomem(err);
	c->precopy = p;
	p->kind = c->request->no_precopy ? TRACK_NONE : track_probe();
	r = page_store_new(&c->op, c->archive.fd, c->archive.pos, c->memory_estimate, &p->store,
			   err);
	while (r == 0 && p->kind != TRACK_NONE) {
		before = p->last_pages;
		r = copy_round(c, err);
		if (r == 0 && p->rounds == 1)
			continue;
		if (r == 0)
			r = make_ready(p, &grown, err);
		if (!grown && !pays(c, before, &poor))
			break;
	}
	if (p->kind == TRACK_NONE && r == 0)
		r = archive_warm(&c->archive, &c->op, c->memory_estimate, err);
	if (p->kind == TRACK_NONE && r == 0)
		r = make_ready(p, &grown, err);
	c->result->rounds = p->rounds;
	c->result->tracker = kind_name(p->kind);
	return r;
}

void checkpoint_precopy_end(struct checkpoint *c)
{
	size_t i;

	for (i = 0; i < c->precopy->n_spaces; i++)
		track_close(&c->precopy->spaces[i]->track);
}

void checkpoint_precopy_free(struct checkpoint *c)
{
	struct precopy *p = c->precopy;
	size_t i;

	if (!p)
		return;
	checkpoint_precopy_end(c);
	page_store_free(&p->store);
	for (i = 0; i < p->n_spaces; i++) {
		arena_deinit(&p->spaces[i]->arena);
		page_list_deinit(&p->spaces[i]->last);
		if (p->spaces[i]->mem_fd >= 0)
			close(p->spaces[i]->mem_fd);
		if (p->spaces[i]->proc_fd >= 0)
			close(p->spaces[i]->proc_fd);
	}
	for (i = 0; i < p->n_objects; i++) {
		page_list_deinit(&p->objects[i]->dirty);
		close(p->objects[i]->fd);
	}
	arena_deinit(&p->arena);
	c->precopy = NULL;
}
