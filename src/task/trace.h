/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace: the few ptrace requests that stops and runs are made of, and what a tracee answers.
 *
 * For the files of task/ only. No policy: who is stopped when is decided in seize.c and run.c.
 */
#pragma once

#include <sys/ptrace.h>
#include <sys/types.h>

#include "base/error.h"

enum trace_kind {
	TRACE_NONE = 0, /* still running when the deadline was there */
	TRACE_ENDED,	/* exited, killed, or no longer ours */
	TRACE_STOP, /* PTRACE_EVENT_STOP: our interrupt, a group stop, or a newborn; signal tells */
	TRACE_SYSCALL, /* entry or exit of a call after trace_run(PTRACE_SYSCALL) */
	TRACE_BIRTH,   /* fork, vfork or clone made a child, attached to us; child tells */
	TRACE_SIGNAL,  /* a signal is about to be delivered; signal tells */
};

struct trace_event {
	enum trace_kind kind;
	int signal; /* TRACE_SIGNAL; TRACE_STOP: the group stop's, 0 = none */
	pid_t child;
};

/* Who is attached with which options. Children are attached to us from their birth. */
#define TRACE_VICTIM                                                                               \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK)
#define TRACE_PUPPET (TRACE_VICTIM | PTRACE_O_EXITKILL)

/* trace_seize - attach to a thread while it runs. -ESRCH gone, -EPERM refused. */
int trace_seize(pid_t tid, unsigned long options);

/* trace_options - replace the options of a stopped tracee. */
int trace_options(pid_t tid, unsigned long options);

/* trace_interrupt - bring a tracee to a TRACE_STOP soon. */
int trace_interrupt(pid_t tid);

/*
 * trace_run - let a stopped tracee run.
 * @request: PTRACE_CONT, or PTRACE_SYSCALL to its next system call's entry or exit
 * @signal: to deliver, 0 = none
 */
int trace_run(pid_t tid, int request, int signal);

/* trace_detach - let it go for good. */
int trace_detach(pid_t tid, int signal);

/*
 * trace_wait - the next thing a tracee reports.
 * @deadline_ns: of clock_ns(); 0 = look once
 * Waits by looking, first often, then less so: no signal of ours is touched, no other child reaped.
 * A TRACE_SIGNAL is told again until the tracee is run; all others are told once.
 */
void trace_wait(pid_t tid, uint64_t deadline_ns, struct trace_event *ret);

/*
 * trace_write - bytes into a tracee, whatever the protection of its private mappings.
 * @mem_fd: its /proc/<pid>/mem; where the kernel does not let that override protections the bytes
 * are poked one word after the other
 */
int trace_write(pid_t tid, int mem_fd, uint64_t addr, const void *data, size_t len);
