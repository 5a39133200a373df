// SPDX-License-Identifier: Apache-2.0
/*
 * session: composing calls and data in our copy of the scratch area. Touches no task: borrow.c and
 * run.c do.
 */
#include "task/session.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "task/trace.h"

#define ALIGNMENT     16
#define BIRTH_WAIT_NS (2 * 1000000000ULL)
#define HEADER_SIZE   ((sizeof(struct loop_header) + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1))

int session_new(struct op *op, struct thread *thread, size_t size, struct script **ret,
		struct error *err)
{
	struct script *s = calloc(1, sizeof(*s));

	if (!s)
		return error_nomem(err);
	*s = (struct script){ .op = op,
			      .own.thread = thread,
			      .mem_fd = -1,
			      .size = size,
			      .shadow_size = size - AMBER_PAGE_SIZE,
			      .used = HEADER_SIZE,
			      .heal_end = HEADER_SIZE };
	/* Addresses inside it are given to callers: it must never move. Untouched pages cost
	 * nothing. */
	s->shadow = mmap(NULL, s->shadow_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s->shadow == MAP_FAILED) {
		free(s);
		return error_nomem(err);
	}
	*ret = s;
	return 0;
}

void session_free(struct script *s)
{
	munmap(s->shadow, s->shadow_size);
	if (s->mem_fd >= 0)
		close(s->mem_fd);
	arena_deinit(&s->maps_arena);
	buf_deinit(&s->way.bytes);
	buf_deinit(&s->below_stack);
	free(s->calls);
	free(s->births);
	free(s->lanes);
	free(s);
}

struct loop_header *session_header(struct script *s)
{
	return (struct loop_header *)s->shadow;
}

uint64_t session_remote(const struct script *s, size_t offset)
{
	return s->code + AMBER_PAGE_SIZE + offset;
}

uint64_t session_tail(const struct script *s, const struct borrowed *b)
{
	size_t loop = (size_t)(arch_loop_end - arch_loop), i = 0;

	if (b != &s->own)
		i = (size_t)(b - s->lanes) + 1;
	return s->code + ((loop + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1)) + i * ARCH_TAIL_BYTES;
}

