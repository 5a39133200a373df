/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task: other people's tasks while amber holds them.
 *
 * Plain structs, filled by task/seize.h and by task/puppet.h, read by capture and restore. task/ is
 * the only user of ptrace in amber; every function of it must be called from the one thread that
 * stopped the tasks, because the kernel lets no other.
 */
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include "base/arena.h"
#include "base/op.h"
#include "kernel/proc-stat.h"
#include "kernel/proc-status.h"

enum task_state {
	TASK_RUNNING = 0,   /* was running or sleeping when we stopped it */
	TASK_GROUP_STOPPED, /* SIGSTOP and its kin had stopped it before us; it stays so afterwards
			     */
	TASK_ZOMBIE,	    /* dead and not waited for: no threads, no memory, only exit_code */
	TASK_GONE,	    /* died while we held it; never among those listed after a stop */
};

struct proc_maps; /* kernel/proc-maps.h */
struct task;

/* When the call in which a thread sleeps is to end: task/timeout.h. */
struct thread_timeout {
	uint64_t end_ns;       /* CLOCK_MONOTONIC, 0 = unknown or none */
	uint64_t stood_ns;     /* when it had been stopped */
	uint64_t switches;     /* voluntary ones of the thread, when it was looked at */
	uint64_t ip;	       /* behind the call */
	uint64_t stack_end;    /* of the mapping with its stack, 0 = the main one */
	uint64_t place;	       /* for a struct timespec below its stack pointer, 0 = none */
	uint64_t rem;	       /* where the kernel itself has put what is left, 0 = nowhere */
	unsigned char was[16]; /* in that place */
	int arg;	       /* the call's argument that holds the timeout */
	bool by_pointer;       /* it is the address of a struct timespec */
	int cpu;	       /* on which it last ran */
};

/* What a thread has told the kernel about restartable sequences. */
struct regs_rseq {
	uint64_t area; /* address of struct rseq, 0 = not registered */
	uint32_t size; /* as registered */
	uint32_t sig;  /* abort handlers are preceded by it */
	uint32_t flags;
};

struct thread {
	struct task *task;
	pid_t tid;    /* in our pid namespace */
	pid_t ns_tid; /* in the task's own, innermost one */
	bool seized;  /* we are its tracer */
	bool stopped; /* and it stands in a ptrace-stop */
	bool script; /* a script session has borrowed it: its kernel registers are not `regs` now */
	bool woken; /* its call was about to return a spurious EINTR: it was put back in front of it
		     */
	int stop_signal; /* of the group stop, 0 = none */

	/*
	 * The registers as the kernel held them at the stop (a call that was interrupted still
	 * shows as orig_rax >= 0 and rax = -ERESTART...), except that a thread inside an rseq
	 * critical section is already at its abort handler, where any preemption would have taken
	 * it too. What belongs into an image is regs_redo(): task/regs.h.
	 */
	struct user_regs_struct regs;
	uint64_t sigmask; /* blocked signals, bit N-1 = signal N; what sigsuspend() and its kin will
			     restore */
	uint64_t sigpending; /* of the thread, at the stop */
	long restarted_nr;   /* the interrupted call, when orig_rax only says restart_syscall; 0 =
				unknown */
	struct thread_timeout timeout;
	int seccomp; /* "Seccomp:" of its status: 0 none, 1 strict, 2 filter */
	struct regs_rseq rseq;
	struct proc_status *status; /* at the stop, whole; NULL in puppets and visits */
	int status_fd;		    /* its status file, opened while it still ran; 0 = not open */
	int children_fd;	    /* ... and its list of children */
};

struct task {
	pid_t pid;    /* in our pid namespace */
	pid_t ns_pid; /* in its own, innermost one */
	pid_t ppid, pgid,
		sid; /* in our pid namespace; 0 where the number is not visible from here */
	int pidfd;   /* -1 for zombies on kernels that refuse one */
	int proc_fd; /* /proc/<pid>, O_PATH|O_DIRECTORY */
	enum task_state state;
	int exit_code;	 /* of a zombie, as wait4() would give it */
	int exit_signal; /* what it sends its parent when it ends, SIGCHLD as a rule */
	char comm[16];
	struct task *parent;	/* within the tree; NULL for roots */
	struct thread *threads; /* [0] is the leader (tid == pid) where it is alive */
	size_t n_threads;
	uint64_t shared_pending; /* ShdPnd at the stop */
	uint64_t sig_ignored, sig_caught;
	/* At the stop. Of the status all but the groups, which each thread has for itself. */
	struct proc_stat stat;
	struct proc_status status;
	int stat_fd; /* as status_fd of a thread */
	/* While it stands: its mappings where the caller has read them already, not ours, kept by
	 * him until the task runs. Spares each session a reading. NULL as a rule. */
	const struct proc_maps *maps;
	struct arena *arena; /* the tree's; NULL in puppets and visits */
};

/*
 * Where the processor keeps each XSAVE component in the uncompacted layout, by its bit in XCR0;
 * size 0 = it has none such. Asked once (regs_xstate_layout): on virtual machines a CPUID costs 20
 * us.
 */
struct xstate_layout {
	uint32_t offset[64], size[64];
};

/* What scripts remember between tasks, so that a libc is searched once (task/gadget.h). */
struct gadget_cache;

struct task_tree {
	struct task **tasks; /* parents stand before their children */
	size_t n_tasks;
	struct arena arena; /* of the structs */
	struct gadget_cache *gadgets;
	struct xstate_layout xstate;
	bool xstate_known; /* task_tree_stop() has asked; else script_begin() does */
	/* CLOCK_MONOTONIC: the first was interrupted; all stood; all were let go */
	uint64_t stopping_ns, stopped_ns, resumed_ns;
};

#define TASK_TREE_INIT ((struct task_tree){ 0 })

#define foreach_task(t, tree)                                                                      \
	for (size_t _i_task = 0; _i_task < (tree)->n_tasks && ((t) = (tree)->tasks[_i_task], 1);   \
	     _i_task++)
#define foreach_thread(th, t)                                                                      \
	for ((th) = (t)->threads; (th) < (t)->threads + (t)->n_threads; (th)++)

/* task_find - by pid in our namespace. NULL when the tree has none. */
struct task *task_find(const struct task_tree *tree, pid_t pid);

/* task_find_ns - by pid in the tasks' own innermost namespace; the first one found. */
struct task *task_find_ns(const struct task_tree *tree, pid_t ns_pid);

/* task_leader - the leader, or the first thread left when the leader has exited. NULL for zombies.
 */
struct thread *task_leader(struct task *task);

/* task_name - "1234 (redis-server)" for messages; buf is the caller's, at least 40 bytes. */
const char *task_name(const struct task *task, char *buf, size_t size);

/*
 * task_read, task_write - memory of a stopped task, whole or not at all.
 * @addr: in the task; read-only and unreadable private mappings are reached too (through
 * /proc/<pid>/mem) Returns 0, -EFAULT when some of it is not mapped, or another negative errno; err
 * names pid and address.
 */
int task_read(const struct task *task, uint64_t addr, void *data, size_t len,
	      struct error *err) _must_check_;
int task_write(const struct task *task, uint64_t addr, const void *data, size_t len,
	       struct error *err) _must_check_;
