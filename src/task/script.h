/* SPDX-License-Identifier: Apache-2.0 */
/*
 * script: system calls made inside a stopped task.
 *
 * A session borrows one thread: script_begin() puts a scratch area into the task, script_call() and
 * script_alloc() compose, script_run() makes all calls in one stop-to-stop run (hundreds of them
 *cost one), script_end() leaves the task as it was. The only code that ever enters a task is the
 *loop in arch/<machine>/loop.S.
 *
 * Rules for callers:
 * - Make calls that return at once. Never a wait with a timeout (it would overwrite what the kernel
 *   remembers of the interrupted one), never rt_sigreturn, sigaltstack is fine to ask.
 * - A run that has begun always comes to its end, also if amber dies; so let each run be whole in
 *   itself: what it opens it closes. Where a descriptor must live over several runs, register its
 *end with script_heal().
 * - The scratch area and some dead bytes below the thread's stack pointer are in the task's memory
 *   between script_begin() and script_end(): copy memory and read maps outside of sessions.
 * - One session per task at a time. All signals are held back during a run.
 *
 * If amber is killed, at whatever instant, the task finds home by itself: the run is finished, heal
 *calls are made, the scratch area is unmapped, mask and registers are as before. What cannot be
 *healed:
 * - in the microseconds between waking a thread and settling it (task/settle.h) a call of the table
 *in task/restart.c returns EINTR;
 * - a timed wait starts afresh, and one that only a signal ends goes on when that signal came in a
 *run;
 * - the rest of a run is judged by the task's seccomp filter, whose suspension ended with us;
 * - the first and the last call in a task without any free stack (task/place.h), or without the
 *   instructions (task/gadget.h), or with a shadow stack: some ten microseconds each; and in such a
 *task the scratch area stays mapped;
 * - the microseconds of script_move(), and runs with script_also(): the scratch area stays mapped.
 *
 *	_cleanup_script_ struct script *s = NULL;
 *	r = script_begin(op, task_leader(task), &s, err);
 *	uint64_t addr = script_alloc(s, sizeof(*old), (void **)&old);
 *	int alt = script_call(s, SYS_sigaltstack, 0, addr);
 *	r = script_run(s, err);
 *	if (script_result(s, alt) == 0) ... old->ss_sp ...
 *	r = script_end(&s, err);
 */
#pragma once

#include "task/task.h"

struct script;

/* What script_result() says of a call that was never made. */
#define SCRIPT_NOT_RUN INT64_MIN

/* A bound for one session's records and data. */
#define SCRIPT_CAPACITY ((size_t)1 << 20)

/*
 * script_begin - borrow a stopped thread.
 * @thread: any thread of the task, as a rule task_leader(); another one of the same task is taken
 * where that is safer for the task, unless exact_thread is set
 * @exact: the calls ask about this very thread (gettid-like facts: sigaltstack, robust list,
 * timers) -EOPNOTSUPP: a 32-bit task. -ENOEXEC: no place in it from which to make a call. Others:
 * as mmap in the task says.
 */
int script_begin(struct op *op, struct task_tree *tree, struct thread *thread, bool exact,
		 struct script **ret, struct error *err) _must_check_;

/*
 * script_adopt - a session in a puppet: a stopped child of ours whose scratch area we made
 * ourselves.
 * @addr, @size: page-aligned private anonymous memory, at least 3 pages: the first page gets the
 * loop and must be readable and executable, the rest readable and writable. The script may unmap or
 *        remap everything else.
 * Nothing is mapped, unmapped or healed by this session; script_end() only frees it and gives the
 * registers and the signal mask back as they were.
 */
int script_adopt(struct op *op, struct thread *thread, uint64_t addr, size_t size,
		 struct script **ret, struct error *err) _must_check_;

/*
 * script_move - go on with the session in another thread of the same task, without mapping anything
 * anew. For what each thread must be asked itself. Calls and data stay; the thread left behind is
 * as it was. After a failure the session is only good to be ended.
 */
int script_move(struct script *s, struct thread *to, struct error *err) _must_check_;

/* One argument of a call: a number, an address, or SCRIPT_RESULT(index of an earlier call). */
struct script_arg {
	uint64_t value;
	bool result;
};

static inline struct script_arg script_arg_number(uint64_t value)
{
	return (struct script_arg){ value, false };
}
static inline struct script_arg script_arg_pointer(const void *value)
{
	return (struct script_arg){ (uintptr_t)value, false };
}
static inline struct script_arg script_arg_self(struct script_arg arg)
{
	return arg;
}

