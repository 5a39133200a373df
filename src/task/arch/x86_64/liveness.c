// SPDX-License-Identifier: Apache-2.0
/*
 * liveness (x86_64): does a register's value die before anybody reads it?
 *
 * A decoder of the few instructions that stand behind system calls in libraries. It follows every
 * branch within a window, and into a called function; whatever it does not know counts as a read.
 * At a return the registers asked for are dead by the calling convention: callers may not rely on
 * them. Only looks, at bytes it is given.
 */
#include <string.h>

#include "task/arch.h"

#define WINDOW	  256
#define STEPS_MAX 96
#define DEPTH_MAX 2
#define PATHS_MAX 8
#define NOBODY	  16 /* no register */
#define RSP	  4
#define RBP	  5

struct insn {
	size_t len;
	unsigned read;	 /* is the register read, */
	bool killed;	 /* overwritten whole, */
	bool ends;	 /* the path's end, with the register dead */
	bool call, jump; /* goes to target (a call comes back) */
	bool branch;	 /* jumps, or does not */
	int64_t target;	 /* from the end of the instruction */
};

struct modrm {
	unsigned mod, reg, rm; /* rm: NOBODY when it is memory */
	unsigned base, index;  /* of the memory operand */
	size_t len;
	bool below; /* that lies below base */
};

struct decoder {
	const unsigned char *code;
	size_t len;
	unsigned reg;  /* the one that is asked about */
	bool red_zone; /* and this too */
	unsigned rex;
};

static bool take_modrm(const struct decoder *d, size_t at, struct modrm *m)
{
	unsigned char byte, sib;

	if (at >= d->len)
		return false;
	byte = d->code[at];
	*m = (struct modrm){ .mod = byte >> 6,
			     .reg = (byte >> 3 & 7) | (d->rex & 4) << 1,
			     .rm = NOBODY,
			     .base = NOBODY,
			     .index = NOBODY,
			     .len = 1 };
	if (m->mod == 3) {
		m->rm = (byte & 7) | (d->rex & 1) << 3;
		return true;
	}
	if ((byte & 7) == 4) {
		if (at + 1 >= d->len)
			return false;
		sib = d->code[at + 1];
		m->len++;
		m->index = (sib >> 3 & 7) | (d->rex & 2) << 2;
		if (m->index == 4)
			m->index = NOBODY;
		if ((sib & 7) != 5 || m->mod)
			m->base = (sib & 7) | (d->rex & 1) << 3;
		else
			m->len += 4;
	} else if ((byte & 7) == 5 && !m->mod) {
		m->len += 4; /* relative to ip */
	} else {
		m->base = (byte & 7) | (d->rex & 1) << 3;
	}
	m->below = m->mod && at + m->len < d->len && d->code[at + m->len] & 0x80;
	if (m->mod == 2)
		m->below = at + m->len + 3 < d->len && d->code[at + m->len + 3] & 0x80;
	m->len += m->mod == 1 ? 1 : m->mod == 2 ? 4 : 0;
	return true;
}

/* What an instruction does with its two operands. */
enum operands {
	RM_READ = 1,
	RM_WRITE = 2,
	REG_READ = 4,
	REG_WRITE = 8,
	SMALL = 16, /* of 8 bits: never overwrites a register whole */
};

static bool operands(const struct decoder *d, size_t at, unsigned what, size_t imm,
		     struct insn *ret)
{
	struct modrm m;

	if (!take_modrm(d, at, &m))
		return false;
	ret->len = at + m.len + imm;
	ret->read = m.base == d->reg || m.index == d->reg;
	/* Without a frame of its own a function keeps variables below rsp, or below rbp. */
	ret->read |= d->red_zone && m.below && (m.base == RSP || m.base == RBP);
	ret->read |= (what & RM_READ) && m.rm == d->reg;
	ret->read |= (what & REG_READ) && m.reg == d->reg;
	/* In instructions of 8 bits 4 to 7 may be ah, ch, dh, bh: the second bytes of 0 to 3. */
	ret->read |= !d->rex && d->reg < 4 && (m.rm == d->reg + 4 || m.reg == d->reg + 4);
	if (what & SMALL)
		ret->read |= m.rm == d->reg || m.reg == d->reg;
	else
		ret->killed = ((what & RM_WRITE) && m.rm == d->reg) ||
			      ((what & REG_WRITE) && m.reg == d->reg);
	return true;
}

