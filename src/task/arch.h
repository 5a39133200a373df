/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arch: all that task/ must know of the machine. One folder arch/<machine>/ implements it.
 *
 * Registers are edited here and nowhere else. Nothing here makes a system call.
 */
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include "base/buf.h"
#include "task/task.h"

/* What the kernel leaves in the result register of a call that it means to restart by itself. */
#define KERNEL_ERESTARTSYS	     512
#define KERNEL_ERESTARTNOINTR	     513
#define KERNEL_ERESTARTNOHAND	     514
#define KERNEL_ERESTART_RESTARTBLOCK 516

/* Instructions that are looked for in a task's executable mappings. */
enum arch_gadget {
	ARCH_GADGET_SYSCALL,   /* makes a call; what follows it does not matter */
	ARCH_GADGET_CALL,      /* makes a call and returns to the address on the stack */
	ARCH_GADGET_SIGRETURN, /* makes rt_sigreturn, as a signal handler's return address does */
	ARCH_GADGETS
};

#define ARCH_GADGET_BYTES 11 /* the longest of them */

/* arch_gadget_match - is there such a gadget at this place? */
bool arch_gadget_match(enum arch_gadget which, const unsigned char *code, size_t len);

/* arch_gadget_search - offset of the first one of each kind in these bytes, SIZE_MAX = none. */
void arch_gadget_search(const unsigned char *code, size_t len, size_t ret[ARCH_GADGETS]);

/* arch_native - can scripts run in a task with these registers (not so for 32-bit ones)? */
bool arch_native(const struct user_regs_struct *regs);

uint64_t arch_ip(const struct user_regs_struct *regs);
uint64_t arch_sp(const struct user_regs_struct *regs);
uint64_t arch_tls(const struct user_regs_struct *regs);
void arch_set_ip(struct user_regs_struct *regs, uint64_t ip);

/* arch_arg, arch_set_arg - an argument of the call that was interrupted or is to be made, 0 to 5.
 */
uint64_t arch_arg(const struct user_regs_struct *regs, int arg);
void arch_set_arg(struct user_regs_struct *regs, int arg, uint64_t value);

/* Reads code for arch_arg_dies(); returns how many bytes there were. */
typedef size_t arch_code_fn(void *ctx, uint64_t addr, void *buf, size_t len);

/*
 * arch_arg_dies - will nobody read this argument's register any more after the call?
 * @ip: behind the `syscall`
 * @red_zone: nor the red zone below the stack pointer
 * Decodes what stands there. False when it is read, or when that cannot be told.
 */
bool arch_arg_dies(arch_code_fn *read, void *ctx, uint64_t ip, int arg, bool red_zone);

/* arch_result - the return value of the call that has just been made. */
int64_t arch_result(const struct user_regs_struct *regs);

/*
 * arch_interrupted - did the stop interrupt a system call?
 * @ret_nr: its number
 * Returns 0 when not, else what is in the result register (negative error, or a result).
 */
int64_t arch_interrupted(const struct user_regs_struct *regs, long *ret_nr);

/*
 * arch_restarted - is this a call that the kernel has restarted once already (restart_syscall), so
 * that its registers no longer tell which?
 */
bool arch_restarted(const struct user_regs_struct *regs);

/*
 * arch_restarted_nr - which call that is, read from the instructions in front of ip.
 * @before: the bytes that end where ip stands, behind the `syscall`
 * Returns its number, or 0 when they do not tell.
 */
long arch_restarted_nr(const unsigned char *before, size_t len);

/* arch_redo - stand in front of the interrupted call, so that it is made again when the task runs.
 * @nr: its number where arch_restarted(), else 0 */
void arch_redo(struct user_regs_struct *regs, long nr);

/* arch_redo_restart - the same for ERESTART_RESTARTBLOCK: go on with the time that is left. */
void arch_redo_restart(struct user_regs_struct *regs);

/* arch_give_up - the interrupted call returns EINTR. */
void arch_give_up(struct user_regs_struct *regs);

