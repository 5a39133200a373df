// SPDX-License-Identifier: Apache-2.0
/*
 * victim: see victim.h.
 */
#include "task/victim.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "base/fd.h"

void victim_fail(const char *file, int line, const struct error *err)
{
	fprintf(stderr, "%s:%d: %s (%s)\n", file, line, err->text, err->hint);
	fail();
}

void victim_say(struct victim_page *page, const char *text)
{
	snprintf(page->text, sizeof(page->text), "%s", text);
	page->broken = 1;
	_exit(1);
}

void victim_start(struct victim *v, victim_fn *fn, void *arg)
{
	uint64_t deadline = clock_ns() + 10 * 1000000000ULL;

	v->page = mmap(NULL, sizeof(*v->page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	assert_true(v->page != MAP_FAILED);
	v->pid = fork();
	assert_true(v->pid >= 0);
	if (!v->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fn(v->page, arg);
		_exit(0);
	}
	while (!v->page->ready && clock_ns() < deadline)
		usleep(200);
	assert_true(v->page->ready);
}

void victim_end(struct victim *v)
{
	int status;

	if (v->page->broken)
		fail_msg("victim %d: %s", v->pid, v->page->text);
	assert_int_equal(waitpid(v->pid, &status, WNOHANG), 0);
	kill(v->pid, SIGKILL);
	waitpid(v->pid, &status, 0);
	munmap(v->page, sizeof(*v->page));
}

bool victim_moves(struct victim *v)
{
	uint64_t deadline = clock_ns() + 2 * 1000000000ULL;
	unsigned long before = v->page->progress;

	while (clock_ns() < deadline) {
		if (v->page->progress != before)
			return true;
		usleep(500);
	}
	return false;
}

void victim_stop(struct op *op, const struct victim *v, size_t n, struct task_tree *tree)
{
	struct error err = ERROR_INIT;
	pid_t roots[64];

	for (size_t i = 0; i < n; i++)
		roots[i] = v[i].pid;
	*tree = TASK_TREE_INIT;
	victim_must(task_tree_stop(op, &(struct task_stop_options){ .roots = roots, .n_roots = n },
				   tree, &err),
		    &err);
}

void victim_resume(struct task_tree *tree)
{
	struct error err = ERROR_INIT;

	victim_must(task_tree_resume(tree, &err), &err);
	task_tree_deinit(tree);
}

void victim_script(struct op *op, struct task_tree *tree, struct task *task)
{
	struct error err = ERROR_INIT;
	struct script *s = NULL;
	int pid, bad;

	victim_must(script_begin(op, tree, task_leader(task), false, &s, &err), &err);
	pid = script_call(s, SYS_getpid);
	bad = script_call(s, SYS_close, -1);
	victim_must(script_run(s, &err), &err);
	assert_int_equal(script_result(s, pid), task->ns_pid);
	assert_int_equal(script_result(s, bad), -9);
	victim_must(script_end(&s, &err), &err);
}

static char *read_proc(pid_t pid, const char *name)
{
	_cleanup_buf_ struct buf buf = BUF_INIT;
	struct error err = ERROR_INIT;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	victim_must(fd_read_file(AT_FDCWD, path, 1 << 20, &buf, &err), &err);
	return strdup(buf.data ? (char *)buf.data : "");
}

void victim_status(pid_t pid, const char *key, char *ret)
{
	_cleanup_free_ char *text = read_proc(pid, "status");
	char wanted[64];
	const char *at;

	snprintf(wanted, sizeof(wanted), "\n%s:", key);
	at = strstr(text, wanted);
	*ret = '\0';
	if (at)
		sscanf(at + strlen(wanted), "%127s", ret);
}

char *victim_maps(pid_t pid)
{
	return read_proc(pid, "maps");
}

void victim_may_trace(void)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		pause();
		_exit(0);
	}
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		status = 77;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, __WALL);
	if (status) {
		fprintf(stderr, "SKIP: ptrace is not permitted here\n");
		_exit(77);
	}
}
