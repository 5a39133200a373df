// SPDX-License-Identifier: Apache-2.0
/*
 * registers: see registers.h. x86-64. Offsets of XSAVE components are the processor's (CPUID leaf
 * 0xD), as the kernel's ptrace interface uses them uncompacted (arch/x86/kernel/fpu/xstate.c).
 */
#include "object/registers.h"

#include <cpuid.h>
#include <errno.h>
#include <string.h>

#include "object/task-kinds.h"
#include "task/regs.h"

#define LEGACY_SIZE	 512U /* FXSAVE area */
#define XSAVE_HEADER	 64U
#define XSAVE_MIN	 (LEGACY_SIZE + XSAVE_HEADER)
#define XSAVE_XCR0	 464U /* in the legacy area: what the kernel says is enabled */
#define ST_WORDS	 32U
#define XMM_WORDS	 64U
#define XFEATURE_CET_U	 11
#define XFEATURES_LEGACY 3ULL /* x87 and SSE */

/* A component of XSAVE that the image format has a list for. */
enum component_width { WORDS32, WORDS64 };

struct component {
	unsigned int feature; /* bit of XSTATE_BV */
	enum component_width width;
	unsigned int size; /* bytes, architectural */
	size_t field;	   /* offset of the list's count in Img__UserX86Xsave */
};

