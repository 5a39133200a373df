// SPDX-License-Identifier: Apache-2.0
/*
 * fd-gather: see fd-gather.h. Descriptors are claimed one by one, by whoever comes first: the
 * thread goes ahead from the first to the last, the caller takes what is there and helps himself to
 * what is not. The thread allocates nothing but in its arena, which the look has made ready.
 */
#include "object/fd-gather.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/pidfd.h"
#include "kernel/proc-fdinfo.h"
#include "kernel/proc.h"
#include "object/look.h"

#define FDINFO_SHORT 2048	       /* bytes of most fdinfo texts */
#define AHEAD_MIN    96		       /* descriptors that are worth a thread */
#define KEEP_MAX     ((size_t)1 << 14) /* whose facts are all kept, each with its duplicate */
#define KEEP_MIN     64
#define OTHERS_MAX   512 /* descriptors that amber has besides */
#define STACK_SIZE   ((size_t)128 << 10)

/* Position, flags, mount and whatever else fdinfo says. @info_fd: it, open already, or -1 */
static int facts_read_fdinfo(struct task *task, int fd, int info_fd, struct arena *arena,
			     struct fd_facts *facts, struct error *err)
{
	struct proc_fdinfo *info = arena_new(arena, struct proc_fdinfo);
	unsigned char text[FDINFO_SHORT];
	ssize_t n;
	int r;

	if (!info)
		return error_nomem(err);
	/* One record: a read that does not fill the room has brought all of it. */
	n = info_fd < 0 ? -1 : pread(info_fd, text, sizeof(text), 0);
	if (n > 0 && n < (ssize_t)sizeof(text))
		r = proc_fdinfo_parse((struct bytes){ text, (size_t)n }, arena, info, err);
	else
		r = proc_fdinfo_read(task->proc_fd, fd, arena, info, err);
	if (r < 0)
		return r;
	facts->info = info;
	facts->pos = info->pos;
	facts->flags = info->flags;
	facts->mnt_id = info->mnt_id;
	return 0;
}

/* The link of a pipe or socket says only what we know; others are asked. */
static int facts_read_link(const struct look *look, struct arena *arena, struct fd_facts *facts,
			   struct error *err)
{
	const struct stat *st = &facts->st;
	const char *kind = NULL;
	char name[32];

	if (S_ISSOCK(st->st_mode) && !(facts->flags & O_PATH))
		kind = "socket";
	else if (look && look->pipe_dev && st->st_dev == look->pipe_dev)
		kind = "pipe";
	if (!kind) {
		(void)snprintf(name, sizeof(name), "fd/%d", facts->fd);
		return proc_readlink(facts->task->proc_fd, name, arena, &facts->link, err);
	}
	facts->link = arena_printf(arena, "%s:[%llu]", kind, (unsigned long long)st->st_ino);
	return facts->link ? 0 : error_nomem(err);
}

int fd_gather(const struct look *look, struct task *task, int fd, int info_fd, struct arena *arena,
	      struct fd_facts *ret, struct error *err)
{
	struct fd_facts facts = { .task = task, .fd = fd, .dup = -1 };
	_cleanup_close_ int dup = -1;
	int r;

	r = pidfd_take_fd(task->pidfd, fd, &dup, err);
	if (r == -EBADF) {
		error_clear(err);
		return 1;
	}
	if (r < 0)
		return r;
	if (fstat(dup, &facts.st) < 0)
		return error_errno(err, errno, "cannot stat descriptor %d of process %d", fd,
				   (int)task->pid);
	r = facts_read_fdinfo(task, fd, info_fd, arena, &facts, err);
	if (r == 0)
		r = facts_read_link(look, arena, &facts, err);
	if (r < 0)
		return r;
	facts.dup = TAKE_FD(dup);
	*ret = facts;
	return 0;
}

enum claim { CLAIM_NONE, CLAIM_TAKEN, CLAIM_DONE };

struct fd_gatherer {
	struct look *look;
	const struct look_task *seen;
	struct task *task;
	const int *fds;
	size_t n, n_kept;	/* n, or 1 */
	struct fd_facts *facts; /* n_kept; dup -1 where there is none */
	int *outcomes;
	_Atomic unsigned char *claims;
	struct arena own[2], *arenas[2]; /* the caller's, the thread's */
	pthread_t thread;
	bool has_thread;
	_Atomic bool enough;
};

