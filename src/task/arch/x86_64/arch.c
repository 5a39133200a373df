// SPDX-License-Identifier: Apache-2.0
/*
 * arch (x86_64): registers and gadgets. The way home is in frame.c, the loop in loop.S.
 */
#include "task/arch.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define USER64_CS 0x33 /* what a 64-bit task has there; 0x23 is a 32-bit one */

/* loop.S knows these by number. */
_Static_assert(offsetof(struct loop_call, nr) == 8 && offsetof(struct loop_call, arg) == 16 &&
		       offsetof(struct loop_call, refs) == 64 &&
		       offsetof(struct loop_call, flags) == 68 &&
		       offsetof(struct loop_call, result) == 72,
	       "struct loop_call and loop.S differ");
_Static_assert(offsetof(struct loop_header, trap) == 8 &&
		       offsetof(struct loop_header, home_frame) == 40 &&
		       offsetof(struct loop_header, mask) == 48 &&
		       offsetof(struct loop_header, tail) == 56 &&
		       offsetof(struct loop_header, home) == 64,
	       "struct loop_header and loop.S differ");
_Static_assert(offsetof(struct user_regs_struct, rip) == 16 * 8 &&
		       offsetof(struct user_regs_struct, rsp) == 19 * 8,
	       "struct user_regs_struct and loop.S differ");

#define HOME_R13 ((unsigned char)offsetof(struct loop_header, home.r13))

struct pattern {
	enum arch_gadget gadget;
	size_t len, lead; /* lead: bytes in front of the `syscall` */
	uint32_t any;	  /* bit i: byte i may be anything */
	unsigned char code[ARCH_GADGET_BYTES];
};

static const struct pattern patterns[] = {
	{ ARCH_GADGET_SYSCALL, 2, 0, 0, { 0x0f, 0x05 } },
	{ ARCH_GADGET_CALL, 3, 0, 0, { 0x0f, 0x05, 0xc3 } },
	/* cmp $-4095,%rax; jae error; ret, and cmp $-4096,%rax; ja error; ret: wrappers of glibc.
	 * Our calls succeed. */
	{ ARCH_GADGET_CALL,
	  11,
	  0,
	  1u << 9,
	  { 0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, 0x73, 0, 0xc3 } },
	{ ARCH_GADGET_CALL,
	  11,
	  0,
	  1u << 9,
	  { 0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff, 0x77, 0, 0xc3 } },
	/* mov $15,%rax; syscall: __restore_rt of glibc and musl, runtime.sigreturn of Go */
	{ ARCH_GADGET_SIGRETURN,
	  9,
	  7,
	  0,
	  { 0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05 } },
	{ ARCH_GADGET_SIGRETURN, 7, 5, 0, { 0xb8, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05 } },
};

static bool matches(const struct pattern *p, const unsigned char *code, size_t len)
{
	if (len < p->len)
		return false;
	for (size_t i = 0; i < p->len; i++)
		if (!(p->any & 1u << i) && code[i] != p->code[i])
			return false;
	return true;
}

bool arch_gadget_match(enum arch_gadget which, const unsigned char *code, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++)
		if (patterns[i].gadget == which && matches(&patterns[i], code, len))
			return true;
	return false;
}

void arch_gadget_search(const unsigned char *code, size_t len, size_t ret[ARCH_GADGETS])
{
	const unsigned char *at = code;

	for (int g = 0; g < ARCH_GADGETS; g++)
		ret[g] = SIZE_MAX;
	while ((at = memmem(at, len - (size_t)(at - code), "\x0f\x05", 2))) {
		size_t offset = (size_t)(at - code);

		for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
			const struct pattern *p = &patterns[i];

			if (ret[p->gadget] == SIZE_MAX && offset >= p->lead &&
			    matches(p, at - p->lead, len - offset + p->lead))
				ret[p->gadget] = offset - p->lead;
		}
		at++;
	}
}

bool arch_native(const struct user_regs_struct *regs)
{
	return regs->cs == USER64_CS;
}

uint64_t arch_ip(const struct user_regs_struct *regs)
{
	return regs->rip;
}

uint64_t arch_sp(const struct user_regs_struct *regs)
{
	return regs->rsp;
}

uint64_t arch_tls(const struct user_regs_struct *regs)
{
	return regs->fs_base;
}

void arch_set_ip(struct user_regs_struct *regs, uint64_t ip)
{
	regs->rip = ip;
}

