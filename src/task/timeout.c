// SPDX-License-Identifier: Apache-2.0
/*
 * timeout: see timeout.h.
 *
 * The time left is written into the register in which the program handed the timeout over, and only
 * where the program will not read that register again: it stands behind a system call in a library,
 * and the code there shows that it does not (arch_arg_dies). Where the register holds an address,
 * the time left lies in the red zone below the stack pointer, which signal handlers leave alone,
 * and which that code does not read either. Nothing of the program is ever overwritten.
 */
#include "task/timeout.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kernel/proc-maps.h"
#include "kernel/proc-stat.h"
#include "kernel/proc.h"
#include "kernel/process-vm.h"
#include "task/arch.h"

#define NS_PER_MS      1000000ULL
#define NS_PER_S       1000000000ULL
#define US_PER_S       1000000L
#define SECONDS_MAX    1000000000L
#define STACK_LEFT     4096
#define SCHED_MAX      16384
#define SYSCALL_MAX    512
#define CODE_BEFORE    32
#define CPUS_MAX       1024
#define CLOCK_LOOKS    4
#define UNKNOWN_OFFSET INT64_MIN

/* The one that takes a struct timeval; newer machines have it in their libraries only. */
#ifdef SYS_select
#define SYS_SELECT_TIMEVAL SYS_select
#else
#define SYS_SELECT_TIMEVAL (-1)
#endif

/* Calls with a timeout: which argument it is, and of which kind. */
static const struct row {
	long nr;
	int arg;
	bool by_pointer; /* struct timespec, else milliseconds */
	int rem;	 /* the argument for what is left when interrupted, 0 = none */
} rows[] = {
#ifdef SYS_epoll_wait
	{ SYS_epoll_wait, 3, false, 0 },
#endif
	{ SYS_epoll_pwait, 3, false, 0 },
#ifdef SYS_poll
	{ SYS_poll, 2, false, 0 },
#endif
#ifdef SYS_epoll_pwait2
	{ SYS_epoll_pwait2, 3, true, 0 },
#endif
	{ SYS_rt_sigtimedwait, 2, true, 0 }, { SYS_semtimedop, 3, true, 0 },
	{ SYS_io_getevents, 4, true, 0 },
#ifdef SYS_io_pgetevents
	{ SYS_io_pgetevents, 4, true, 0 },
#endif
	{ SYS_nanosleep, 0, true, 1 },	     { SYS_clock_nanosleep, 2, true, 3 },
	{ SYS_futex, 3, true, 0 },
};

/* /proc/<pid>/syscall of a sleeping thread. */
struct sleeping {
	long nr;
	uint64_t args[6], sp, ip;
};

static const struct row *row_of(long nr)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].nr == nr)
			return &rows[i];
	return NULL;
}

/* "running" when it is not asleep: the kernel waits until it is off its processor. */
static bool read_sleeping(int thread_fd, struct sleeping *ret)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct sleeping s;

	if (proc_read(thread_fd, "syscall", SYSCALL_MAX, &text, NULL) < 0 || !text.len)
		return false;
	if (sscanf((char *)text.data,
		   "%ld %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64
		   " %" SCNx64 " %" SCNx64,
		   &s.nr, &s.args[0], &s.args[1], &s.args[2], &s.args[3], &s.args[4], &s.args[5],
		   &s.sp, &s.ip) != 9)
		return false;
	*ret = s;
	return true;
}

/* When a thread last ran, by the clock of its processor, and how often it has slept. */
static bool read_sched(int thread_fd, uint64_t *ret_ran_ns, uint64_t *ret_switches)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	uint64_t ms, ns;
	const char *at;

	if (proc_read(thread_fd, "sched", SCHED_MAX, &text, NULL) < 0 || !text.len)
		return false;
	at = strstr((char *)text.data, "\nse.exec_start");
	if (!at || sscanf(at, "\nse.exec_start : %" SCNu64 ".%" SCNu64, &ms, &ns) != 2)
		return false;
	*ret_ran_ns = ms * NS_PER_MS + ns;
	at = strstr((char *)text.data, "\nnr_voluntary_switches");
	return at && sscanf(at, "\nnr_voluntary_switches : %" SCNu64, ret_switches) == 1;
}