static int gather_one(struct fd_gatherer *g, size_t i, size_t slot, struct arena *arena,
		      struct error *err)
{
	return fd_gather(g->look, g->task, g->fds[i], look_info_fd(g->seen, g->fds[i]), arena,
			 &g->facts[slot], err);
}

static bool claim(struct fd_gatherer *g, size_t i)
{
	unsigned char none = CLAIM_NONE;

	return atomic_compare_exchange_strong(&g->claims[i], &none, CLAIM_TAKEN);
}

static void *ahead(void *arg)
{
	struct fd_gatherer *g = arg;
	size_t i;

	for (i = 0; i < g->n && !atomic_load(&g->enough); i++) {
		if (!claim(g, i))
			continue;
		g->outcomes[i] = gather_one(g, i, i, g->arenas[1], NULL);
		atomic_store(&g->claims[i], CLAIM_DONE);
	}
	return NULL;
}

/* Without a thread it only takes longer. */
static void start(struct fd_gatherer *g)
{
	pthread_attr_t attr;
	sigset_t all, old;

	if (pthread_attr_init(&attr))
		return;
	(void)pthread_attr_setstacksize(&attr, STACK_SIZE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* handlers run where they always do */
	g->has_thread = pthread_create(&g->thread, &attr, ahead, g) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
}

static bool may_keep(const struct look *look, size_t n)
{
	return n <= KEEP_MIN ||
	       (n <= KEEP_MAX && look && look->n_fds + n + OTHERS_MAX <= look->files_max);
}

int fd_gatherer_new(struct look *look, struct task *task, const int *fds, size_t n,
		    struct fd_gatherer **ret, struct error *err)
{
	struct fd_gatherer *g = calloc(1, sizeof(*g));
	size_t i;

	if (!g)
		return error_nomem(err);
	*ret = g;
	g->look = look;
	g->seen = look_find(look, task->pid);
	g->task = task;
	g->fds = fds;
	g->n = n;
	g->n_kept = may_keep(look, n) ? n : 1;
	for (i = 0; i < ARRAY_SIZE(g->arenas); i++) {
		g->arenas[i] = look ? &look->scratch[i] : &g->own[i];
		arena_reset(g->arenas[i]);
	}
	g->facts = arena_array(g->arenas[0], struct fd_facts, g->n_kept);
	g->outcomes = arena_array(g->arenas[0], int, g->n_kept);
	g->claims = arena_array(g->arenas[0], _Atomic unsigned char, g->n_kept);
	if (!g->facts || !g->outcomes || !g->claims) {
		fd_gatherer_free(g);
		*ret = NULL;
		return error_nomem(err);
	}
	for (i = 0; i < g->n_kept; i++)
		g->facts[i].dup = -1;
	if (look && n >= AHEAD_MIN && g->n_kept == n)
		start(g);
	return 0;
}

/* Too many to keep: one at a time. */
static int take_alone(struct fd_gatherer *g, size_t i, struct error *err)
{
	struct arena *arena = g->arenas[1];

	if (g->facts[0].dup >= 0)
		close(g->facts[0].dup);
	g->facts[0].dup = -1;
	arena_reset(arena);
	return gather_one(g, i, 0, arena, err);
}

int fd_gatherer_take(struct fd_gatherer *g, size_t i, const struct fd_facts **ret,
		     struct error *err)
{
	*ret = &g->facts[g->n_kept == g->n ? i : 0];
	if (g->n_kept != g->n)
		return take_alone(g, i, err);
	if (claim(g, i)) {
		g->outcomes[i] = gather_one(g, i, i, g->arenas[0], err);
		atomic_store(&g->claims[i], CLAIM_DONE);
		return g->outcomes[i];
	}
	while (atomic_load(&g->claims[i]) != CLAIM_DONE)
		sched_yield();
	if (g->outcomes[i] < 0) /* once more, for the text of the error */
		g->outcomes[i] = gather_one(g, i, i, g->arenas[0], err);
	return g->outcomes[i];
}

void fd_gatherer_free(struct fd_gatherer *g)
{
	size_t i;

	if (!g)
		return;
	atomic_store(&g->enough, true);
	if (g->has_thread)
		(void)pthread_join(g->thread, NULL);
	for (i = 0; g->facts && i < g->n_kept; i++)
		if (g->facts[i].dup >= 0)
			close(g->facts[i].dup);
	for (i = 0; i < ARRAY_SIZE(g->own); i++)
		arena_deinit(&g->own[i]);
	free(g);
}
