// SPDX-License-Identifier: Apache-2.0
/*
 * trace: see trace.h.
 */
#include "task/trace.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/op.h"

#define LOOKS_WITHOUT_SLEEP 200
#define SLEEP_MIN_NS	    20000
#define SLEEP_MAX_NS	    1000000

static int answer(long r)
{
	return r < 0 ? -errno : 0;
}

int trace_seize(pid_t tid, unsigned long options)
{
	return answer(ptrace(PTRACE_SEIZE, tid, NULL, (void *)options));
}

int trace_options(pid_t tid, unsigned long options)
{
	return answer(ptrace(PTRACE_SETOPTIONS, tid, NULL, (void *)options));
}

int trace_interrupt(pid_t tid)
{
	return answer(ptrace(PTRACE_INTERRUPT, tid, NULL, NULL));
}

int trace_run(pid_t tid, int request, int signal)
{
	return answer(ptrace(request, tid, NULL, (void *)(long)signal));
}

int trace_detach(pid_t tid, int signal)
{
	return answer(ptrace(PTRACE_DETACH, tid, NULL, (void *)(long)signal));
}

static void event_of(pid_t tid, int code, struct trace_event *ret)
{
	int event = code >> 8, signal = code & 0x7f;
	unsigned long child = 0;

	*ret = (struct trace_event){ .signal = signal };
	switch (event) {
	case PTRACE_EVENT_STOP:
		ret->kind = TRACE_STOP;
		ret->signal = signal == SIGTRAP ? 0 : signal;
		return;
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		ret->kind = TRACE_BIRTH;
		if (!ptrace(PTRACE_GETEVENTMSG, tid, NULL, &child))
			ret->child = (pid_t)child;
		return;
	}
	ret->kind = (code & 0xff) == (SIGTRAP | 0x80) ? TRACE_SYSCALL : TRACE_SIGNAL;
}

/*
 * What a tracee reports now. A wait takes the signal out of a stop before its delivery: from then
 * on it is in our hands, and lost when we are killed. So such a stop is only looked at; the kernel
 * delivers the signal when we let the tracee run with it, and also when we die.
 */
static enum trace_kind look(pid_t tid, struct trace_event *ret)
{
	siginfo_t info = { 0 };
	int r;

	*ret = (struct trace_event){ .kind = TRACE_NONE };
	r = waitid(P_PID, (id_t)tid, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL);
	if (r < 0 && errno != EINTR)
		ret->kind = TRACE_ENDED;
	if (r < 0 || !info.si_pid)
		return ret->kind;
	if (info.si_code == CLD_TRAPPED)
		event_of(tid, info.si_status, ret);
	else
		ret->kind = TRACE_ENDED;
	if (ret->kind != TRACE_SIGNAL)
		(void)waitpid(tid, NULL, __WALL | WNOHANG);
	return ret->kind;
}

void trace_wait(pid_t tid, uint64_t deadline_ns, struct trace_event *ret)
{
	struct timespec pause = { .tv_nsec = SLEEP_MIN_NS };

	for (unsigned looks = 0; look(tid, ret) == TRACE_NONE; looks++) {
		if (!deadline_ns || clock_ns() >= deadline_ns)
			return;
		if (looks < LOOKS_WITHOUT_SLEEP) {
			sched_yield();
			continue;
		}
		nanosleep(&pause, NULL);
		pause.tv_nsec = MIN(pause.tv_nsec * 2, SLEEP_MAX_NS);
	}
}

/* The first and the last word may hang over: what they hold beside our bytes is kept. */
static int poke(pid_t tid, uint64_t addr, const unsigned char *data, size_t len)
{
	while (len) {
		uint64_t base = addr & ~(uint64_t)(sizeof(long) - 1);
		size_t skip = (size_t)(addr - base), n = MIN(sizeof(long) - skip, len);
		long word;

		errno = 0;
		word = ptrace(PTRACE_PEEKDATA, tid, (void *)base, NULL);
		if (errno)
			return -errno;
		memcpy((unsigned char *)&word + skip, data, n);
		if (ptrace(PTRACE_POKEDATA, tid, (void *)base, (void *)word) < 0)
			return -errno;
		addr += n;
		data += n;
		len -= n;
	}
	return 0;
}

int trace_write(pid_t tid, int mem_fd, uint64_t addr, const void *data, size_t len)
{
	const unsigned char *p = data;

	while (len) {
		ssize_t n = pwrite(mem_fd, p, len, (off_t)addr);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return poke(tid, addr, p, len);
		addr += (uint64_t)n;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}
