/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc-status: /proc/PID/status (and of a thread): credentials, ids in each pid namespace, signals,
 * seccomp, capabilities.
 */
#pragma once

#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"

#define PROC_STATUS_MAX_BYTES  ((size_t)1 << 20) /* 65536 groups of 11 bytes fit */
#define PROC_STATUS_GROUPS_MAX 65536
#define PROC_STATUS_NS_MAX     33 /* MAX_PID_NS_LEVEL + 1 */

enum proc_status_id { PROC_ID_REAL, PROC_ID_EFFECTIVE, PROC_ID_SAVED, PROC_ID_FS, PROC_ID_COUNT };

struct proc_status {
	char name[64]; /* unescaped comm */
	char state;
	uint32_t umask;
	bool has_umask; /* a process without fs (zombie) has none */
	pid_t tgid, pid, ppid, tracer_pid;
	uint32_t uid[PROC_ID_COUNT], gid[PROC_ID_COUNT];
	uint32_t fd_size;
	uint32_t *groups;
	size_t n_groups;
	/* the same task in each pid namespace, from that of the /proc mount inwards */
	pid_t ns_tgid[PROC_STATUS_NS_MAX], ns_pid[PROC_STATUS_NS_MAX];
	pid_t ns_pgid[PROC_STATUS_NS_MAX], ns_sid[PROC_STATUS_NS_MAX];
	size_t n_ns;
	bool kthread;
	uint64_t vm_size, vm_rss, vm_lck, vm_pin, rss_anon, rss_file, rss_shmem,
		vm_swap; /* bytes */
	bool has_mm;	 /* Vm* lines were there */
	uint32_t threads;
	uint64_t sig_q, sig_q_limit;
	uint64_t sig_pnd, shd_pnd, sig_blk, sig_ign, sig_cgt; /* bit n-1 = signal n */
	uint64_t cap_inh, cap_prm, cap_eff, cap_bnd, cap_amb;
	bool no_new_privs;
	uint32_t seccomp; /* 0 off, 1 strict, 2 filter */
	uint32_t seccomp_filters;
	bool thp_enabled, has_thp_enabled;
	uint64_t voluntary_switches, nonvoluntary_switches;
};

/* proc_status_parse - unknown lines are skipped; Name, State, Pid, Uid, Gid must be there
 * (-EBADMSG). */
int proc_status_parse(struct bytes text, struct arena *arena, struct proc_status *ret,
		      struct error *err) _must_check_;

/*
 * proc_status_reread - from the status file itself, which was opened before: once more, from its
 * beginning. -ESRCH when the process or thread has ended.
 */
int proc_status_reread(int status_fd, struct arena *arena, struct proc_status *ret,
		       struct error *err) _must_check_;

/* proc_status_read - the status file of a process or thread directory. */
int proc_status_read(int proc_fd, struct arena *arena, struct proc_status *ret,
		     struct error *err) _must_check_;
