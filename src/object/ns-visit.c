// SPDX-License-Identifier: Apache-2.0
/*
 * ns-visit: see ns-visit.h.
 *
 * Most kinds we join ourselves, and come back: two short calls. A mount namespace is joined by a
 * thread of its own, for our root and working directory would not survive it; that thread blocks
 * all signals: handlers run where they always do.
 */
#include "object/ns-visit.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "kernel/proc.h"

#define VISIT_STACK ((size_t)256 << 10)

struct visit {
	const int *fds; /* NS_KINDS, -1 = stay */
	ns_visit_fn *fn;
	void *arg;
	struct error *err;
	int r;
};

static int join(const struct visit *v)
{
	enum ns_kind kind;

	/* a mount namespace is joined by who shares his root directory with no other thread */
	if (v->fds[NS_MNT] >= 0 && unshare(CLONE_FS) < 0)
		return error_errno(v->err, errno, "cannot prepare to join a mount namespace");
	for (kind = 0; kind < NS_KINDS; kind++)
		if (v->fds[kind] >= 0 && setns(v->fds[kind], ns_kind_flag(kind)) < 0)
			return error_errno(v->err, errno, "cannot join the %s namespace",
					   ns_kind_name(kind));
	return 0;
}

static void *visit(void *arg)
{
	struct visit *v = arg;

	v->r = join(v);
	if (v->r == 0)
		v->r = v->fn(v->arg, v->err);
	return NULL;
}

static int run(struct visit *v)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int e;

	e = pthread_attr_init(&attr);
	if (e)
		return error_errno(v->err, e, "cannot prepare a thread");
	(void)pthread_attr_setstacksize(&attr, VISIT_STACK);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	e = pthread_create(&thread, &attr, visit, v);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (e)
		return error_errno(v->err, e, "cannot start a thread");
	(void)pthread_join(thread, NULL);
	return v->r;
}

static int open_kinds(int proc_fd, unsigned int kinds, int fds[NS_KINDS], struct error *err)
{
	enum ns_kind kind;
	int r = 0;

	for (kind = 0; kind < NS_KINDS; kind++)
		fds[kind] = -1;
	for (kind = 0; kind < NS_KINDS && r >= 0; kind++)
		if (kinds & 1U << kind)
			r = ns_open(proc_fd, kind, &fds[kind], err);
	return r;
}

static void close_kinds(int fds[NS_KINDS])
{
	enum ns_kind kind;

	for (kind = 0; kind < NS_KINDS; kind++)
		if (fds[kind] >= 0)
			close(fds[kind]);
}

/* There and back. A way that is barred half-way is gone back as well. */
static int visit_ourselves(struct visit *v, unsigned int kinds)
{
	_cleanup_close_ int self = -1;
	int own[NS_KINDS];
	enum ns_kind kind;
	int r;

	r = proc_open(getpid(), &self, v->err);
	if (r < 0)
		return r;
	r = open_kinds(self, kinds, own, v->err);
	if (r >= 0)
		r = join(v);
	if (r >= 0)
		r = v->fn(v->arg, v->err);
	for (kind = 0; kind < NS_KINDS; kind++)
		if (own[kind] >= 0 && setns(own[kind], ns_kind_flag(kind)) < 0)
			r = error_errno(v->err, errno, "cannot return to our own %s namespace",
					ns_kind_name(kind));
	close_kinds(own);
	return r;
}

int ns_visit_at(int proc_fd, unsigned int kinds, ns_visit_fn *fn, void *arg, struct error *err)
{
	int fds[NS_KINDS], r;
	struct visit v = { fds, fn, arg, err, 0 };

	r = open_kinds(proc_fd, kinds, fds, err);
	if (r >= 0)
		r = kinds & 1U << NS_MNT ? run(&v) : visit_ourselves(&v, kinds);
	close_kinds(fds);
	return r;
}

int ns_visit(struct capture *cap, unsigned int kinds, ns_visit_fn *fn, void *arg, struct error *err)
{
	return ns_visit_at(cap->root->proc_fd, kinds, fn, arg, err);
}