uint64_t arch_arg(const struct user_regs_struct *regs, int arg)
{
	switch (arg) {
	case 0:
		return regs->rdi;
	case 1:
		return regs->rsi;
	case 2:
		return regs->rdx;
	case 3:
		return regs->r10;
	case 4:
		return regs->r8;
	}
	return regs->r9;
}

void arch_set_arg(struct user_regs_struct *regs, int arg, uint64_t value)
{
	switch (arg) {
	case 0:
		regs->rdi = value;
		return;
	case 1:
		regs->rsi = value;
		return;
	case 2:
		regs->rdx = value;
		return;
	case 3:
		regs->r10 = value;
		return;
	case 4:
		regs->r8 = value;
		return;
	}
	regs->r9 = value;
}

int64_t arch_result(const struct user_regs_struct *regs)
{
	return (int64_t)regs->rax;
}

int64_t arch_interrupted(const struct user_regs_struct *regs, long *ret_nr)
{
	if ((int64_t)regs->orig_rax < 0)
		return 0;
	*ret_nr = (long)regs->orig_rax;
	return (int64_t)regs->rax;
}

void arch_settle(struct user_regs_struct *regs)
{
	regs->orig_rax = (uint64_t)-1;
}

bool arch_restarted(const struct user_regs_struct *regs)
{
	return regs->orig_rax == SYS_restart_syscall;
}

long arch_restarted_nr(const unsigned char *before, size_t len)
{
	/* All that the kernel restarts in this way. */
	static const long calls[] = { SYS_nanosleep, SYS_clock_nanosleep, SYS_poll, SYS_futex };
	uint32_t nr;

	/* mov $nr,%eax: the nearest one; arguments may be loaded between it and the call. */
	for (size_t back = 7; back <= len; back++) {
		const unsigned char *at = before + len - back;

		if (at[0] != 0xb8)
			continue;
		memcpy(&nr, at + 1, sizeof(nr));
		for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
			if (nr == (uint32_t)calls[i])
				return calls[i];
	}
	return 0;
}

void arch_redo(struct user_regs_struct *regs, long nr)
{
	/* `syscall` and `int $0x80` are both two bytes long. */
	regs->rax = nr ? (uint64_t)nr : regs->orig_rax;
	regs->rip -= 2;
	arch_settle(regs);
}

void arch_give_up(struct user_regs_struct *regs)
{
	regs->rax = (uint64_t)-EINTR;
	arch_settle(regs);
}

void arch_redo_restart(struct user_regs_struct *regs)
{
	regs->rax = SYS_restart_syscall;
	regs->rip -= 2;
	arch_settle(regs);
}

void arch_call(struct user_regs_struct *regs, uint64_t ip, uint64_t sp, long nr,
	       const uint64_t args[6])
{
	regs->rip = ip;
	regs->rsp = sp;
	regs->rax = (uint64_t)nr;
	regs->rdi = args[0];
	regs->rsi = args[1];
	regs->rdx = args[2];
	regs->r10 = args[3];
	regs->r8 = args[4];
	regs->r9 = args[5];
	arch_settle(regs);
}

void arch_loop_tail(unsigned char tail[ARCH_TAIL_BYTES], uint64_t at, uint64_t header)
{
	/* mov HOME(R13)(%r13),%r13; jmp *HOME(RIP)+header(%rip) */
	const unsigned char code[] = { 0x4d, 0x8b, 0x6d, HOME_R13, 0xff, 0x25 };
	uint64_t slot = header + offsetof(struct loop_header, home.rip);
	int32_t distance = (int32_t)(slot - (at + sizeof(code) + sizeof(distance)));

	memset(tail, 0, ARCH_TAIL_BYTES);
	memcpy(tail, code, sizeof(code));
	memcpy(tail + sizeof(code), &distance, sizeof(distance));
}

void arch_loop_enter(struct user_regs_struct *regs, uint64_t code, uint64_t header,
		     uint64_t rw_size, uint64_t heal)
{
	const uint64_t mprotect_args[6] = { code + AMBER_PAGE_SIZE, rw_size,
					    PROT_READ | PROT_WRITE };

	arch_call(regs, code, regs->rsp, SYS_mprotect, mprotect_args);
	regs->rbp = heal;
	regs->r13 = header;
	regs->r14 = 0;
	regs->r15 = 0;
	if (!rw_size)
		regs->rip = code + (uint64_t)(arch_loop_entry - arch_loop);
}

uint64_t arch_loop_current(const struct user_regs_struct *regs)
{
	return regs->rbx;
}

int64_t arch_loop_error(const struct user_regs_struct *regs)
{
	return (int64_t)regs->r14;
}
