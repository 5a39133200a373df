// SPDX-License-Identifier: Apache-2.0
/*
 * regs: see regs.h.
 */
#include "task/regs.h"

#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <linux/rseq.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/uio.h>

#include "task/arch.h"
#include "task/timeout.h"

/* NT_X86_SHSTK: newer than our elf.h */
#define NT_SHADOW_STACK 0x204
#define XSTATE_USUAL	(16u << 10) /* AMX has 11 KiB */
#define XSTATE_MAX	(1u << 20)  /* a bound, not a size */
#define SIGNALS_AT_ONCE 64
#define SIGNALS_MAX	(1u << 20)
#define FILTERS_MAX	4096

static int failed(const struct thread *thread, const char *what, struct error *err)
{
	int errnum = errno;

	return error_errno(err, errnum, "%s of thread %d of task %d (%s)", what, thread->tid,
			   thread->task->pid, thread->task->comm);
}

int regs_get(const struct thread *thread, struct user_regs_struct *ret, struct error *err)
{
	struct iovec iov = { ret, sizeof(*ret) };

	if (ptrace(PTRACE_GETREGSET, thread->tid, (void *)NT_PRSTATUS, &iov) < 0)
		return failed(thread, "reading the registers", err);
	return 0;
}

int regs_set(const struct thread *thread, const struct user_regs_struct *regs, struct error *err)
{
	struct iovec iov = { (void *)regs, sizeof(*regs) };

	if (ptrace(PTRACE_SETREGSET, thread->tid, (void *)NT_PRSTATUS, &iov) < 0)
		return failed(thread, "setting the registers", err);
	return 0;
}

bool regs_in_syscall(const struct thread *thread, long *ret_nr)
{
	long nr = -1;
	int64_t r = arch_interrupted(&thread->regs, &nr);

	if (ret_nr)
		*ret_nr = nr;
	switch (-r) {
	case KERNEL_ERESTARTSYS:
	case KERNEL_ERESTARTNOINTR:
	case KERNEL_ERESTARTNOHAND:
	case KERNEL_ERESTART_RESTARTBLOCK:
		return true;
	}
	return thread->woken;
}

void regs_redo(const struct thread *thread, struct user_regs_struct *ret)
{
	*ret = thread->regs;
	if (!regs_in_syscall(thread, NULL)) {
		arch_settle(ret);
	} else if (arch_restarted(ret) && !thread->restarted_nr) {
		arch_give_up(ret);
	} else {
		arch_redo(ret, thread->restarted_nr);
		timeout_image(thread, ret);
	}
}

int regs_get_xstate(const struct thread *thread, struct buf *buf, struct error *err)
{
	struct iovec iov = { 0 };
	size_t room;
	int r;

	/* The kernel fills what there is: a buffer that is full may be too small. */
	for (room = XSTATE_USUAL; room <= XSTATE_MAX; room *= 4) {
		r = buf_reserve(buf, room, err);
		if (r < 0)
			return r;
		iov = (struct iovec){ buf->data + buf->len, room };
		if (ptrace(PTRACE_GETREGSET, thread->tid, (void *)NT_X86_XSTATE, &iov) < 0)
			return failed(thread, "reading the FPU state", err);
		if (iov.iov_len < room)
			break;
	}
	buf->len += iov.iov_len;
	return 0;
}

int regs_set_xstate(const struct thread *thread, struct bytes xstate, struct error *err)
{
	_cleanup_buf_ struct buf whole = BUF_INIT;
	struct iovec iov;
	int r;

	/* The kernel takes its own size only: another machine's state is cut or filled with zeros.
	 */
	r = regs_get_xstate(thread, &whole, err);
	if (r < 0)
		return r;
	memset(whole.data, 0, whole.len);
	memcpy(whole.data, xstate.data, MIN(whole.len, xstate.len));
	iov = (struct iovec){ whole.data, whole.len };
	if (ptrace(PTRACE_SETREGSET, thread->tid, (void *)NT_X86_XSTATE, &iov) < 0)
		return failed(thread, "setting the FPU state", err);
	return 0;
}

void regs_xstate_layout(struct xstate_layout *ret)
{
	unsigned int eax = 0, ebx = 0, ecx = 0, edx = 0;
	uint64_t supported;

	*ret = (struct xstate_layout){ 0 };
	if (!__get_cpuid_count(0xd, 0, &eax, &ebx, &ecx, &edx))
		return;
	supported = eax | (uint64_t)edx << 32;
	for (unsigned int i = 2; i < 63; i++) {
		if (!(supported & 1ULL << i))
			continue;
		__cpuid_count(0xd, i, eax, ebx, ecx, edx);
		ret->size[i] = eax;
		ret->offset[i] = ebx;
	}
}

int regs_get_sigmask(const struct thread *thread, uint64_t *ret, struct error *err)
{
	if (ptrace(PTRACE_GETSIGMASK, thread->tid, (void *)sizeof(*ret), ret) < 0)
		return failed(thread, "reading the signal mask", err);
	return 0;
}

