// SPDX-License-Identifier: Apache-2.0
/*
 * frame (x86_64): the way home of a task whose tracer died while it stood at a borrowed
 * instruction.
 *
 * Two signal frames as the kernel itself would push them, on the task's own stack below its red
 * zone. A CALL gadget (syscall; ret) with the stack pointer at a frame returns to the SIGRETURN
 * gadget whose address is the frame's first word. Frame "undo" makes munmap() of the scratch area
 * at the CALL gadget and returns into frame "home". Only composes bytes; who writes and removes
 * them is script.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "task/arch.h"

#define XSTATE_ALIGN  64
#define XSTATE_LEGACY 512 /* FXSAVE area */
#define XSTATE_MIN    (XSTATE_LEGACY + 64)
#define XSTATE_BV                                                                                  \
	512 /* offset of the header's first word: which features are not in their initial state */
#define XSTATE_SW    464 /* offset of what the kernel reads about a frame's FPU state */
#define FP_MAGIC1    0x46505853U
#define FP_MAGIC2    0x46505845U
#define UC_FP_XSTATE 1
#define UC_STRICT_SS 6 /* UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS */
#define SS_NONSENSE                                                                                \
	0x7f /* sigaltstack() refuses it, and rt_sigreturn then leaves the old one alone */

struct fp_sw_bytes {
	uint32_t magic1, extended_size;
	uint64_t xfeatures;
	uint32_t xstate_size, padding[7];
};

const unsigned char arch_way_home_mark[16] = "amber: way home";

/* The kernel's struct rt_sigframe up to the siginfo, which rt_sigreturn does not read. */
struct frame {
	uint64_t pretcode;
	uint64_t uc_flags, uc_link;
	uint64_t ss_sp;
	uint32_t ss_flags, ss_padding;
	uint64_t ss_size;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2, fpstate, reserved[8];
	uint64_t sigmask;
};

_Static_assert(sizeof(struct frame) == 312, "struct frame is not the kernel's");

/*
 * How much of the XSAVE area a frame must carry: up to the end of the last feature in use. The
 * others are in their initial state, and rt_sigreturn puts those it is not given into that state.
 */
static size_t xstate_used(struct bytes xstate, const struct xstate_layout *layout)
{
	size_t used = XSTATE_MIN;
	uint64_t bv;

	memcpy(&bv, xstate.data + XSTATE_BV, sizeof(bv));
	for (unsigned i = 2; i < 63; i++) {
		if (!(bv & 1ULL << i))
			continue;
		if (!layout->size[i])
			return 0;
		used = MAX(used, (size_t)layout->offset[i] + layout->size[i]);
	}
	return used <= xstate.len ? used : 0;
}

size_t arch_way_home_room(size_t xstate_len)
{
	return ARCH_RED_ZONE + 2 * XSTATE_ALIGN + xstate_len + 2 * sizeof(struct frame) +
	       sizeof(arch_way_home_mark) + 16;
}

static void frame_fill(struct frame *f, const struct user_regs_struct *r,
		       const struct arch_way_home_plan *plan, uint64_t mask, uint64_t fpstate)
{
	*f = (struct frame){
		.pretcode = plan->sigreturn,
		.uc_flags = UC_FP_XSTATE | UC_STRICT_SS,
		.ss_flags = SS_NONSENSE,
		.r8 = r->r8,
		.r9 = r->r9,
		.r10 = r->r10,
		.r11 = r->r11,
		.r12 = r->r12,
		.r13 = r->r13,
		.r14 = r->r14,
		.r15 = r->r15,
		.rdi = r->rdi,
		.rsi = r->rsi,
		.rbp = r->rbp,
		.rbx = r->rbx,
		.rdx = r->rdx,
		.rax = r->rax,
		.rcx = r->rcx,
		.rsp = r->rsp,
		.rip = r->rip,
		.eflags = r->eflags,
		.cs = (uint16_t)r->cs,
		.ss = (uint16_t)r->ss,
		.fpstate = fpstate,
		.sigmask = mask,
	};
}

int arch_way_home(const struct arch_way_home_plan *plan, struct arch_way_home *ret,
		  struct error *err)
{
	const uint64_t unmap[6] = { plan->scratch, plan->scratch_size };
	size_t used = plan->xstate.len >= XSTATE_MIN ? xstate_used(plan->xstate, plan->layout) : 0;
	struct fp_sw_bytes sw = { .magic1 = FP_MAGIC1 };
	struct user_regs_struct regs = *plan->home;
	const uint32_t magic2 = FP_MAGIC2;
	uint64_t fpstate, undo, home, end;
	struct frame frames[2];
	int r;

	if (!used)
		return error_set(err, ERROR_SYSTEM, ENOEXEC,
				 "FPU state of %zu bytes is of an unknown kind", plan->xstate.len);
	end = plan->end & ~7ULL;
	fpstate = (end - sizeof(arch_way_home_mark) - used - sizeof(magic2)) &
		  ~(uint64_t)(XSTATE_ALIGN - 1);
	home = fpstate - sizeof(struct frame);
	undo = home - sizeof(struct frame);

	frame_fill(&frames[1], &regs, plan, plan->mask, fpstate);
	arch_call(&regs, plan->call, home, SYS_munmap, unmap);
	frame_fill(&frames[0], &regs, plan, ~0ULL, fpstate);

	r = buf_reserve(&ret->bytes, (size_t)(end - undo), err);
	if (r < 0)
		return r;
	ret->bytes.len = (size_t)(end - undo);
	memset(ret->bytes.data, 0, ret->bytes.len);
	memcpy(ret->bytes.data, frames, sizeof(frames));
	memcpy(ret->bytes.data + sizeof(frames), plan->xstate.data, used);
	memcpy(&sw.xfeatures, plan->xstate.data + XSTATE_BV, sizeof(sw.xfeatures));
	sw.xfeatures |= 3; /* x87 and SSE are always there */
	sw.xstate_size = (uint32_t)used;
	sw.extended_size = (uint32_t)(used + sizeof(magic2));
	memcpy(ret->bytes.data + sizeof(frames) + XSTATE_SW, &sw, sizeof(sw));
	memcpy(ret->bytes.data + sizeof(frames) + used, &magic2, sizeof(magic2));
	memcpy(ret->bytes.data + ret->bytes.len - sizeof(arch_way_home_mark), arch_way_home_mark,
	       sizeof(arch_way_home_mark));
	ret->addr = undo;
	ret->undo = undo;
	ret->home = home;
	ret->home_frame = undo + 8; /* as if the frame's first word had been popped by `ret` */
	return 0;
}