#define SCRIPT_RESULT(index) ((struct script_arg){ (uint64_t)(index), true })

enum script_flags {
	SCRIPT_STOP_ON_FAILURE = 1, /* when this call fails the run ends: later ones are NOT_RUN */
};

/* script_append - what script_call() expands to; also for flags. */
int script_append(struct script *s, unsigned flags, long nr, const struct script_arg args[6]);

#define SCRIPT_ARG(x)                                                                              \
	_Generic((x),                                                                              \
		struct script_arg: script_arg_self,                                                \
		void *: script_arg_pointer,                                                        \
		const void *: script_arg_pointer,                                                  \
		default: script_arg_number)(x)
#define SCRIPT_ARGS(unused, a, b, c, d, e, f, ...)                                                 \
	((const struct script_arg[6]){ SCRIPT_ARG(a), SCRIPT_ARG(b), SCRIPT_ARG(c), SCRIPT_ARG(d), \
				       SCRIPT_ARG(e), SCRIPT_ARG(f) })

/*
 * script_call(s, nr, args...) - one more call, up to six arguments, missing ones are 0. Negative
 * numbers are sign-extended to the register.
 * Returns its index, for script_result() and SCRIPT_RESULT(). Memory exhaustion is remembered and
 * reported by script_run(): the index need not be checked.
 */
#define script_call(s, nr, ...)                                                                    \
	script_append(s, 0, nr, SCRIPT_ARGS(0, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0))

/* script_need(s, nr, args...) - the same with SCRIPT_STOP_ON_FAILURE. */
#define script_need(s, nr, ...)                                                                    \
	script_append(s, SCRIPT_STOP_ON_FAILURE, nr,                                               \
		      SCRIPT_ARGS(0, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0))

/*
 * script_heal_call(s, nr, args...) - a call that is made only if amber dies in the session, on the
 * task's way home: close() of a descriptor that lives over several runs. It counts from the
 * beginning of the next run; so SCRIPT_RESULT() may name a call of that run or an earlier one, and
 * no instant is without it. script_unheal() forgets all of them from the beginning of the next run,
 * the one that does the same in the ordinary way.
 */
int script_append_heal(struct script *s, long nr, const struct script_arg args[6]);
#define script_heal_call(s, nr, ...)                                                               \
	script_append_heal(s, nr, SCRIPT_ARGS(0, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0))
void script_unheal(struct script *s);

/*
 * script_alloc - zeroed bytes in the scratch area, 16-aligned.
 * @local: our shadow, NULL when not wanted; copied in before and back after each run; valid until
 *         script_reset() or script_end()
 * Returns the address in the task, 0 when SCRIPT_CAPACITY is exhausted (then *local is NULL).
 */
uint64_t script_alloc(struct script *s, size_t len, void **local);

/* script_data, script_string - a copy of these bytes in the scratch area; address or 0. */
uint64_t script_data(struct script *s, const void *data, size_t len);
uint64_t script_string(struct script *s, const char *string);

/*
 * script_run - make the calls appended since the last run, in order, in one go.
 * Returns 0 when the run came to its end, whatever the calls said; -ESRCH when the task died;
 * another negative errno when the run could not be made.
 */
int script_run(struct script *s, struct error *err) _must_check_;

/* script_result - what the call with this index returned: >= 0, -errno or SCRIPT_NOT_RUN. */
int64_t script_result(const struct script *s, int index);

/* script_reset - forget calls, results and allocations, keep the session. */
void script_reset(struct script *s);

/*
 * script_end - unmap the scratch area, put stack bytes, mask and registers back exactly, free.
 * @s: taken, *s is NULL afterwards whatever is returned
 */
int script_end(struct script **s, struct error *err);

static inline void cleanup_script(struct script **s)
{
	if (*s)
		(void)script_end(s, NULL);
}
#define _cleanup_script_ _cleanup_(cleanup_script)

/* script_thread - the thread that the session has borrowed. */
struct thread *script_thread(struct script *s);

/*
 * script_new_thread - a child (thread or process) that a call of a run created in a puppet.
 * @index: of the clone(), clone3(), fork() or vfork() call
 * @ret: its tid in our pid namespace; it is attached and stands before its first user instruction
 * -ENOENT when the call made none. The caller keeps it with puppet_add_thread() (task/puppet.h).
 */
int script_new_thread(const struct script *s, int index, pid_t *ret,
		      struct error *err) _must_check_;
