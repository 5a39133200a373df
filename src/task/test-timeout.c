// SPDX-License-Identifier: Apache-2.0
/*
 * test-timeout: what a call has left of its timeout, and the decoder that says where it may be
 * told.
 */
#include <setjmp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "task/arch.h"
#include "task/task.h"
#include "task/timeout.h"

#include <cmocka.h>

#define START 0x1000

/* Arguments by their registers. */
enum { RDI, RSI, RDX, R10, R8, R9 };

struct code {
	const unsigned char *bytes;
	size_t len;
};

static size_t read_code(void *ctx, uint64_t addr, void *buf, size_t len)
{
	const struct code *code = ctx;

	if (addr < START || addr - START >= code->len)
		return 0;
	len = MIN(len, code->len - (size_t)(addr - START));
	memcpy(buf, code->bytes + (addr - START), len);
	return len;
}

#define DIES(arg, red_zone, ...)                                                                   \
	arch_arg_dies(read_code,                                                                   \
		      &(struct code){ (const unsigned char[]){ __VA_ARGS__ },                      \
				      sizeof((const unsigned char[]){ __VA_ARGS__ }) },            \
		      START, arg, red_zone)

static void wrappers_let_it_die(void **state)
{
	/* ret */
	assert_true(DIES(R10, true, 0xc3));
	/* cmp $-4096,%rax; ja 1f; ret; 1: neg %eax; mov %eax,%fs:(%rdx); mov $-1,%rax; ret */
	assert_true(DIES(R10, true, 0x48, 0x3d, 0, 0xf0, 0xff, 0xff, 0x77, 0x01, 0xc3, 0xf7, 0xd8,
			 0x64, 0x89, 0x02, 0x48, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff, 0xc3));
	/* mov %r8d,%edi; mov %eax,0xc(%rsp); call 1f; mov 0xc(%rsp),%eax; ret; 1: ret */
	assert_true(DIES(R10, true, 0x44, 0x89, 0xc7, 0x89, 0x44, 0x24, 0x0c, 0xe8, 5, 0, 0, 0,
			 0x8b, 0x44, 0x24, 0x0c, 0xc3, 0xc3));
	/* mov $0,%edx; whatever */
	assert_true(DIES(RDX, false, 0xba, 0, 0, 0, 0, 0xcc));
	/* xor %edx,%edx */
	assert_true(DIES(RDX, false, 0x31, 0xd2, 0xcc));
}

static void readers_keep_it(void **state)
{
	/* mov %r10,%rdi; ret */
	assert_false(DIES(R10, false, 0x4c, 0x89, 0xd7, 0xc3));
	/* (%r10) and 8(,%r10,8) as addresses */
	assert_false(DIES(R10, false, 0x41, 0x8b, 0x02, 0xc3));
	assert_false(DIES(R10, false, 0x4a, 0x8b, 0x04, 0xd5, 8, 0, 0, 0, 0xc3));
	/* a loop that makes the call again: jmp back in front of what is known */
	assert_false(DIES(R10, false, 0xeb, 0xf0));
	/* cmp; ja 1f; ret; 1: push %rdx; ret */
	assert_false(
		DIES(RDX, false, 0x48, 0x3d, 0, 0xf0, 0xff, 0xff, 0x77, 0x01, 0xc3, 0x52, 0xc3));
	/* the same call again: syscall */
	assert_false(DIES(R10, false, 0x0f, 0x05, 0xc3));
	/* a called function that reads it as its argument: call 1f; ret; 1: mov %rdx,%rax; ret */
	assert_false(DIES(RDX, false, 0xe8, 1, 0, 0, 0, 0xc3, 0x48, 0x89, 0xd0, 0xc3));
	/* mov %dl,%al; setcc and other small ones do not overwrite it: mov $1,%dl */
	assert_false(DIES(RDX, false, 0x88, 0xd0, 0xc3));
	assert_false(DIES(RDX, false, 0xc6, 0xc2, 0x01, 0xc3));
	/* movzbl %dh,%eax */
	assert_false(DIES(RDX, false, 0x0f, 0xb6, 0xc6, 0xc3));
}

static void the_red_zone(void **state)
{
	/* mov -8(%rsp),%rax; ret and mov -8(%rbp),%rax; ret */
	assert_false(DIES(R10, true, 0x48, 0x8b, 0x44, 0x24, 0xf8, 0xc3));
	assert_false(DIES(R10, true, 0x48, 0x8b, 0x45, 0xf8, 0xc3));
	assert_true(DIES(R10, false, 0x48, 0x8b, 0x44, 0x24, 0xf8, 0xc3));
	assert_true(DIES(R10, true, 0x48, 0x8b, 0x44, 0x24, 0x08, 0xc3));
}

static void nothing_is_guessed(void **state)
{
	unsigned char nops[600];

	assert_false(DIES(R10, false, 0xcc));
	assert_false(DIES(R10, false, 0x48));
	assert_false(DIES(R10, false, 0x44, 0x89));
	assert_false(arch_arg_dies(read_code, &(struct code){ NULL, 0 }, START, R10, false));
	/* A path that does not end in the window, and every byte there is. */
	memset(nops, 0x90, sizeof(nops));
	assert_false(
		arch_arg_dies(read_code, &(struct code){ nops, sizeof(nops) }, START, R10, false));
	for (unsigned i = 0; i < 0x10000; i++) {
		unsigned char two[] = { i & 0xff, i >> 8, 0x24, 0x24 };

		(void)arch_arg_dies(read_code, &(struct code){ two, sizeof(two) }, START, R10,
				    true);
	}
}

static void time_is_never_cut_short(void **state)
{
	struct thread thread = { .timeout = { .end_ns = 5000000000, .arg = R10 } };
	struct user_regs_struct regs = { .r10 = 3000 };

	timeout_left(&thread, 4000000001, &regs);
	assert_int_equal(regs.r10, 1000); /* 999.999999 */
	timeout_left(&thread, 6000000000, &regs);
	assert_int_equal(regs.r10, 0);
	/* Never more than there was, and nothing where nothing is known. */
	regs.r10 = 7;
	timeout_left(&thread, 0, &regs);
	assert_int_equal(regs.r10, 7);
	thread.timeout.end_ns = 0;
	timeout_left(&thread, 6000000000, &regs);
	assert_int_equal(regs.r10, 7);
}

static void another_sleep_is_not_this_one(void **state)
{
	struct thread thread = { .timeout = { .end_ns = 5, .switches = 10, .ip = 0x1234 } };

	thread.regs.rip = 0x1234;
	timeout_stood(&thread, 11);
	assert_int_equal(thread.timeout.end_ns, 5);
	timeout_stood(&thread, 12);
	assert_int_equal(thread.timeout.end_ns, 0);
	thread.timeout.end_ns = 5;
	thread.regs.rip = 0x1236;
	timeout_stood(&thread, 11);
	assert_int_equal(thread.timeout.end_ns, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrappers_let_it_die),
		cmocka_unit_test(readers_keep_it),
		cmocka_unit_test(the_red_zone),
		cmocka_unit_test(nothing_is_guessed),
		cmocka_unit_test(time_is_never_cut_short),
		cmocka_unit_test(another_sleep_is_not_this_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