static size_t read_code(void *ctx, uint64_t addr, void *buf, size_t len)
{
	const struct task *task = ctx;
	size_t to_page = AMBER_PAGE_SIZE - (size_t)(addr & (AMBER_PAGE_SIZE - 1));

	if (process_vm_read(task->pid, addr, buf, len, NULL) == 0)
		return len;
	return to_page < len && process_vm_read(task->pid, addr, buf, to_page, NULL) == 0 ? to_page
											  : 0;
}

/* The number of a call that a stop before ours has made the kernel forget. */
static long number_of(const struct task *task, const struct sleeping *s)
{
	unsigned char code[CODE_BEFORE];

	if (s->nr != SYS_restart_syscall)
		return s->nr;
	if (process_vm_read(task->pid, s->ip - sizeof(code), code, sizeof(code), NULL) < 0)
		return -1;
	return arch_restarted_nr(code, sizeof(code));
}

/* Is the timeout of this call a duration by a clock that always runs? */
static bool runs_down(long nr, const uint64_t args[6])
{
	if (nr == SYS_futex)
		return (args[1] & FUTEX_CMD_MASK) == FUTEX_WAIT;
	if (nr != SYS_clock_nanosleep)
		return true;
	return !(args[1] & TIMER_ABSTIME) &&
	       (args[0] == CLOCK_REALTIME || args[0] == CLOCK_MONOTONIC ||
		args[0] == CLOCK_BOOTTIME);
}

