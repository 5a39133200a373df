/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop: the only code of amber that ever enters a task.
 *
 * It walks a list of system calls (struct loop_call), stores their results and ends a run with a call
 * that stops when somebody traces us, and does nothing otherwise. What comes after it runs only when
 * amber has died: the heal list, then the way home. Position-independent; uses no stack, no FPU
 * register and no memory but the list; never returns to a caller.
 *
 * r13 = struct loop_header, somewhere behind the page of the loop. r15 = 0 run, 1 heal list.
 * rbx = the call being made. r14 = result of making the memory writable. rbp = the heal list: in a
 * register, so that a run and what heals it begin at the same instant.
 */
#define CALL_NEXT    0
#define CALL_NR	     8
#define CALL_ARG     16
#define CALL_REFS    64
#define CALL_FLAGS   68
#define CALL_RESULT  72
#define HEAD_FIRST   0
#define HEAD_TRAP    8
#define HEAD_FRAME   40
#define HEAD_MASK    48
#define HEAD_TAIL    56
#define HEAD_HOME    64
#define HOME(reg)    (HEAD_HOME + 8 * (reg))
/* order of struct user_regs_struct */
#define R15 0
#define R14 1
#define R13 2
#define R12 3
#define RBP 4
#define RBX 5
#define R11 6
#define R10 7
#define R9 8
#define R8 9
#define RAX 10
#define RCX 11
#define RDX 12
#define RSI 13
#define RDI 14
#define RIP 16
#define EFLAGS 18
#define RSP 19

	.section .note.GNU-stack, "", @progbits
	.section .rodata
	.globl arch_loop, arch_loop_entry, arch_loop_trap, arch_loop_end
	.balign 16

	/* An argument: the value, or what it points at when its bit in r12d is set. */
	.macro argument number, register
	movq	CALL_ARG + 8 * \number(%rbx), %\register
	btl	$\number, %r12d
	jnc	9f
	movq	(%\register), %\register
9:
	.endm

arch_loop:
.Lbase:
	syscall				/* mprotect, arguments were set from outside */
	movq	%rax, %r14
	testq	%rax, %rax
	jnz	.Ltrap
arch_loop_entry:
	movq	HEAD_FIRST(%r13), %rbx
.Lnext:
	testq	%rbx, %rbx
	jz	.Ldone
	movl	CALL_REFS(%rbx), %r12d
	argument 0, rdi
	argument 1, rsi
	argument 2, rdx
	argument 3, r10
	argument 4, r8
	argument 5, r9
	movq	CALL_NR(%rbx), %rax
	syscall
	movq	%rax, CALL_RESULT(%rbx)
	cmpq	$-4096, %rax
	jbe	.Lgood
	testl	$1, CALL_FLAGS(%rbx)
	jnz	.Ldone
.Lgood:
	movq	CALL_NEXT(%rbx), %rbx
	jmp	.Lnext
.Ldone:
	testl	%r15d, %r15d
	jnz	.Lhome
.Ltrap:
	movq	HEAD_TRAP(%r13), %rax
	movq	HEAD_TRAP + 8(%r13), %rdi
	movq	HEAD_TRAP + 16(%r13), %rsi
	movq	HEAD_TRAP + 24(%r13), %rdx
	syscall
arch_loop_trap:
	/* Nobody traces us. */
	testq	%r14, %r14
	jnz	.Lhome
	movl	$1, %r15d
	movq	%rbp, %rbx
	jmp	.Lnext

.Lhome:
	movq	HEAD_FRAME(%r13), %rsp
	testq	%rsp, %rsp
	jz	.Ljump
	movl	$15, %eax		/* rt_sigreturn: unmaps this page, then home */
	syscall

	/* Without frames: flags first, while signals are held back; nothing below changes them. */
.Ljump:
	leaq	HOME(EFLAGS)(%r13), %rsp
	popfq
	movq	HOME(RSP)(%r13), %rsp
	movl	$14, %eax		/* rt_sigprocmask */
	movl	$2, %edi
	leaq	HEAD_MASK(%r13), %rsi
	movl	$0, %edx
	movl	$8, %r10d
	syscall
	movq	HOME(R15)(%r13), %r15
	movq	HOME(R14)(%r13), %r14
	movq	HOME(R12)(%r13), %r12
	movq	HOME(RBP)(%r13), %rbp
	movq	HOME(RBX)(%r13), %rbx
	movq	HOME(R11)(%r13), %r11
	movq	HOME(R10)(%r13), %r10
	movq	HOME(R9)(%r13), %r9
	movq	HOME(R8)(%r13), %r8
	movq	HOME(RAX)(%r13), %rax
	movq	HOME(RCX)(%r13), %rcx
	movq	HOME(RDX)(%r13), %rdx
	movq	HOME(RSI)(%r13), %rsi
	movq	HOME(RDI)(%r13), %rdi
	jmp	*HEAD_TAIL(%r13)	/* r13 and rip: arch_loop_tail() */
arch_loop_end:
