// SPDX-License-Identifier: Apache-2.0
/*
 * timeout: see timeout.h.
 *
 * The time left is written into the register in which the program handed the timeout over, and only
 * where the program will not read that register again: it stands behind a system call in a library,
 * and the code there shows that it does not (arch_arg_dies). Nothing is ever written into memory.
 */
#include "task/timeout.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kernel/proc-stat.h"
#include "kernel/proc.h"
#include "kernel/process-vm.h"
#include "task/arch.h"

#define NS_PER_MS      1000000ULL
#define SCHED_MAX      16384
#define SYSCALL_MAX    512
#define CODE_BEFORE    32
#define CPUS_MAX       1024
#define CLOCK_LOOKS    4
#define UNKNOWN_OFFSET INT64_MIN

/* Calls with a timeout in milliseconds: which argument it is. */
static const struct row {
	long nr;
	int arg;
} rows[] = {
#ifdef SYS_epoll_wait
	{ SYS_epoll_wait, 3 },
#endif
	{ SYS_epoll_pwait, 3 },
#ifdef SYS_poll
	{ SYS_poll, 2 },
#endif
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

/*
 * One thread. Its end is noted by the clock of its processor first. The order of the looks counts:
 * that it sleeps is seen after its switches were counted, so that one more of them at the stop
 * means: the same sleep.
 */
static void look(struct thread *thread, int *ret_cpu)
{
	_cleanup_close_ int fd = -1;
	struct sleeping before, after;
	const struct row *row;
	struct proc_stat stat;
	uint64_t ran_ns;
	int32_t ms;

	if (proc_open_thread(thread->task->proc_fd, thread->tid, &fd, NULL) < 0 ||
	    !read_sleeping(fd, &before))
		return;
	row = row_of(number_of(thread->task, &before));
	if (!row)
		return;
	ms = (int32_t)before.args[row->arg];
	if (ms <= 0 || !read_sched(fd, &ran_ns, &thread->timeout.switches) ||
	    !read_sleeping(fd, &after) || memcmp(&before, &after, sizeof(before)) ||
	    proc_stat_read(fd, &stat, NULL) < 0 || stat.processor < 0 ||
	    stat.processor >= CPUS_MAX ||
	    !arch_arg_dies(read_code, thread->task, before.ip, row->arg))
		return;
	thread->timeout.arg = row->arg;
	thread->timeout.ip = before.ip;
	thread->timeout.end_ns = ran_ns + (uint64_t)ms * NS_PER_MS;
	*ret_cpu = stat.processor;
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
	struct thread *thread;
	cpu_set_t mine;
	struct task *task;
	size_t n = 0;

	offsets = calloc(CPUS_MAX, sizeof(*offsets));
	if (!offsets || sched_getaffinity(0, sizeof(mine), &mine) < 0)
		return;
	foreach_task (task, tree) {
		foreach_thread (thread, task) {
			thread->timeout.end_ns = 0;
			look(thread, &thread->timeout.cpu);
		}
	}
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

void timeout_stood(struct thread *thread, uint64_t switches)
{
	thread->timeout.stood_ns = clock_ns();
	/* One more: into our stop. */
	if (switches != thread->timeout.switches + 1 ||
	    arch_ip(&thread->regs) != thread->timeout.ip)
		thread->timeout.end_ns = 0;
}

void timeout_left(const struct thread *thread, uint64_t now_ns, struct user_regs_struct *regs)
{
	uint64_t end_ns = thread->timeout.end_ns, left_ms = 0;

	if (!end_ns)
		return;
	if (end_ns > now_ns)
		left_ms = (end_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
	if (left_ms < (uint32_t)arch_arg(regs, thread->timeout.arg))
		arch_set_arg(regs, thread->timeout.arg, left_ms);
}
