// SPDX-License-Identifier: Apache-2.0
/*
 * test-puppet: a child of ours becomes a process with two threads that we describe, by scripts
 * alone.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "task/puppet.h"
#include "task/regs.h"
#include "task/victim.h"

#include <cmocka.h>

#define SCRATCH	     0x10000000ULL
#define SCRATCH_SIZE ((size_t)256 << 10)
#define STACK_SIZE   ((size_t)16 << 10)

static struct op test_op;
static unsigned char stacks[2][STACK_SIZE] __attribute__((aligned(16)));
static struct victim_page *puppet_page;

static void unprepared(struct victim_page *page, void *arg)
{
	puppet_page = page;
	if (mmap((void *)SCRATCH, SCRATCH_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED ||
	    mprotect((void *)SCRATCH, AMBER_PAGE_SIZE, PROT_READ | PROT_EXEC))
		victim_say(page, "no scratch area");
	page->ready = 1;
	for (;;)
		pause();
}

/* What the puppet's threads do in the end: no libc, no TLS. */
static void first_main(struct victim_page *page)
{
	for (;;)
		page->progress++;
}

static void second_main(struct victim_page *page)
{
	for (;;)
		page->counters[0]++;
}

static struct user_regs_struct regs_for(const struct thread *thread,
					void (*fn)(struct victim_page *), int stack,
					struct victim_page *page)
{
	struct user_regs_struct regs = thread->regs;

	regs.rip = (uint64_t)(uintptr_t)fn;
	regs.rsp = (uint64_t)(uintptr_t)stacks[stack] + STACK_SIZE - 8;
	regs.rdi = (uint64_t)(uintptr_t)page;
	return regs;
}

static pid_t make_thread(struct puppet *puppet, struct victim_page *page)
{
	struct error err = ERROR_INIT;
	struct script *s = NULL;
	int made, other, moved;
	pid_t tid = 0;

	victim_must(
		script_adopt(&test_op, &puppet->task.threads[0], SCRATCH, SCRATCH_SIZE, &s, &err),
		&err);
	other = script_call(s, SYS_mmap, 0x20000000, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	moved = script_call(s, SYS_mremap, SCRIPT_RESULT(other), 8192, 8192,
			    MREMAP_MAYMOVE | MREMAP_FIXED, 0x30000000);
	made = script_need(s, SYS_clone,
			   CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
				   CLONE_SYSVSEM,
			   (uint64_t)(uintptr_t)stacks[1] + STACK_SIZE);
	victim_must(script_run(s, &err), &err);
	assert_int_equal(script_result(s, moved), 0x30000000);
	assert_true(script_result(s, made) > 0);
	victim_must(script_new_thread(s, made, &tid, &err), &err);
	assert_int_equal(script_new_thread(s, other, &tid, &err), -ENOENT);
	assert_int_equal(tid, script_result(s, made));
	victim_must(script_end(&s, &err), &err);
	return tid;
}

static void becomes_another(void **state)
{
	struct puppet_thread_state states[2] = { { .sigmask = 0x200 }, { .sigmask = 0x800 } };
	_cleanup_puppet_ struct puppet *puppet = NULL;
	_cleanup_buf_ struct buf xstate = BUF_INIT;
	_cleanup_free_ char *maps = NULL;
	struct error err = ERROR_INIT;
	struct victim v;
	char text[128];
	pid_t tid;

	victim_start(&v, unprepared, NULL);
	victim_must(puppet_seize(&test_op, v.pid, &puppet, &err), &err);
	tid = make_thread(puppet, v.page);
	victim_must(puppet_add_thread(puppet, tid, &err), &err);
	assert_int_equal(puppet->task.n_threads, 2);

	/* A script in the second thread. */
	{
		struct script *s = NULL;
		int nr;

		victim_must(script_adopt(&test_op, &puppet->task.threads[1], SCRATCH, SCRATCH_SIZE,
					 &s, &err),
			    &err);
		nr = script_call(s, SYS_gettid);
		victim_must(script_run(s, &err), &err);
		assert_int_equal(script_result(s, nr), tid);
		victim_must(script_end(&s, &err), &err);
	}
	victim_must(regs_get_xstate(&puppet->task.threads[0], &xstate, &err), &err);
	states[0].regs = regs_for(&puppet->task.threads[0], first_main, 0, v.page);
	states[0].xstate = (struct bytes){ xstate.data, xstate.len };
	states[1].regs = regs_for(&puppet->task.threads[1], second_main, 1, v.page);
	states[1].xstate = (struct bytes){ xstate.data, 576 };
	victim_must(puppet_release(puppet, states, SCRATCH, SCRATCH_SIZE, 0, &err), &err);

	assert_true(victim_moves(&v));
	for (int i = 0; i < 1000 && !v.page->counters[0]; i++)
		usleep(1000);
	assert_true(v.page->counters[0] > 0);
	maps = victim_maps(v.pid);
	assert_null(strstr(maps, "10000000-"));
	assert_non_null(strstr(maps, "30000000-30002000 r--p"));
	victim_status(v.pid, "TracerPid", text);
	assert_string_equal(text, "0");
	victim_status(v.pid, "SigBlk", text);
	assert_string_equal(text, "0000000000000200");
	victim_end(&v);
}

static void is_left_stopped(void **state)
{
	struct puppet_thread_state one = { 0 };
	_cleanup_puppet_ struct puppet *puppet = NULL;
	struct error err = ERROR_INIT;
	struct victim v;
	char text[128];

	victim_start(&v, unprepared, NULL);
	victim_must(puppet_seize(&test_op, v.pid, &puppet, &err), &err);
	one.regs = regs_for(&puppet->task.threads[0], first_main, 0, v.page);
	victim_must(puppet_release(puppet, &one, SCRATCH, SCRATCH_SIZE, SIGTSTP, &err), &err);
	usleep(20000);
	victim_status(v.pid, "State", text);
	assert_string_equal(text, "T");
	kill(v.pid, SIGCONT);
	assert_true(victim_moves(&v));
	victim_end(&v);
}

/* Half a restored process must not outlive the one who restores it. */
static void dies_with_us(void **state)
{
	struct victim v;
	int status;
	pid_t pid;

	victim_start(&v, unprepared, NULL);
	pid = fork();
	if (!pid) {
		struct error err = ERROR_INIT;
		struct puppet *puppet;

		if (puppet_seize(&test_op, v.pid, &puppet, &err) == 0)
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(waitpid(v.pid, &status, 0), v.pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void is_killed_when_not_released(void **state)
{
	struct error err = ERROR_INIT;
	struct puppet *puppet;
	struct victim v;

	victim_start(&v, unprepared, NULL);
	victim_must(puppet_seize(&test_op, v.pid, &puppet, &err), &err);
	puppet_free(puppet);
	assert_true(waitpid(v.pid, NULL, WNOHANG) == v.pid || errno == ECHILD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(becomes_another),
		cmocka_unit_test(is_left_stopped),
		cmocka_unit_test(dies_with_us),
		cmocka_unit_test(is_killed_when_not_released),
	};

	test_op = OP_INIT;
	victim_may_trace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