#define COMPONENT(bit, width, size, name)                                                          \
	{                                                                                          \
		bit, width, size, offsetof(Img__UserX86Xsave, n_##name)                            \
	}

static const struct component components[] = {
	COMPONENT(2, WORDS32, 256, ymmh_space),	 COMPONENT(3, WORDS64, 64, bndreg_state),
	COMPONENT(4, WORDS64, 64, bndcsr_state), COMPONENT(5, WORDS64, 64, opmask_reg),
	COMPONENT(6, WORDS64, 512, zmm_upper),	 COMPONENT(7, WORDS64, 1024, hi16_zmm),
	COMPONENT(9, WORDS32, 8, pkru),
};

/* In every generated message a list is its count and then its pointer. */
struct list {
	size_t n;
	void *items;
};

static struct list *list_of(Img__UserX86Xsave *xsave, const struct component *c)
{
	return (struct list *)((char *)xsave + c->field);
}

static unsigned int width_bytes(const struct component *c)
{
	return c->width == WORDS32 ? 4 : 8;
}

/* The formatter would nest these calls one deeper each time it looks. */
/* clang-format off */
#define FOR_EACH_GPR(X)                                                                            \
	X(r15, r15) X(r14, r14) X(r13, r13) X(r12, r12) X(bp, rbp) X(bx, rbx) X(r11, r11)          \
	X(r10, r10) X(r9, r9) X(r8, r8) X(ax, rax) X(cx, rcx) X(dx, rdx) X(si, rsi) X(di, rdi)     \
	X(orig_ax, orig_rax) X(ip, rip) X(cs, cs) X(flags, eflags) X(sp, rsp) X(ss, ss)            \
	X(fs_base, fs_base) X(gs_base, gs_base) X(ds, ds) X(es, es) X(fs, fs) X(gs, gs)
/* clang-format on */

static uint64_t get64(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t get32(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t get16(const unsigned char *p)
{
	return (uint32_t)(p[0] | p[1] << 8);
}

static int legacy_to_image(struct image_set *set, const unsigned char *area,
			   Img__UserX86Fpregs *fpregs, struct error *err)
{
	fpregs->cwd = get16(area);
	fpregs->swd = get16(area + 2);
	fpregs->twd = get16(area + 4);
	fpregs->fop = get16(area + 6);
	fpregs->rip = get64(area + 8);
	fpregs->rdp = get64(area + 16);
	fpregs->mxcsr = get32(area + 24);
	fpregs->mxcsr_mask = get32(area + 28);
	fpregs->st_space = arena_memdup(&set->arena, area + 32, ST_WORDS * 4);
	fpregs->xmm_space = arena_memdup(&set->arena, area + 160, XMM_WORDS * 4);
	if (!fpregs->st_space || !fpregs->xmm_space)
		return error_nomem(err);
	fpregs->n_st_space = ST_WORDS;
	fpregs->n_xmm_space = XMM_WORDS;
	return 0;
}

static int xsave_to_image(struct image_set *set, struct bytes xstate,
			  const struct xstate_layout *layout, Img__UserX86Xsave *xsave,
			  uint64_t *ret_lost, struct error *err)
{
	uint64_t in_use = get64(xstate.data + LEGACY_SIZE), known = XFEATURES_LEGACY;
	uint64_t enabled = get64(xstate.data + XSAVE_XCR0);
	unsigned int offset;
	struct list *list;
	size_t i;

	xsave->xstate_bv = in_use;
	for (i = 0; i < ARRAY_SIZE(components); i++) {
		known |= 1ULL << components[i].feature;
		if (!(enabled & 1ULL << components[i].feature))
			continue;
		offset = layout->offset[components[i].feature];
		if (!offset || (size_t)offset + components[i].size > xstate.len)
			continue;
		list = list_of(xsave, &components[i]);
		list->items = arena_memdup(&set->arena, xstate.data + offset, components[i].size);
		if (!list->items)
			return error_nomem(err);
		list->n = components[i].size / width_bytes(&components[i]);
		/* A component out of use is in its initial state, whatever the bytes say. */
		if (!(in_use & 1ULL << components[i].feature))
			memset(list->items, 0, components[i].size);
	}
	*ret_lost = in_use & ~known;
	return 0;
}

int registers_to_image(struct image_set *set, const struct user_regs_struct *regs,
		       struct bytes xstate, const struct xstate_layout *layout,
		       Img__ThreadInfoX86 *info, uint64_t *ret_lost, struct error *err)
{
	int r;

	*ret_lost = 0;
	info->gpregs = img_new(set, Img__UserX86Regs, user_x86_regs);
	info->fpregs = img_new(set, Img__UserX86Fpregs, user_x86_fpregs);
	if (!info->gpregs || !info->fpregs)
		return error_nomem(err);
#define PUT(image, kernel) info->gpregs->image = regs->kernel;
	FOR_EACH_GPR(PUT)
#undef PUT
	info->gpregs->has_mode = true;
	info->gpregs->mode = IMG__USER_X86_REGS_MODE__NATIVE;

	if (xstate.len < LEGACY_SIZE)
		return error_set(err, ERROR_INTERNAL, EINVAL, "the FPU state has only %zu bytes",
				 xstate.len);
	r = legacy_to_image(set, xstate.data, info->fpregs, err);
	if (r < 0 || xstate.len < XSAVE_MIN)
		return r;
	info->fpregs->xsave = img_new(set, Img__UserX86Xsave, user_x86_xsave);
	if (!info->fpregs->xsave)
		return error_nomem(err);
	return xsave_to_image(set, xstate, layout, info->fpregs->xsave, ret_lost, err);
}

static void put16(unsigned char *p, uint32_t v)
{
	p[0] = (unsigned char)v;
	p[1] = (unsigned char)(v >> 8);
}

static int legacy_from_image(const Img__UserX86Fpregs *fpregs, unsigned char *area,
			     struct error *err)
{
	uint64_t rip = fpregs->rip, rdp = fpregs->rdp;
	uint32_t mxcsr = fpregs->mxcsr & 0xffff;

	if (fpregs->n_st_space < ST_WORDS || fpregs->n_xmm_space < XMM_WORDS)
		return error_set(err, ERROR_INPUT, EINVAL,
				 "FPU registers in the image are cut off");
	put16(area, fpregs->cwd);
	put16(area + 2, fpregs->swd);
	put16(area + 4, fpregs->twd);
	put16(area + 6, fpregs->fop);
	memcpy(area + 8, &rip, 8);
	memcpy(area + 16, &rdp, 8);
	memcpy(area + 24, &mxcsr, 4); /* reserved bits would make the kernel refuse it */
	memcpy(area + 32, fpregs->st_space, ST_WORDS * 4);
	memcpy(area + 160, fpregs->xmm_space, XMM_WORDS * 4);
	return 0;
}

static unsigned int xsave_size(uint64_t *ret_enabled)
{
	unsigned int eax = 0, ebx = 0, ecx = 0, edx = 0;

	if (!__get_cpuid_count(0xd, 0, &eax, &ebx, &ecx, &edx))
		return LEGACY_SIZE;
	*ret_enabled = eax | (uint64_t)edx << 32;
	return MAX(ebx, XSAVE_MIN);
}

static int xsave_from_image(Img__UserX86Xsave *xsave, unsigned char *area, size_t size,
			    uint64_t enabled, uint64_t *ret_lost, struct error *err)
{
	uint64_t bv = XFEATURES_LEGACY, wanted = xsave->xstate_bv;
	struct xstate_layout layout;
	unsigned int offset;
	struct list *list;
	size_t i;

	regs_xstate_layout(&layout);
	for (i = 0; i < ARRAY_SIZE(components); i++) {
		list = list_of(xsave, &components[i]);
		if (!(wanted & 1ULL << components[i].feature) || !list->n)
			continue;
		if (list->n * width_bytes(&components[i]) < components[i].size)
			return error_set(err, ERROR_INPUT, EINVAL,
					 "extended registers in the image are cut off");
		offset = layout.offset[components[i].feature];
		if (!offset || !(enabled & 1ULL << components[i].feature) ||
		    (size_t)offset + components[i].size > size) {
			*ret_lost |= 1ULL << components[i].feature;
			continue;
		}
		memcpy(area + offset, list->items, components[i].size);
		bv |= 1ULL << components[i].feature;
	}
	memcpy(area + LEGACY_SIZE, &bv, sizeof(bv));
	return 0;
}

int registers_from_image(const Img__ThreadInfoX86 *info, struct user_regs_struct *regs,
			 struct buf *xstate, uint64_t *ret_lost, struct error *err)
{
	uint64_t enabled = XFEATURES_LEGACY, bv = XFEATURES_LEGACY;
	unsigned int size = xsave_size(&enabled);
	unsigned char *area;
	int r;

	*ret_lost = 0;
	if (info->gpregs->has_mode && info->gpregs->mode != IMG__USER_X86_REGS_MODE__NATIVE)
		return error_set(err, ERROR_INPUT, EINVAL,
				 "the image is of a 32-bit task, which cannot be restored yet");
	memset(regs, 0, sizeof(*regs));
#define PUT(image, kernel) regs->kernel = info->gpregs->image;
	FOR_EACH_GPR(PUT)
#undef PUT
	if (!info->fpregs)
		return 0;
	r = buf_reserve(xstate, size, err);
	if (r < 0)
		return r;
	area = xstate->data + xstate->len;
	memset(area, 0, size + 1);
	xstate->len += size;
	r = legacy_from_image(info->fpregs, area, err);
	if (r < 0 || size < XSAVE_MIN)
		return r;
	memcpy(area + LEGACY_SIZE, &bv, sizeof(bv));
	if (!info->fpregs->xsave)
		return 0;
	return xsave_from_image(info->fpregs->xsave, area, size, enabled, ret_lost, err);
}

static int registers_take(struct capture *cap, struct task_capture *tc, size_t thread,
			  struct script *s, void *state, struct error *err)
{
	const struct thread *th = &tc->task->threads[thread];
	Img__Core *core = tc->thread_cores[thread];
	_cleanup_buf_ struct buf xstate = BUF_INIT;
	struct user_regs_struct regs;
	uint64_t lost = 0;
	char subject[40];
	int r;

	(void)s, (void)state;
	core->thread_info = img_new(cap->set, Img__ThreadInfoX86, thread_info_x86);
	if (!core->thread_info)
		return error_nomem(err);
	regs_redo(th, &regs);
	r = regs_get_xstate(th, &xstate, err);
	if (r == 0)
		r = registers_to_image(cap->set, &regs, (struct bytes){ xstate.data, xstate.len },
				       &cap->tree->xstate, core->thread_info, &lost, err);
	if (r < 0 || !lost)
		return r;
	snprintf(subject, sizeof(subject), "thread %d", th->ns_tid);
	return gap_add(cap->gaps, GAP_DEGRADED, "registers", tc->task->ns_pid, subject,
		       "extended state 0x%llx has no place in the image format",
		       (unsigned long long)lost);
}

const struct task_kind registers_kind = {
	.name = "registers",
	.take_thread = registers_take,
};
