// SPDX-License-Identifier: Apache-2.0
/*
 * feature-probe-task: what may be done to other tasks, tried on a child that waits to be killed.
 */
#include <ctype.h>
#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "kernel/feature-probe.h"
#include "kernel/kcmp.h"
#include "kernel/pidfd.h"
#include "kernel/process-vm.h"

/* Of newer headers. */
#define TIMER_RESTORE_IDS     77
#define TIMER_RESTORE_IDS_GET 2
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

enum feature_state probe_pidfd_getfd(char *detail)
{
	_cleanup_close_ int sample = epoll_create1(EPOLL_CLOEXEC), pidfd = -1, fd = -1;
	_cleanup_feature_child_ pid_t pid = feature_child();
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
	_cleanup_feature_child_ pid_t pid = feature_child();
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
	_cleanup_feature_child_ pid_t pid = feature_child();
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
	return feature_unshare(CLONE_NEWTIME, detail);
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