size_t session_reserve(struct script *s, size_t len)
{
	size_t offset = s->used;

	if (len > s->shadow_size - s->used || s->shadow_size - s->used - len < ALIGNMENT) {
		if (!s->failed)
			s->failed = -ENOSPC;
		return 0;
	}
	s->used = (s->used + len + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	return offset;
}

static struct loop_call *call_at(const struct script *s, size_t offset)
{
	return (struct loop_call *)(s->shadow + offset);
}

static size_t new_call(struct script *s, long nr, unsigned flags)
{
	size_t offset = session_reserve(s, sizeof(struct loop_call));

	if (offset)
		*call_at(s, offset) =
			(struct loop_call){ .nr = nr, .flags = flags, .result = SCRIPT_NOT_RUN };
	return offset;
}

/* A result is named by the address of its record in the task, where the loop finds it. */
static int set_args(struct script *s, struct loop_call *call, const struct script_arg args[6])
{
	for (int i = 0; i < 6; i++) {
		call->arg[i] = args[i].value;
		if (!args[i].result)
			continue;
		if (args[i].value >= s->n_calls)
			return -EINVAL;
		call->refs |= 1u << i;
		call->arg[i] = session_remote(s, s->calls[args[i].value] +
							 offsetof(struct loop_call, result));
	}
	return 0;
}

struct borrowed *session_chain(struct script *s)
{
	return s->n_lanes ? &s->lanes[s->n_lanes - 1] : &s->own;
}

int script_append(struct script *s, unsigned flags, long nr, const struct script_arg args[6])
{
	struct borrowed *chain = session_chain(s);
	size_t offset, cap, *calls;
	int r;

	if (s->n_calls == s->cap_calls) {
		cap = s->cap_calls ? s->cap_calls * 2 : 64;
		calls = reallocarray(s->calls, cap, sizeof(*calls));
		if (!calls) {
			s->failed = -ENOMEM;
			return 0;
		}
		s->calls = calls;
		s->cap_calls = cap;
	}
	offset = new_call(s, nr, flags);
	if (!offset)
		return 0;
	r = set_args(s, call_at(s, offset), args);
	if (r < 0) {
		s->failed = r;
		return 0;
	}
	if (chain->last)
		call_at(s, chain->last)->next = session_remote(s, offset);
	else
		chain->first = offset;
	chain->last = offset;
	s->calls[s->n_calls] = offset;
	return (int)s->n_calls++;
}

int script_append_heal(struct script *s, long nr, const struct script_arg args[6])
{
	size_t offset = new_call(s, nr, 0);
	int r;

	if (!offset)
		return s->failed;
	r = set_args(s, call_at(s, offset), args);
	if (r < 0) {
		s->failed = r;
		return r;
	}
	if (s->last_heal)
		call_at(s, s->last_heal)->next = session_remote(s, offset);
	else
		s->first_heal = offset;
	s->last_heal = offset;
	return 0;
}

void script_unheal(struct script *s)
{
	/* The records stay until the next run has begun: the thread's registers still name them. */
	s->first_heal = s->last_heal = 0;
}

void session_keep_heal(struct script *s)
{
	size_t base = (size_t)session_remote(s, 0);

	for (size_t at = s->first_heal; at;) {
		struct loop_call *call = call_at(s, at);

		for (int i = 0; i < 6; i++)
			if (call->refs & 1u << i)
				call->arg[i] = *(uint64_t *)(s->shadow + (call->arg[i] - base));
		call->refs = 0;
		at = call->next ? (size_t)(call->next - base) : 0;
	}
	s->heal_end = s->last_heal ? s->last_heal + sizeof(struct loop_call) : HEADER_SIZE;
}

uint64_t script_alloc(struct script *s, size_t len, void **local)
{
	size_t offset = session_reserve(s, len);

	if (local)
		*local = offset ? s->shadow + offset : NULL;
	return offset ? session_remote(s, offset) : 0;
}

uint64_t script_data(struct script *s, const void *data, size_t len)
{
	void *local;
	uint64_t addr = script_alloc(s, len, &local);

	if (addr && len)
		memcpy(local, data, len);
	return addr;
}

uint64_t script_string(struct script *s, const char *string)
{
	return script_data(s, string, strlen(string) + 1);
}

int64_t script_result(const struct script *s, int index)
{
	if (index < 0 || (size_t)index >= s->n_run)
		return SCRIPT_NOT_RUN;
	return call_at(s, s->calls[index])->result;
}

static size_t heal_before(const struct script *s, size_t offset)
{
	size_t at = s->first_heal;

	while (call_at(s, at)->next != session_remote(s, offset))
		at = (size_t)(call_at(s, at)->next - session_remote(s, 0));
	return at;
}

void script_reset(struct script *s)
{
	size_t keep = s->heal_end;

	/* A heal call that no run has begun with is one of what is forgotten. */
	if (s->first_heal >= keep)
		s->first_heal = s->last_heal = 0;
	while (s->last_heal >= keep)
		s->last_heal = heal_before(s, s->last_heal);
	if (s->last_heal)
		call_at(s, s->last_heal)->next = 0;
	keep = (keep + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (s->used > keep)
		memset(s->shadow + keep, 0, s->used - keep);
	s->used = keep;
	s->n_calls = s->n_run = 0;
	s->own.first = s->own.last = 0;
	s->n_lanes = 0;
	s->failed = 0;
	s->n_births = 0;
}

struct thread *script_thread(struct script *s)
{
	return s->own.thread;
}

int script_new_thread(const struct script *s, int index, pid_t *ret, struct error *err)
{
	uint64_t call =
		index >= 0 && (size_t)index < s->n_run ? session_remote(s, s->calls[index]) : 0;
	struct trace_event event;

	for (size_t i = 0; call && i < s->n_births; i++) {
		if (s->births[i].call != call)
			continue;
		trace_wait(s->births[i].tid, clock_ns() + BIRTH_WAIT_NS, &event);
		if (event.kind != TRACE_STOP)
			return error_set(err, ERROR_SYSTEM, ESRCH,
					 "thread %d was made, but did not stop", s->births[i].tid);
		*ret = s->births[i].tid;
		return 0;
	}
	return error_set(err, ERROR_INTERNAL, ENOENT, "call %d of the script made no thread",
			 index);
}
