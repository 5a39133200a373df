// SPDX-License-Identifier: Apache-2.0
/*
 * Registers: general, x87 control word, MXCSR, and the vector registers as wide as this CPU has
 * them, held while spinning without any call, so that nothing but the kernel can have kept them.
 */
#include "subject.h"

#include <cpuid.h>

static volatile int flag;
static uint64_t in[8] = { 0x1111111111111111, 0x2222222222222222, 0x3333333333333333,
			  0x4444444444444444, 0x5555555555555555, 0x6666666666666666,
			  0x7777777777777777, 0x8888888888888888 };
static uint64_t out[4][8];
static uint64_t gpr[4];
static uint32_t mxcsr_in = 0x1f80 | 0x6000, mxcsr_out;
static uint16_t cw_in = 0x0c7f, cw_out;

static void on_usr1_too(int sig)
{
	(void)sig;
	flag = 1;
}

#define SPIN "1: pause\n\tcmpl $0, %[flag]\n\tje 1b\n\t"
#define GPR_IN                                                                                     \
	"mov $0x1234567887654321, %%r12\n\tmov $0xdeadbeefcafef00d, %%r13\n\tmov $77, "            \
	"%%r14\n\tstd\n\tcld\n\t"
#define GPR_OUT "mov %%r12, %[g]\n\tmov %%r13, 8+%[g]\n\tmov %%r14, 16+%[g]\n\t"

static void spin_sse(void)
{
	asm volatile("fldcw %[cw]\n\tldmxcsr %[mx]\n\t" GPR_IN
		     "movups %[in], %%xmm3\n\tmovups 16+%[in], %%xmm15\n\t" SPIN
		     "movups %%xmm3, %[o0]\n\tmovups %%xmm15, 64+%[o0]\n\t" GPR_OUT
		     "stmxcsr %[mo]\n\tfnstcw %[co]\n\t"
		     : [o0] "=m"(out), [g] "=m"(gpr), [mo] "=m"(mxcsr_out), [co] "=m"(cw_out)
		     : [flag] "m"(flag), [in] "m"(in), [mx] "m"(mxcsr_in), [cw] "m"(cw_in)
		     : "xmm3", "xmm15", "r12", "r13", "r14", "memory", "cc");
	CHECK(memcmp(out[0], in, 16) == 0 && memcmp((char *)out + 64, (char *)in + 16, 16) == 0);
}

__attribute__((target("avx"))) static void spin_avx(void)
{
	asm volatile("fldcw %[cw]\n\tldmxcsr %[mx]\n\t" GPR_IN
		     "vmovups %[in], %%ymm3\n\tvmovups 32+%[in], %%ymm15\n\t" SPIN
		     "vmovups %%ymm3, %[o0]\n\tvmovups %%ymm15, 64+%[o0]\n\t" GPR_OUT
		     "stmxcsr %[mo]\n\tfnstcw %[co]\n\tvzeroupper\n\t"
		     : [o0] "=m"(out), [g] "=m"(gpr), [mo] "=m"(mxcsr_out), [co] "=m"(cw_out)
		     : [flag] "m"(flag), [in] "m"(in), [mx] "m"(mxcsr_in), [cw] "m"(cw_in)
		     : "xmm3", "xmm15", "r12", "r13", "r14", "memory", "cc");
	CHECK(memcmp(out[0], in, 32) == 0 && memcmp((char *)out + 64, (char *)in + 32, 32) == 0);
}

__attribute__((target("avx512f"))) static void spin_avx512(void)
{
	asm volatile("fldcw %[cw]\n\tldmxcsr %[mx]\n\t" GPR_IN
		     "vmovups %[in], %%zmm3\n\tvmovups %[in], %%zmm31\n\tmov $0x5a5a, "
		     "%%eax\n\tkmovw %%eax, %%k5\n\t" SPIN
		     "vmovups %%zmm3, %[o0]\n\tvmovups %%zmm31, 64+%[o0]\n\tkmovw %%k5, "
		     "%%eax\n\tmov %%rax, 24+%[g]\n\t" GPR_OUT
		     "stmxcsr %[mo]\n\tfnstcw %[co]\n\tvzeroupper\n\t"
		     : [o0] "=m"(out), [g] "=m"(gpr), [mo] "=m"(mxcsr_out), [co] "=m"(cw_out)
		     : [flag] "m"(flag), [in] "m"(in), [mx] "m"(mxcsr_in), [cw] "m"(cw_in)
		     : "xmm3", "xmm31", "k5", "rax", "r12", "r13", "r14", "memory", "cc");
	CHECK(memcmp(out[0], in, 64) == 0 && memcmp((char *)out + 64, in, 64) == 0 &&
	      (gpr[3] & 0xffff) == 0x5a5a);
}

int main(int argc, char **argv)
{
	subject_init(argc, argv);
	signal(SIGUSR1, on_usr1_too);

	subject_ready();
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512f"))
		spin_avx512();
	else if (__builtin_cpu_supports("avx"))
		spin_avx();
	else
		spin_sse();

	CHECK(gpr[0] == 0x1234567887654321 && gpr[1] == 0xdeadbeefcafef00d && gpr[2] == 77);
	CHECK((mxcsr_out & 0xffc0) == mxcsr_in && cw_out == cw_in);
	subject_pass();
}
