// SPDX-License-Identifier: Apache-2.0
/*
 * ns-visit: see ns-visit.h. The thread blocks all signals: handlers run where they always do.
 */
#include "object/ns-visit.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

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

int ns_visit(struct capture *cap, unsigned int kinds, ns_visit_fn *fn, void *arg, struct error *err)
{
	int fds[NS_KINDS], opened[NS_KINDS], r = 0;
	struct visit v = { fds, fn, arg, err, 0 };
	enum ns_kind kind;

	for (kind = 0; kind < NS_KINDS; kind++)
		fds[kind] = opened[kind] = -1;
	for (kind = 0; kind < NS_KINDS && r >= 0; kind++) {
		if (!(kinds & 1U << kind))
			continue;
		r = ns_open(cap->root->proc_fd, kind, &opened[kind], err);
		fds[kind] = opened[kind];
	}
	if (r >= 0)
		r = run(&v);
	for (kind = 0; kind < NS_KINDS; kind++)
		if (opened[kind] >= 0)
			close(opened[kind]);
	return r;
}
