// SPDX-License-Identifier: Apache-2.0
/*
 * feature-probe-task: what may be done to other tasks, tried on a child that waits to be killed.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "kernel/feature-probe.h"
#include "kernel/kcmp.h"
#include "kernel/pidfd.h"
#include "kernel/process-vm.h"

/* Requests that older headers lack. */
#define SECCOMP_GET_FILTER    0x420c
#define GET_RSEQ	      0x420f
#define O_SUSPEND_SECCOMP     (1 << 21)
#define TIMER_RESTORE_IDS     77
#define TIMER_RESTORE_IDS_GET 2
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

static void cleanup_child(const pid_t *pid)
{
	if (*pid <= 0)
		return;
	kill(*pid, SIGKILL);
	while (waitpid(*pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

#define _cleanup_child_ _cleanup_(cleanup_child)

/* A child that does nothing; it has a copy of our memory and of our descriptors. -1 with errno. */
static pid_t waiting_child(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	for (;;)
		pause();
}

/* Seizes and stops it. FEATURE_YES when it is stopped. */
static enum feature_state stop_child(pid_t pid, unsigned long options, char *detail)
{
	int status;

	if (ptrace(PTRACE_SEIZE, pid, 0, options) < 0 || ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0)
		return feature_errno(errno, detail);
	while (waitpid(pid, &status, __WALL) < 0)
		if (errno != EINTR)
			return feature_errno(errno, detail);
	return WIFSTOPPED(status) ? FEATURE_YES : FEATURE_UNKNOWN;
}

static enum feature_state stopped_child(unsigned long options, pid_t *ret_pid, char *detail)
{
	*ret_pid = waiting_child();
	return *ret_pid < 0 ? feature_errno(errno, detail) : stop_child(*ret_pid, options, detail);
}

enum feature_state probe_ptrace_seize(char *detail)
{
	_cleanup_child_ pid_t pid = -1;

	return stopped_child(0, &pid, detail);
}

enum feature_state probe_ptrace_rseq(char *detail)
{
	struct {
		uint64_t address;
		uint32_t size, signature, flags, pad;
	} config;
	_cleanup_child_ pid_t pid = -1;
	enum feature_state state = stopped_child(0, &pid, detail);

	if (state != FEATURE_YES)
		return state;
	if (ptrace(GET_RSEQ, pid, sizeof(config), &config) < 0)
		return feature_errno(errno, detail);
	return FEATURE_YES;
}

/* A child under a filter that allows everything. It says through the pipe when the filter is there.
 */
static pid_t filtered_child(int *ret_errnum)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { .len = 1, .filter = &allow };
	int ready[2], errnum = 0;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0) {
		*ret_errnum = errno;
		return -1;
	}
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* If we ended before that, the write below finds no reader and ends the child. */
		close(ready[0]);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
			errnum = errno;
		if (write(ready[1], &errnum, sizeof(errnum)) != sizeof(errnum))
			_exit(1);
		for (;;)
			pause();
	}
	*ret_errnum = errno;
	close(ready[1]);
	if (pid > 0 && read(ready[0], &errnum, sizeof(errnum)) != sizeof(errnum))
		errnum = EIO;
	if (pid > 0)
		*ret_errnum = errnum;
	close(ready[0]);
	return pid;
}

enum feature_state probe_ptrace_seccomp_filter(char *detail)
{
	enum feature_state state;
	int errnum = 0;
	_cleanup_child_ pid_t pid = filtered_child(&errnum);

	if (pid < 0 || errnum)
		return feature_errno(errnum, detail);
	state = stop_child(pid, 0, detail);
	if (state != FEATURE_YES)
		return state;
	if (ptrace(SECCOMP_GET_FILTER, pid, 0, NULL) < 0)
		return feature_errno(errno, detail);
	return FEATURE_YES;
}

enum feature_state probe_ptrace_suspend_seccomp(char *detail)
{
	_cleanup_child_ pid_t pid = -1;

	return stopped_child(O_SUSPEND_SECCOMP, &pid, detail);
}

enum feature_state probe_pidfd_getfd(char *detail)
{
	_cleanup_close_ int sample = epoll_create1(EPOLL_CLOEXEC), pidfd = -1, fd = -1;
	_cleanup_child_ pid_t pid = waiting_child();
	struct error err = ERROR_INIT;

	if (pid < 0 || sample < 0)
		return feature_errno(errno, detail);
	if (pidfd_open_process(pid, &pidfd, &err) < 0 ||
	    pidfd_take_fd(pidfd, sample, &fd, &err) < 0)
		return feature_errno(err.errnum, detail);
	return FEATURE_YES;
}

enum feature_state probe_kcmp(char *detail)
{
	_cleanup_child_ pid_t pid = waiting_child();
	struct error err = ERROR_INIT;
	int value;

	if (pid < 0)
		return feature_errno(errno, detail);
	if (kcmp_task(getpid(), pid, KCMP_OF_VM, &value, &err) < 0)
		return feature_errno(err.errnum, detail);
	return FEATURE_YES;
}