int regs_set_sigmask(const struct thread *thread, uint64_t mask, struct error *err)
{
	if (ptrace(PTRACE_SETSIGMASK, thread->tid, (void *)sizeof(mask), &mask) < 0)
		return failed(thread, "setting the signal mask", err);
	return 0;
}

bool regs_shadow_stack(const struct thread *thread)
{
	uint64_t pointer = 0;
	struct iovec iov = { &pointer, sizeof(pointer) };

	return ptrace(PTRACE_GETREGSET, thread->tid, (void *)NT_SHADOW_STACK, &iov) >= 0;
}

int regs_peek_signals(const struct thread *thread, bool shared, struct arena *arena,
		      siginfo_t **ret, size_t *ret_n, struct error *err)
{
	struct __ptrace_peeksiginfo_args args = { .flags = shared ? PTRACE_PEEKSIGINFO_SHARED : 0,
						  .nr = SIGNALS_AT_ONCE };
	_cleanup_buf_ struct buf found = BUF_INIT;
	siginfo_t batch[SIGNALS_AT_ONCE];
	siginfo_t *all;
	long n;
	int r;

	do {
		n = ptrace(PTRACE_PEEKSIGINFO, thread->tid, &args, batch);
		if (n < 0)
			return failed(thread, "reading the queued signals", err);
		r = buf_append(&found, batch, (size_t)n * sizeof(batch[0]), err);
		if (r < 0)
			return r;
		args.off += (uint64_t)n;
	} while (n > 0 && args.off < SIGNALS_MAX);

	all = arena_memdup(arena, found.data ? found.data : (void *)"", found.len);
	if (!all)
		return error_nomem(err);
	*ret = all;
	*ret_n = found.len / sizeof(siginfo_t);
	return 0;
}

int regs_get_rseq(const struct thread *thread, struct regs_rseq *ret, struct error *err)
{
	struct __ptrace_rseq_configuration conf = { 0 };

	*ret = (struct regs_rseq){ 0 };
	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, thread->tid, (void *)sizeof(conf), &conf) < 0) {
		if (errno == EIO || errno == EINVAL)
			return 0; /* a kernel without rseq, or before 5.13 */
		return failed(thread, "reading the rseq registration", err);
	}
	ret->area = conf.rseq_abi_pointer;
	ret->size = conf.rseq_abi_size;
	ret->sig = conf.signature;
	ret->flags = conf.flags;
	return 0;
}

static int one_filter(const struct thread *thread, size_t index, struct arena *arena,
		      struct regs_seccomp *ret, struct error *err)
{
	struct __ptrace_seccomp_metadata meta = { .filter_off = index };
	long n;

	n = ptrace(PTRACE_SECCOMP_GET_FILTER, thread->tid, (void *)index, NULL);
	if (n < 0)
		return failed(thread, "reading the seccomp filters", err);
	ret->insns = arena_array(arena, struct sock_filter, (size_t)n);
	if (!ret->insns)
		return error_nomem(err);
	n = ptrace(PTRACE_SECCOMP_GET_FILTER, thread->tid, (void *)index, ret->insns);
	if (n < 0)
		return failed(thread, "reading the seccomp filters", err);
	ret->n_insns = (size_t)n;
	if (ptrace(PTRACE_SECCOMP_GET_METADATA, thread->tid, (void *)sizeof(meta), &meta) >= 0)
		ret->flags = meta.flags;
	return 0;
}

int regs_get_seccomp(const struct thread *thread, struct arena *arena, struct regs_seccomp **ret,
		     size_t *ret_n, struct error *err)
{
	struct regs_seccomp *all = NULL;
	size_t n = 0;
	int r;

	*ret = NULL;
	*ret_n = 0;
	if (thread->seccomp != SECCOMP_MODE_FILTER)
		return 0;
	/* Index 0 is the oldest; the first index without a filter is ENOENT. */
	while (n < FILTERS_MAX &&
	       ptrace(PTRACE_SECCOMP_GET_FILTER, thread->tid, (void *)n, NULL) >= 0) {
		all = arena_grow(arena, all, n, sizeof(*all));
		if (!all)
			return error_nomem(err);
		r = one_filter(thread, n, arena, &all[n], err);
		if (r < 0)
			return r;
		n++;
	}
	if (!n || (errno != ENOENT && n < FILTERS_MAX))
		return error_hint(
			err, failed(thread, "reading the seccomp filters", err),
			"run amber as root, outside of containers and without a seccomp filter");
	*ret = all;
	*ret_n = n;
	return 0;
}

int regs_get_syscall(const struct thread *thread, struct __ptrace_syscall_info *ret,
		     struct error *err)
{
	if (ptrace(PTRACE_GET_SYSCALL_INFO, thread->tid, (void *)sizeof(*ret), ret) < 0)
		return failed(thread, "asking for the state of the system call", err);
	return 0;
}