/* How long the call was to wait, 0 = that cannot be told, or it does not end by itself. */
static uint64_t duration_of(const struct task *task, const struct row *row, uint64_t value)
{
	struct timespec t;

	if (!row->by_pointer)
		return (int32_t)value > 0 ? (uint64_t)(int32_t)value * NS_PER_MS : 0;
	if (!value || process_vm_read(task->pid, value, &t, sizeof(t), NULL) < 0 || t.tv_sec < 0 ||
	    t.tv_sec > SECONDS_MAX || t.tv_nsec < 0 || t.tv_nsec >= (long)NS_PER_S)
		return 0;
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* The mappings of a task, read when they are first asked for. */
struct mappings {
	const struct task *task;
	struct arena arena;
	struct proc_maps maps;
	bool read;
};

static const struct proc_maps *mappings_of(struct mappings *m, const struct task *task)
{
	if (m->task != task) {
		arena_deinit(&m->arena);
		*m = (struct mappings){ .task = task, .arena = ARENA_INIT };
		m->read = proc_maps_read(task->proc_fd, PROC_MAPS_ONLY, &m->arena, &m->maps,
					 NULL) == 0;
	}
	return m->read ? &m->maps : NULL;
}

/*
 * The red zone of a thread that sleeps. What place.h asks of a stack is asked here while it runs;
 * where its TLS is, is known when it stands.
 */
static void find_place(const struct proc_maps *maps, uint64_t sp, struct thread_timeout *ret)
{
	uint64_t place = sp - ARCH_RED_ZONE;
	const struct proc_vma *vma = maps ? proc_maps_find(maps, sp - 1) : NULL;

	if (!vma || vma->shared || !(vma->prot & PROT_WRITE) || place < vma->start + STACK_LEFT)
		return;
	if (vma->kind == PROC_VMA_STACK) {
		ret->place = place;
	} else if (vma->kind == PROC_VMA_ANON && vma > maps->vmas && vma[-1].end == vma->start &&
		   !vma[-1].prot) {
		ret->place = place;
		ret->stack_end = vma->end;
	}
}

/*
 * One thread. Its end is noted by the clock of its processor first. The order of the looks counts:
 * that it sleeps is seen after its switches were counted, so that one more of them at the stop
 * means: the same sleep.
 */
static void look(struct thread *thread, struct mappings *mappings)
{
	struct thread_timeout t = { 0 };
	_cleanup_close_ int fd = -1;
	struct sleeping before, after;
	uint64_t ran_ns, duration_ns;
	const struct row *row;
	struct proc_stat stat;
	long nr;

	thread->timeout = t;
	if (proc_open_thread(thread->task->proc_fd, thread->tid, &fd, NULL) < 0 ||
	    !read_sleeping(fd, &before))
		return;
	nr = number_of(thread->task, &before);
	row = row_of(nr);
	if (!row || !runs_down(nr, before.args))
		return;
	duration_ns = duration_of(thread->task, row, before.args[row->arg]);
	if (!duration_ns || !read_sched(fd, &ran_ns, &t.switches) || !read_sleeping(fd, &after) ||
	    memcmp(&before, &after, sizeof(before)) || proc_stat_read(fd, &stat, NULL) < 0 ||
	    stat.processor < 0 || stat.processor >= CPUS_MAX ||
	    !arch_arg_dies(read_code, thread->task, before.ip, row->arg, row->by_pointer))
		return;
	t.arg = row->arg;
	t.by_pointer = row->by_pointer;
	t.rem = row->rem ? before.args[row->rem] : 0;
	t.ip = before.ip;
	t.cpu = stat.processor;
	t.end_ns = ran_ns + duration_ns;
	if (t.by_pointer && !t.rem)
		find_place(mappings_of(mappings, thread->task), before.sp, &t);
	if (!t.by_pointer || t.rem || t.place)
		thread->timeout = t;
}

/* How far CLOCK_MONOTONIC is ahead of the clock of the processor that we run on. */
static int64_t look_at_clock(int self_fd)
{
	struct timespec blink = { .tv_nsec = 1 };
	uint64_t ran_ns, switches;

	nanosleep(&blink, NULL);
	if (!read_sched(self_fd, &ran_ns, &switches))
		return UNKNOWN_OFFSET;
	return (int64_t)(clock_ns() - ran_ns);
}

/*
 * Each processor has a clock of its own, which stands still in interrupts: so we go there and look
 * when we ourselves began to run. Its lag only grows, and a look that is disturbed makes it larger:
 * what is added to a time of before makes it later, never earlier. The smallest of some counts.
 */
static int64_t clock_offset(int cpu)
{
	_cleanup_close_ int fd = open("/proc/thread-self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int64_t offset, smallest = INT64_MAX;
	cpu_set_t there;

	CPU_ZERO(&there);
	CPU_SET(cpu, &there);
	if (fd < 0 || sched_setaffinity(0, sizeof(there), &there) < 0)
		return UNKNOWN_OFFSET;
	for (int i = 0; i < CLOCK_LOOKS; i++) {
		offset = look_at_clock(fd);
		if (offset == UNKNOWN_OFFSET)
			return offset;
		smallest = MIN(smallest, offset);
	}
	return smallest;
}

void timeout_look(struct op *op, struct task_tree *tree)
{
	_cleanup_free_ int64_t *offsets = NULL;
	struct mappings mappings = { .arena = ARENA_INIT };
	struct thread *thread;
	cpu_set_t mine;
	struct task *task;
	size_t n = 0;

	offsets = calloc(CPUS_MAX, sizeof(*offsets));
	if (!offsets || sched_getaffinity(0, sizeof(mine), &mine) < 0)
		return;
	foreach_task (task, tree) {
		foreach_thread (thread, task) {
			look(thread, &mappings);
		}
	}
	arena_deinit(&mappings.arena);
	foreach_task (task, tree) {
		foreach_thread (thread, task) {
			int64_t *offset = &offsets[thread->timeout.cpu];

			if (!thread->timeout.end_ns)
				continue;
			if (!*offset)
				*offset = clock_offset(thread->timeout.cpu);
			if (*offset == UNKNOWN_OFFSET)
				thread->timeout.end_ns = 0;
			else
				thread->timeout.end_ns += (uint64_t)*offset;
			n += thread->timeout.end_ns > 0;
		}
	}
	(void)sched_setaffinity(0, sizeof(mine), &mine);
	op_debug(op, "the ends of %zu timed calls are known", n);
}

static uint64_t left(const struct thread *thread, uint64_t now_ns)
{
	return thread->timeout.end_ns > now_ns ? thread->timeout.end_ns - now_ns : 0;
}

static bool lay(const struct thread *thread, uint64_t now_ns)
{
	uint64_t left_ns = left(thread, now_ns);
	struct timespec t = { .tv_sec = (time_t)(left_ns / NS_PER_S),
			      .tv_nsec = (long)(left_ns % NS_PER_S) };

	return process_vm_write(thread->task->pid, thread->timeout.place, &t, sizeof(t), NULL) == 0;
}

void timeout_stood(struct thread *thread, uint64_t switches)
{
	struct thread_timeout *t = &thread->timeout;
	uint64_t tls = arch_tls(&thread->regs);

	t->stood_ns = clock_ns();
	/* One more: into our stop. */
	if (switches != t->switches + 1 || arch_ip(&thread->regs) != t->ip)
		t->end_ns = 0;
	if (t->stack_end && (tls < arch_sp(&thread->regs) || tls >= t->stack_end))
		t->end_ns = 0;
	if (!t->end_ns)
		t->place = 0;
	if (t->place &&
	    (process_vm_read(thread->task->pid, t->place, t->was, sizeof(t->was), NULL) < 0 ||
	     !lay(thread, t->stood_ns)))
		t->place = t->end_ns = 0;
}

void timeout_left(const struct thread *thread, uint64_t now_ns, struct user_regs_struct *regs)
{
	const struct thread_timeout *t = &thread->timeout;
	uint64_t left_ms = (left(thread, now_ns) + NS_PER_MS - 1) / NS_PER_MS;

	if (!t->end_ns)
		return;
	if (t->place)
		arch_set_arg(regs, t->arg, t->place);
	else if (!t->by_pointer && left_ms < (uint32_t)arch_arg(regs, t->arg))
		arch_set_arg(regs, t->arg, left_ms);
}

void timeout_image(const struct thread *thread, struct user_regs_struct *regs)
{
	const struct thread_timeout *t = &thread->timeout;

	timeout_left(thread, t->stood_ns, regs);
	if (t->end_ns && t->rem)
		arch_set_arg(regs, t->arg, t->rem);
}

bool timeout_renew(const struct thread *thread)
{
	const struct thread_timeout *t = &thread->timeout;

	/* What was written at the stop is still good: the call would end a little late. */
	if (t->end_ns && t->place)
		(void)lay(thread, clock_ns());
	return t->end_ns;
}

void timeout_undo(const struct thread *thread)
{
	const struct thread_timeout *t = &thread->timeout;

	/* What it wrote is below the stack: that it stays when this fails is no matter. */
	if (t->place)
		(void)!process_vm_write(thread->task->pid, t->place, t->was, sizeof(t->was), NULL);
}

/* struct timeval and struct timespec differ in what a second is divided into. */
static void run_down(const struct thread *thread, uint64_t addr, long per_s)
{
	uint64_t stood_ns = clock_ns() - thread->timeout.stood_ns, left_ns;
	long t[2];

	if (process_vm_read(thread->task->pid, addr, t, sizeof(t), NULL) < 0 || t[0] < 0 ||
	    t[0] > SECONDS_MAX || t[1] < 0 || t[1] >= per_s)
		return;
	left_ns = (uint64_t)t[0] * NS_PER_S + (uint64_t)t[1] * (NS_PER_S / (uint64_t)per_s);
	left_ns = left_ns > stood_ns ? left_ns - stood_ns : 0;
	t[0] = (long)(left_ns / NS_PER_S);
	t[1] = (long)(left_ns % NS_PER_S / (NS_PER_S / (uint64_t)per_s));
	(void)!process_vm_write(thread->task->pid, addr, t, sizeof(t), NULL);
}

void timeout_advance(const struct thread *thread)
{
	uint64_t addr;
	long nr;

	if (arch_interrupted(&thread->regs, &nr) != -KERNEL_ERESTARTNOHAND)
		return;
	switch (nr) {
	case SYS_pselect6:
#ifdef SYS_select
	case SYS_select:
#endif
		addr = arch_arg(&thread->regs, 4);
		break;
	case SYS_ppoll:
		addr = arch_arg(&thread->regs, 2);
		break;
	default:
		return;
	}
	if (addr)
		run_down(thread, addr, nr == SYS_SELECT_TIMEVAL ? US_PER_S : (long)NS_PER_S);
}
