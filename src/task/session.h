/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session: the inside of a script session, shared by session.c (composing), borrow.c (a place in
 * somebody else's task) and run.c (making the calls). For task/ only.
 */
#pragma once

#include "task/arch.h"
#include "task/gadget.h"
#include "task/script-steps.h"

struct script_birth {
	uint64_t call; /* address of the struct loop_call that made it */
	pid_t tid;
};

/* A thread of the task that is to make calls, or makes them now. */
struct borrowed {
	struct thread *thread;
	struct user_regs_struct
		home; /* the kernel's registers before the session, put back at its end */
	uint64_t home_mask;
	uint64_t mask;	 /* while calls are made */
	int trap_signal; /* ends a run, ignored by the task; 0 = every call is stopped at instead */
	bool suspended;	 /* seccomp filters are */
	size_t header;	 /* offset of its struct loop_header in shadow */
	size_t first, last; /* offsets of those of its calls that are to be run, 0 = none */
	enum { LANE_HOME = 0, LANE_RUNS, LANE_STANDS } lane; /* of those beside the session's own */
};

struct script {
	struct op *op;
	struct borrowed own;	/* the thread that was borrowed for the session */
	struct borrowed *lanes; /* others, for the next run only: lane.c */
	size_t n_lanes;
	/* How far it is; what was sent is under way in the task. */
	enum { SESSION_BEGINS, SESSION_HELD, SESSION_ENDS } stage;
	enum { CALL_NONE, CALL_SENT, CALL_ENTERED } call; /* one at a gadget */
	bool run_sent;					  /* of the session's own thread */
	bool adopted; /* the scratch area is not ours to map and unmap */
	int mem_fd;   /* /proc/<pid>/mem */

	/* the scratch area: one page of code, then header and data, of which shadow is our copy */
	uint64_t code;
	size_t size;
	unsigned char *shadow;
	size_t shadow_size; /* size without the code page */
	size_t used;	    /* bytes of shadow in use */
	size_t writable;    /* bytes behind the code page that the task can write by now */
	bool code_written;

	/* composing */
	size_t *calls; /* offsets of struct loop_call in shadow */
	size_t n_calls, cap_calls;
	size_t n_run;		      /* those whose run is over */
	size_t heal_end;	      /* what script_reset() must keep */
	size_t first_heal, last_heal; /* offset, 0 = none */
	int failed;		      /* the first failure of composing, told by the next run */

	/* borrowing */
	struct xstate_layout xstate;
	struct gadgets gadgets;
	struct proc_maps maps; /* before the session */
	struct arena maps_arena;
	struct arch_way_home way; /* bytes.len 0 = none: going home needs the scratch area */
	struct buf below_stack;	  /* what was where way.bytes are */

	struct script_birth *births;
	size_t n_births;
};

/* session_new, session_free - the struct with its shadow; borrows and returns nothing. */
int session_new(struct op *op, struct thread *thread, size_t size, struct script **ret,
		struct error *err) _must_check_;
void session_free(struct script *s);

/* session_keep_heal - after a run: heal calls no longer depend on records that may be forgotten. */
void session_keep_heal(struct script *s);

/* session_header - our copy of what the loop is told for the session's own thread. */
struct loop_header *session_header(struct script *s);

/* session_tail - the address of a thread's arch_loop_tail(), behind the loop. */
uint64_t session_tail(const struct script *s, const struct borrowed *b);

/* session_reserve - the offset of len new zeroed bytes in shadow; 0 when there is no room, which
 * the next run will tell. */
size_t session_reserve(struct script *s, size_t len);

/* session_chain - the thread whose calls are being appended. */
struct borrowed *session_chain(struct script *s);

/* session_remote - the address in the task of an offset in shadow. */
uint64_t session_remote(const struct script *s, size_t offset);

/* borrow_choose_trap - a signal that can end a run in this thread, 0 = there is none. */
int borrow_choose_trap(const struct thread *thread);

/* borrow_seccomp - suspend the filters of a thread, if it has any. */
int borrow_seccomp(struct script *s, struct borrowed *b, struct error *err) _must_check_;

/* borrow_fill_header - what the loop is told of a thread, in our copy. */
void borrow_fill_header(struct script *s, const struct borrowed *b);

/* borrow_go_home - mask and registers of a thread as they were. */
int borrow_go_home(struct script *s, struct borrowed *b, struct error *err);

/* run_start - let a thread run the loop that its registers stand in, by its trap signal. */
int run_start(struct script *s, struct borrowed *b, struct error *err) _must_check_;

/* run_finish - wait until it is behind its last call. */
int run_finish(struct script *s, struct borrowed *b, struct error *err) _must_check_;

/* run_read - results and data into our copy. */
int run_read(struct script *s, struct error *err) _must_check_;

/* run_put_scratch - our copy into the task. */
int run_put_scratch(struct script *s, struct error *err) _must_check_;

/* lanes_run - the calls of all lanes, at once; all are home afterwards. */
int lanes_run(struct script *s, struct error *err) _must_check_;

/*
 * run_call_send, run_call_take - make one call at a gadget, outside of the loop; between the two
 * the thread is on its way (script_push()).
 * @sp: stack pointer meanwhile
 * The second leaves the thread in a stop in which any registers can be set. They return 0 or a
 * negative errno; what the call said is in *ret_result.
 */
int run_call_send(struct script *s, uint64_t gadget, uint64_t sp, long nr, const uint64_t args[6],
		  struct error *err) _must_check_;
int run_call_take(struct script *s, int64_t *ret_result, struct error *err) _must_check_;

/* run_call - both. */
int run_call(struct script *s, uint64_t gadget, uint64_t sp, long nr, const uint64_t args[6],
	     int64_t *ret_result, struct error *err) _must_check_;

/* session_park - put the loop into the scratch area and stand in it: it would go home if we died.
 */
int session_park(struct script *s, struct error *err) _must_check_;