static bool relative(const struct decoder *d, size_t at, size_t size, struct insn *ret)
{
	int32_t wide;

	if (at + size > d->len)
		return false;
	if (size == 1) {
		ret->target = (signed char)d->code[at];
	} else {
		memcpy(&wide, d->code + at, sizeof(wide));
		ret->target = wide;
	}
	ret->len = at + size;
	return true;
}

static bool two_bytes(const struct decoder *d, size_t at, struct insn *ret)
{
	unsigned char op;

	if (at >= d->len)
		return false;
	op = d->code[at++];
	if (op == 0x05) { /* syscall: reads its number and arguments; rcx and r11 are lost */
		ret->len = at;
		ret->read = d->reg == 0 || d->reg == 2 || (d->reg >= 6 && d->reg <= 10);
		ret->killed = d->reg == 1 || d->reg == 11;
		return true;
	}
	if (op == 0x1f || op == 0x1e)
		return operands(d, at, 0, 0, ret);
	if (op >= 0x40 && op <= 0x4f)
		return operands(d, at, RM_READ | REG_READ, 0, ret);
	if (op >= 0x80 && op <= 0x8f) {
		ret->branch = true;
		return relative(d, at, 4, ret);
	}
	if (op >= 0x90 && op <= 0x9f)
		return operands(d, at, RM_READ | SMALL, 0, ret);
	if (op == 0xb0 || op == 0xb1) /* cmpxchg; rax, which it reads too, is never asked about */
		return operands(d, at, RM_READ | REG_READ, 0, ret);
	if (op == 0xb6 || op == 0xb7 || op == 0xbe || op == 0xbf)
		return operands(d, at, RM_READ | REG_WRITE, 0, ret);
	return false;
}

/* Instructions of one byte and operands: what is done with these, how many bytes follow. */
static const struct row {
	unsigned char first, last;
	unsigned char what, imm;
} rows[] = {
	{ 0x63, 0x63, RM_READ | REG_WRITE, 0 }, /* movslq */
	{ 0x80, 0x80, RM_READ, 1 },
	{ 0x81, 0x81, RM_READ, 4 },
	{ 0x83, 0x83, RM_READ, 1 },
	{ 0x84, 0x87, RM_READ | REG_READ, 0 }, /* test, xchg */
	{ 0x88, 0x88, SMALL, 0 },
	{ 0x89, 0x89, REG_READ | RM_WRITE, 0 },
	{ 0x8a, 0x8a, SMALL, 0 },
	{ 0x8b, 0x8b, RM_READ | REG_WRITE, 0 },
	{ 0x8d, 0x8d, REG_WRITE, 0 }, /* lea: the address is read */
	{ 0xc0, 0xc1, RM_READ, 1 },
	{ 0xc6, 0xc6, SMALL, 1 },
	{ 0xc7, 0xc7, RM_WRITE, 4 },
	{ 0xd1, 0xd1, RM_READ, 0 },
};

/* add or adc sbb and sub xor cmp */
static bool arithmetic(const struct decoder *d, unsigned char op, size_t at, struct insn *ret)
{
	bool from_itself = (op & ~3) == 0x30 || (op & ~3) == 0x28;
	struct modrm m;

	if ((op & 7) >= 4) {
		ret->len = at + ((op & 7) == 4 ? 1 : 4);
		ret->read = d->reg == 0;
		return true;
	}
	if (!take_modrm(d, at, &m))
		return false;
	/* xor r,r and sub r,r read nothing. */
	if (from_itself && (op & 1) && m.rm == m.reg)
		return operands(d, at, RM_WRITE, 0, ret);
	return operands(d, at, RM_READ | REG_READ, 0, ret);
}

/* Two groups that share a byte: what they do stands in the next one. */
static bool group(const struct decoder *d, unsigned char op, size_t at, struct insn *ret)
{
	unsigned sub = at < d->len ? d->code[at] >> 3 & 7 : 7;

	if (op == 0xf7) /* test, not, neg; multiplications have more operands */
		return (sub == 0 || sub == 2 || sub == 3) &&
		       operands(d, at, RM_READ, sub ? 0 : 4, ret);
	return (sub == 0 || sub == 1 || sub == 6) && operands(d, at, RM_READ, 0, ret);
}

