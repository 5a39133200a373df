// SPDX-License-Identifier: Apache-2.0
/*
 * seccomp: system call filters of every thread, both directions.
 *
 * Filters form chains: a thread has a newest filter, which has an older one before it, shared with
 * other threads. The image keeps each filter once with the index of its predecessor. Filters are
 * installed before credentials are dropped; while scripts run, ptrace suspends them.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "object/task-kinds.h"
#include "task/regs.h"

#define CHAIN_MAX 4096 /* filters of one thread */

/* The index of a filter with this predecessor, made when the image has none yet. */
static int filter_index(struct image_set *set, Img__Seccomp *image,
			const struct regs_seccomp *filter, bool has_prev, uint32_t prev,
			uint32_t *ret, struct error *err)
{
	size_t len = filter->n_insns * sizeof(*filter->insns), i;
	Img__SeccompFilter *f, **grown;

	for (i = 0; i < image->n_seccomp_filters; i++) {
		f = image->seccomp_filters[i];
		if (f->filter.len == len && memcmp(f->filter.data, filter->insns, len) == 0 &&
		    f->has_prev == has_prev && (!has_prev || f->prev == prev) &&
		    f->flags == filter->flags) {
			*ret = (uint32_t)i;
			return 0;
		}
	}
	f = img_new(set, Img__SeccompFilter, seccomp_filter);
	grown = arena_grow(&set->arena, image->seccomp_filters, image->n_seccomp_filters,
			   sizeof(f));
	if (!f || !grown)
		return error_nomem(err);
	f->filter.data = (uint8_t *)filter->insns;
	f->filter.len = len;
	f->has_prev = has_prev;
	f->prev = prev;
	f->has_flags = true;
	f->flags = (uint32_t)filter->flags;
	image->seccomp_filters = grown;
	image->seccomp_filters[image->n_seccomp_filters] = f;
	*ret = (uint32_t)image->n_seccomp_filters++;
	return 0;
}

static int seccomp_image(struct image_set *set, Img__Seccomp **ret, struct error *err)
{
	*ret = image_single(set, IMAGE_SECCOMP, 0);
	if (*ret)
		return 0;
	*ret = img_new(set, Img__Seccomp, seccomp);
	if (!*ret)
		return error_nomem(err);
	return image_add(set, IMAGE_SECCOMP, 0, &(*ret)->base, (struct bytes){ 0 }, err);
}

static int seccomp_take(struct capture *cap, struct task_capture *tc, size_t thread,
			struct script *s, void *state, struct error *err)
{
	Img__ThreadCore *core = tc->thread_cores[thread]->thread_core;
	const struct thread *th = &tc->task->threads[thread];
	struct regs_seccomp *filters = NULL;
	Img__Seccomp *image;
	uint32_t index = 0;
	size_t n = 0, i;
	int r;

	(void)s, (void)state;
	core->has_seccomp_mode = true;
	core->seccomp_mode = (Img__SeccompMode)th->seccomp;
	if (th->seccomp != SECCOMP_MODE_FILTER)
		return 0;
	r = regs_get_seccomp(th, &cap->set->arena, &filters, &n, err);
	if (r == 0)
		r = seccomp_image(cap->set, &image, err);
	for (i = 0; r == 0 && i < n; i++)
		r = filter_index(cap->set, image, &filters[i], i > 0, index, &index, err);
	core->has_seccomp_filter = n > 0;
	core->seccomp_filter = index;
	return r;
}

/* The chain of a thread, newest first. */
static int chain_of(const Img__Seccomp *image, uint32_t newest, uint32_t *chain, size_t *ret_n,
		    struct error *err)
{
	uint32_t at = newest;
	size_t n = 0;

	for (;;) {
		if (!image || at >= image->n_seccomp_filters || n >= CHAIN_MAX)
			return error_set(err, ERROR_INPUT, EINVAL,
					 "the seccomp image has no sound chain from filter %u",
					 newest);
		chain[n++] = at;
		if (!image->seccomp_filters[at]->has_prev)
			break;
		at = image->seccomp_filters[at]->prev;
	}
	*ret_n = n;
	return 0;
}

static int put_filter(struct script *s, const Img__SeccompFilter *filter, struct error *err)
{
	struct {
		uint16_t len;
		uint64_t insns __attribute__((aligned(8)));
	} program = { .len = (uint16_t)(filter->filter.len / 8) };
	uint64_t at;

	if (filter->filter.len % 8 || filter->filter.len / 8 > UINT16_MAX || !filter->filter.len)
		return error_set(err, ERROR_INPUT, EINVAL, "a seccomp filter of %zu bytes is none",
				 filter->filter.len);
	program.insns = script_data(s, filter->filter.data, filter->filter.len);
	at = script_data(s, &program, sizeof(program));
	if (!program.insns || !at)
		return error_nomem(err);
	script_need(s, SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		    filter->has_flags ? filter->flags & SECCOMP_FILTER_FLAG_LOG : 0, at);
	return 0;
}

static int seccomp_revive(struct restore *rst, struct restore_task *task, size_t thread,
			  struct script *s, struct error *err)
{
	const Img__ThreadCore *core = task->threads[thread].core->thread_core;
	const Img__Seccomp *image = image_single(rst->set, IMAGE_SECCOMP, 0);
	_cleanup_free_ uint32_t *chain = NULL;
	size_t n = 0;
	int r;

	if (!core->has_seccomp_mode || core->seccomp_mode == IMG__SECCOMP_MODE__disabled)
		return 0;
	if (core->seccomp_mode == IMG__SECCOMP_MODE__strict) {
		script_need(s, SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
		return 0;
	}
	chain = calloc(CHAIN_MAX, sizeof(*chain));
	if (!chain)
		return error_nomem(err);
	r = chain_of(image, core->seccomp_filter, chain, &n, err);
	while (r == 0 && n-- > 0)
		r = put_filter(s, image->seccomp_filters[chain[n]], err);
	return r;
}

const struct task_kind seccomp_kind = {
	.name = "seccomp",
	.take_thread = seccomp_take,
	.revive_thread = seccomp_revive,
};