enum feature_state probe_kcmp_epoll(char *detail)
{
	_cleanup_close_ int epoll = epoll_create1(EPOLL_CLOEXEC),
			    watched = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };
	struct error err = ERROR_INIT;
	int value;

	if (epoll < 0 || watched < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, watched, &event) < 0)
		return feature_errno(errno, detail);
	if (kcmp_epoll(getpid(), watched, getpid(), epoll, watched, 0, &value, &err) < 0)
		return feature_errno(err.errnum, detail);
	return value == 0 ? FEATURE_YES : FEATURE_UNKNOWN;
}

enum feature_state probe_process_vm(char *detail)
{
	char there[16] = "amber", here[16] = "";
	_cleanup_child_ pid_t pid = waiting_child();
	struct error err = ERROR_INIT;

	if (pid < 0)
		return feature_errno(errno, detail);
	if (process_vm_read(pid, (uintptr_t)there, here, sizeof(here), &err) < 0)
		return feature_errno(err.errnum, detail);
	return memcmp(there, here, sizeof(here)) == 0 ? FEATURE_YES : FEATURE_UNKNOWN;
}

/* A number that was free a moment ago; somebody else may take it, so several tries are made. */
enum feature_state probe_clone3_set_tid(char *detail)
{
	for (int i = 0; i < 5; i++) {
		pid_t wanted = fork(), pid;
		struct clone_args args = { .exit_signal = SIGCHLD,
					   .set_tid = (uintptr_t)&wanted,
					   .set_tid_size = 1 };

		if (wanted == 0)
			_exit(0);
		if (wanted < 0)
			return feature_errno(errno, detail);
		while (waitpid(wanted, NULL, 0) < 0 && errno == EINTR)
			;
		pid = syscall(SYS_clone3, &args, sizeof(args));
		if (pid == 0)
			syscall(SYS_exit_group, 0);
		if (pid > 0) {
			while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
				;
			return pid == wanted ? FEATURE_YES : FEATURE_UNKNOWN;
		}
		if (errno != EEXIST)
			return feature_errno(errno, detail);
	}
	return feature_errno(EEXIST, detail);
}

enum feature_state probe_proc_children(char *detail)
{
	if (access("/proc/thread-self/children", R_OK) < 0)
		return feature_errno(errno, detail);
	return FEATURE_YES;
}

enum feature_state probe_timer_restore_ids(char *detail)
{
	if (prctl(TIMER_RESTORE_IDS, TIMER_RESTORE_IDS_GET, 0, 0, 0) < 0)
		return feature_errno(errno, detail);
	return FEATURE_YES;
}

enum feature_state probe_set_mm(char *detail)
{
	unsigned int size = 0;

	if (prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0) < 0)
		return feature_errno(errno, detail);
	return FEATURE_YES;
}

enum feature_state probe_time_ns(char *detail)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare(CLONE_NEWTIME) < 0 ? errno : 0);
	if (pid < 0)
		return feature_errno(errno, detail);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return feature_errno(errno, detail);
	if (!WIFEXITED(status))
		return FEATURE_UNKNOWN;
	return WEXITSTATUS(status) ? feature_errno(WEXITSTATUS(status), detail) : FEATURE_YES;
}

static bool has_cap(cap_t caps, cap_value_t value)
{
	cap_flag_value_t flag = CAP_CLEAR;

	return cap_get_flag(caps, value, CAP_EFFECTIVE, &flag) == 0 && flag == CAP_SET;
}

/* Names those of a list that are missing. */
static enum feature_state check_caps(const cap_value_t *wanted, size_t n, char *detail)
{
	cap_t caps = cap_get_proc();
	size_t used = 0;
	bool all = true;

	if (!caps)
		return feature_errno(errno, detail);
	for (size_t i = 0; i < n; i++) {
		char *name;

		if (has_cap(caps, wanted[i]))
			continue;
		all = false;
		name = cap_to_name(wanted[i]);
		if (name && used < FEATURE_DETAIL_MAX)
			used += snprintf(detail + used, FEATURE_DETAIL_MAX - used, "%s%s",
					 used ? ", " : "missing: ", name);
		cap_free(name);
	}
	cap_free(caps);
	for (char *c = detail + strlen("missing:"); !all && *c; c++)
		*c = toupper(*c);
	return all ? FEATURE_YES : FEATURE_DENIED;
}

enum feature_state probe_capabilities(char *detail)
{
	static const cap_value_t wanted[] = {
		CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_NET_ADMIN,  CAP_DAC_OVERRIDE,
		CAP_CHOWN,	CAP_FOWNER,    CAP_SETUID,     CAP_SETGID,
		CAP_SETPCAP,	CAP_KILL,      CAP_SYS_CHROOT, CAP_MKNOD,
	};

	return check_caps(wanted, ARRAY_SIZE(wanted), detail);
}

enum feature_state probe_cap_sys_resource(char *detail)
{
	static const cap_value_t wanted[] = { CAP_SYS_RESOURCE };

	return check_caps(wanted, ARRAY_SIZE(wanted), detail);
}