/* push, pop, mov $,r */
static bool one_register(const struct decoder *d, unsigned char op, size_t at, struct insn *ret)
{
	bool mine = ((op & 7) | (d->rex & 1) << 3) == d->reg;

	ret->len = at + (op < 0xb8 ? 0 : d->rex & 8 ? 8 : 4);
	ret->read = mine && op < 0x58;
	ret->killed = mine && op >= 0x58;
	return true;
}

static bool one_byte(const struct decoder *d, unsigned char op, size_t at, struct insn *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (op >= rows[i].first && op <= rows[i].last)
			return operands(d, at, rows[i].what, rows[i].imm, ret);
	if (op < 0x40 && (op & 7) < 6)
		return arithmetic(d, op, at, ret);
	if ((op >= 0x50 && op <= 0x5f) || (op >= 0xb8 && op <= 0xbf))
		return one_register(d, op, at, ret);
	if (op >= 0x70 && op <= 0x7f) {
		ret->branch = true;
		return relative(d, at, 1, ret);
	}
	switch (op) {
	case 0x0f:
		return two_bytes(d, at, ret);
	case 0x90: /* nop */
	case 0xc9: /* leave */
		ret->len = at;
		return true;
	case 0xc3:
		ret->len = at;
		ret->ends = true;
		return true;
	case 0xe8:
		ret->call = true;
		return relative(d, at, 4, ret);
	case 0xe9:
	case 0xeb:
		ret->jump = true;
		return relative(d, at, op == 0xe9 ? 4 : 1, ret);
	case 0xf7:
	case 0xff:
		return group(d, op, at, ret);
	}
	return false;
}

static bool decode(struct decoder *d, struct insn *ret)
{
	size_t at = 0;

	*ret = (struct insn){ 0 };
	d->rex = 0;
	while (at < d->len && (d->code[at] == 0x64 || d->code[at] == 0xf0 || d->code[at] == 0x2e ||
			       d->code[at] == 0xf3))
		at++;
	/* Operands of 16 bits overwrite nothing whole: only the long nops are of interest. */
	if (at + 2 < d->len && d->code[at] == 0x66 && !memcmp(d->code + at + 1, "\x0f\x1f", 2))
		at++;
	if (at < d->len && (d->code[at] & 0xf0) == 0x40)
		d->rex = d->code[at++] & 15;
	if (at >= d->len)
		return false;
	return one_byte(d, d->code[at], at + 1, ret) && ret->len <= d->len;
}

static bool dies(arch_code_fn *read, void *ctx, uint64_t start, const struct decoder *what,
		 int depth)
{
	unsigned char code[WINDOW];
	size_t paths[PATHS_MAX] = { 0 }, n_paths = 1;
	bool seen[WINDOW] = { false };
	size_t len = read(ctx, start, code, sizeof(code));

	for (int steps = 0; n_paths && steps < STEPS_MAX; steps++) {
		size_t at = paths[n_paths - 1];
		struct decoder d = *what;
		struct insn insn;
		int64_t target;

		d.code = code + at;
		d.len = at < len ? len - at : 0;
		if (at >= len || (!seen[at] && !decode(&d, &insn)))
			return false;
		if (seen[at]) {
			n_paths--;
			continue;
		}
		seen[at] = true;
		if (insn.read)
			return false;
		target = (int64_t)(at + insn.len) + insn.target;
		if (insn.call) {
			/* Behind it the register is dead by convention, unless it is an argument.
			 */
			if (depth >= DEPTH_MAX ||
			    !dies(read, ctx, start + (uint64_t)target, what, depth + 1))
				return false;
			insn.ends = true;
		}
		paths[n_paths - 1] = insn.jump ? (size_t)target : at + insn.len;
		if (insn.killed || insn.ends)
			n_paths--;
		if ((insn.jump || insn.branch) && (target < 0 || target >= (int64_t)len))
			return false;
		if (insn.branch) {
			if (n_paths == PATHS_MAX)
				return false;
			paths[n_paths++] = (size_t)target;
		}
	}
	return !n_paths;
}

bool arch_arg_dies(arch_code_fn *read, void *ctx, uint64_t ip, int arg, bool red_zone)
{
	static const unsigned registers[6] = { 7, 6, 2, 10, 8, 9 };
	struct decoder what = { .reg = registers[arg], .red_zone = red_zone };

	return dies(read, ctx, ip, &what, 0);
}
