// SPDX-License-Identifier: Apache-2.0
/*
 * ptrace-feature: what ptrace can do here, tried on children of our own. Never touches another
 * task.
 */
#include "task/ptrace-feature.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* Requests that older headers lack. */
#define SECCOMP_GET_FILTER 0x420c
#define GET_RSEQ	   0x420f
#define O_SUSPEND_SECCOMP  (1 << 21)

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
	*ret_pid = feature_child();
	return *ret_pid < 0 ? feature_errno(errno, detail) : stop_child(*ret_pid, options, detail);
}

static enum feature_state probe_ptrace_seize(char *detail)
{
	_cleanup_feature_child_ pid_t pid = -1;

	return stopped_child(0, &pid, detail);
}

static enum feature_state probe_ptrace_rseq(char *detail)
{
	struct {
		uint64_t address;
		uint32_t size, signature, flags, pad;
	} config;
	_cleanup_feature_child_ pid_t pid = -1;
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

static enum feature_state probe_ptrace_seccomp_filter(char *detail)
{
	enum feature_state state;
	int errnum = 0;
	_cleanup_feature_child_ pid_t pid = filtered_child(&errnum);

	if (pid < 0 || errnum)
		return feature_errno(errnum, detail);
	state = stop_child(pid, 0, detail);
	if (state != FEATURE_YES)
		return state;
	if (ptrace(SECCOMP_GET_FILTER, pid, 0, NULL) < 0)
		return feature_errno(errno, detail);
	return FEATURE_YES;
}

static enum feature_state probe_ptrace_suspend_seccomp(char *detail)
{
	_cleanup_feature_child_ pid_t pid = -1;

	return stopped_child(O_SUSPEND_SECCOMP, &pid, detail);
}

static const struct feature features[] = {
	{ "ptrace-seize", FEATURE_REQUIRED, "stopping tasks and reading their registers",
	  "no process can be checkpointed or restored", probe_ptrace_seize },
	{ "ptrace-rseq", FEATURE_NEEDED, "capturing restartable sequences",
	  "a restored thread runs without its rseq area", probe_ptrace_rseq },
	{ "ptrace-seccomp-filter", FEATURE_NEEDED, "reading seccomp filters",
	  "seccomp filters become a gap", probe_ptrace_seccomp_filter },
	{ "ptrace-suspend-seccomp", FEATURE_NEEDED, "system calls in a task under a seccomp filter",
	  "what must be asked inside such a task becomes a gap", probe_ptrace_suspend_seccomp },
};

const struct feature *ptrace_feature_table(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(features);
	return features;
}
