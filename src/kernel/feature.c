// SPDX-License-Identifier: Apache-2.0
/*
 * feature: words for the outcome of probes, and the child they try things on.
 */
#include "kernel/feature.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

const char *feature_state_name(enum feature_state state)
{
	static const char *const names[] = {
		[FEATURE_YES] = "yes",
		[FEATURE_NO] = "no",
		[FEATURE_DENIED] = "denied",
		[FEATURE_UNKNOWN] = "unknown",
	};

	return names[state];
}

const char *feature_weight_name(enum feature_weight weight)
{
	static const char *const names[] = {
		[FEATURE_REQUIRED] = "required",
		[FEATURE_NEEDED] = "needed",
		[FEATURE_OPTIONAL] = "optional",
	};

	return names[weight];
}

enum feature_state feature_errno(int errnum, char *detail)
{
	snprintf(detail, FEATURE_DETAIL_MAX, "%s", strerror(errnum));
	switch (errnum) {
	case EPERM:
	case EACCES:
		return FEATURE_DENIED;
	case ENOSYS:
	case EINVAL:
	case ENOENT:
	case ENODEV:
	case ENOTTY:
	case EIO: /* an unknown ptrace request */
	case ENOPROTOOPT:
	case EPROTONOSUPPORT:
	case EAFNOSUPPORT:
	case EOPNOTSUPP:
		return FEATURE_NO;
	}
	return FEATURE_UNKNOWN;
}

pid_t feature_child(void)
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

void feature_child_end(const pid_t *pid)
{
	if (*pid <= 0)
		return;
	kill(*pid, SIGKILL);
	while (waitpid(*pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

enum feature_state feature_unshare(int flag, char *detail)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare(flag) < 0 ? errno : 0);
	if (pid < 0)
		return feature_errno(errno, detail);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return feature_errno(errno, detail);
	if (!WIFEXITED(status))
		return FEATURE_UNKNOWN;
	return WEXITSTATUS(status) ? feature_errno(WEXITSTATUS(status), detail) : FEATURE_YES;
}