/* arch_settle - the kernel shall not take these registers for an interrupted call. */
void arch_settle(struct user_regs_struct *regs);

/* arch_call - make this call at the gadget at ip, with the stack pointer sp. */
void arch_call(struct user_regs_struct *regs, uint64_t ip, uint64_t sp, long nr,
	       const uint64_t args[6]);

/*
 * The loop (loop.S). One call of a run: */
struct loop_call {
	uint64_t next; /* address of the next one, 0 = last */
	int64_t nr;
	uint64_t arg[6];
	uint32_t refs;	/* bit i: arg[i] is the address of the value */
	uint32_t flags; /* enum script_flags */
	int64_t result;
};

/* What the loop is told, at the start of the page behind it. */
struct loop_header {
	uint64_t first;	  /* the calls of this run */
	uint64_t trap[4]; /* number and arguments of the call with which a run ends */
	uint64_t
		home_frame; /* stack pointer for rt_sigreturn, 0 = go home by the registers below */
	uint64_t mask;	    /* signal mask at home */
	uint64_t tail;	    /* address of its arch_loop_tail() */
	struct user_regs_struct home;
};

extern const unsigned char arch_loop[], arch_loop_entry[], arch_loop_trap[], arch_loop_end[];

/*
 * arch_loop_tail - the last instructions of a way home by registers, one for each thread: when all
 * registers are the program's again, only the place of an instruction can tell where to go.
 * @at: the address where tail will lie, in the page of the loop
 * @header: address of the thread's struct loop_header
 */
#define ARCH_TAIL_BYTES 16
void arch_loop_tail(unsigned char tail[ARCH_TAIL_BYTES], uint64_t at, uint64_t header);

/*
 * arch_loop_enter - registers that start a run.
 * @code: address of the page with the loop; data follow it
 * @header: address of the thread's struct loop_header
 * @rw_size: bytes behind the code page that the loop first makes writable, 0 = they are
 * @heal: the calls on the way home, when nobody traces us any more; 0 = none
 */
void arch_loop_enter(struct user_regs_struct *regs, uint64_t code, uint64_t header,
		     uint64_t rw_size, uint64_t heal);

/* arch_loop_current - address of the loop_call being made; arch_loop_error - of making memory
 * writable. */
uint64_t arch_loop_current(const struct user_regs_struct *regs);
int64_t arch_loop_error(const struct user_regs_struct *regs);

/*
 * The way home of a task whose tracer died before the loop was there: two signal frames on its own
 * stack. The first undoes the mapping and goes to the second, which restores everything.
 */
struct arch_way_home {
	uint64_t addr; /* of the bytes */
	uint64_t undo,
		home; /* stack pointers with which a CALL gadget returns into one or the other */
	uint64_t home_frame; /* stack pointer for rt_sigreturn into undo, for loop_header */
	struct buf bytes;
};

/* The last bytes of every way home: what is found above them is left from a death of ours. */
extern const unsigned char arch_way_home_mark[16];

struct arch_way_home_plan {
	const struct user_regs_struct *home;
	uint64_t end; /* the frames lie below this address */
	uint64_t mask;
	struct bytes xstate;
	const struct xstate_layout *layout;
	uint64_t call, sigreturn;	/* gadgets */
	uint64_t scratch, scratch_size; /* what to unmap */
};

/* arch_way_home - compose the frames. -ENOEXEC when the FPU state is of a kind we do not know. */
int arch_way_home(const struct arch_way_home_plan *plan, struct arch_way_home *ret,
		  struct error *err) _must_check_;

/* Bytes, red zone included, that arch_way_home() needs at most, for this xstate. */
size_t arch_way_home_room(size_t xstate_len);

/* What belongs to a function although it lies below its stack pointer. */
#define ARCH_RED_ZONE 128

/* Where mappings may lie. */
#define ARCH_TASK_MIN 0x10000ULL
#define ARCH_TASK_MAX 0x7ffffffff000ULL
