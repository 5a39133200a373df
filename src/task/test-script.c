// SPDX-License-Identifier: Apache-2.0
/*
 * test-script: calls made in live victims, which must not notice.
 */
#include <errno.h>
#include <fcntl.h>
#include <immintrin.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "task/regs.h"
#include "task/script-steps.h"
#include "task/victim.h"

#include <cmocka.h>

static struct op test_op;

static void spin(struct victim_page *page, void *arg)
{
	page->ready = 1;
	for (;;)
		page->progress++;
}

static void many_calls(void **state)
{
	_cleanup_script_ struct script *s = NULL;
	_cleanup_task_tree_ struct task_tree tree = TASK_TREE_INIT;
	_cleanup_free_ char *before = NULL, *after = NULL;
	struct error err = ERROR_INIT;
	struct user_regs_struct regs;
	struct victim v;
	int index[300];
	void *local;

	victim_start(&v, spin, NULL);
	victim_stop(&test_op, &v, 1, &tree);
	before = victim_maps(v.pid);
	victim_must(script_begin(&test_op, &tree, task_leader(tree.tasks[0]), false, &s, &err),
		    &err);
	for (int i = 0; i < 300; i++)
		index[i] = script_call(s, SYS_fcntl, i < 3 ? i : 1000000 + i, F_GETFD);
	victim_must(script_run(s, &err), &err);
	for (int i = 0; i < 300; i++)
		assert_int_equal(script_result(s, index[i]), i < 3 ? 0 : -EBADF);
	/* More than the first run could write: the area grows; results chain; memory comes back. */
	assert_true(script_alloc(s, 200000, &local) != 0);
	uint64_t fds = script_alloc(s, 8, &local);
	int pipe = script_need(s, SYS_pipe2, fds, O_CLOEXEC);
	int event = script_call(s, SYS_eventfd2, 7, 0);
	uint64_t word = script_alloc(s, 8, &local);
	int got = script_call(s, SYS_read, SCRIPT_RESULT(event), word, 8);
	int closed = script_call(s, SYS_close, SCRIPT_RESULT(event));
	victim_must(script_run(s, &err), &err);
	assert_int_equal(script_result(s, pipe), 0);
	assert_int_equal(script_result(s, got), 8);
	assert_int_equal(*(uint64_t *)local, 7);
	assert_int_equal(script_result(s, closed), 0);
	script_reset(s);
	script_need(s, SYS_close, -1);
	int never = script_call(s, SYS_getpid);
	victim_must(script_run(s, &err), &err);
	assert_true(script_result(s, never) == SCRIPT_NOT_RUN);
	victim_must(script_end(&s, &err), &err);

	after = victim_maps(v.pid);
	assert_string_equal(before, after);
	victim_must(regs_get(task_leader(tree.tasks[0]), &regs, &err), &err);
	assert_memory_equal(&regs, &tree.tasks[0]->threads[0].regs, sizeof(regs));
	victim_resume(&tree);
	assert_true(victim_moves(&v));
	victim_end(&v);
}

/* Registers that only this loop knows; compares them with themselves for ever. */
__attribute__((target("avx"))) static void spin_avx(struct victim_page *page, void *arg)
{
	__m256i want = _mm256_set_epi64x(0x1122334455667788, 0x99aabbccddeeff00, 0x0f1e2d3c4b5a6978,
					 0x1337133713371337);
	unsigned long lanes[4];

	page->ready = 1;
	for (;;) {
		__asm__ volatile("vmovdqu %[want], %%ymm9\n\t"
				 "vmovdqa %%ymm9, %%ymm15\n\t"
				 "mov $0x1badb002, %%r12\n\t"
				 "mov $0x2badb002, %%rbx\n\t"
				 "mov $200000, %%ecx\n"
				 "1:\tcmp $0x1badb002, %%r12\n\t"
				 "jne 2f\n\t"
				 "cmp $0x2badb002, %%rbx\n\t"
				 "jne 2f\n\t"
				 "mov %%r12, -64(%%rsp)\n\t" /* the red zone is ours */
				 "pause\n\t"
				 "cmpq $0x1badb002, -64(%%rsp)\n\t"
				 "jne 2f\n\t"
				 "dec %%ecx\n\t"
				 "jnz 1b\n\t"
				 "vpxor %%xmm0, %%xmm0, %%xmm0\n\t"
				 "vmovdqu %%ymm15, %[lanes]\n\t"
				 "jmp 3f\n"
				 "2:\tmovq $0, %[lanes]\n"
				 "3:\n"
				 : [lanes] "=m"(lanes)
				 : [want] "m"(want)
				 : "rbx", "r12", "rcx", "xmm0", "xmm9", "xmm15", "memory", "cc");
		if (memcmp(lanes, &want, sizeof(lanes)))
			victim_say(page, "registers have changed");
		page->progress++;
	}
}

static void registers_stay(void **state)
{
	_cleanup_buf_ struct buf before = BUF_INIT, after = BUF_INIT;
	struct error err = ERROR_INIT;
	struct task_tree tree;
	struct victim v;

	if (!__builtin_cpu_supports("avx"))
		skip();
	victim_start(&v, spin_avx, NULL);
	for (int i = 0; i < 50; i++) {
		before.len = after.len = 0;
		victim_stop(&test_op, &v, 1, &tree);
		victim_must(regs_get_xstate(task_leader(tree.tasks[0]), &before, &err), &err);
		victim_script(&test_op, &tree, tree.tasks[0]);
		victim_must(regs_get_xstate(task_leader(tree.tasks[0]), &after, &err), &err);
		assert_int_equal(before.len, after.len);
		assert_memory_equal(before.data, after.data, before.len);
		victim_must(regs_set_xstate(task_leader(tree.tasks[0]),
					    (struct bytes){ before.data, before.len }, &err),
			    &err);
		victim_resume(&tree);
		usleep(1000);
	}
	assert_true(victim_moves(&v));
	victim_end(&v);
}

/* Everything but the calls of this loop kills. */
static void filtered(struct victim_page *page, void *arg)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog prog = { ARRAY_SIZE(insns), insns };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		victim_say(page, "no seccomp");
	page->ready = 1;
	for (;;) {
		syscall(SYS_getppid);
		page->progress++;
	}
}

static void seccomp_is_suspended(void **state)
{
	struct error err = ERROR_INIT;
	struct regs_seccomp *filters;
	struct task_tree tree;
	struct victim v;
	size_t n;

	if (geteuid())
		skip();
	victim_start(&v, filtered, NULL);
	for (int i = 0; i < 10; i++) {
		victim_stop(&test_op, &v, 1, &tree);
		victim_must(regs_get_seccomp(task_leader(tree.tasks[0]), &tree.arena, &filters, &n,
					     &err),
			    &err);
		assert_int_equal(n, 1);
		assert_int_equal(filters[0].n_insns, 4);
		victim_script(&test_op, &tree, tree.tasks[0]);
		victim_resume(&tree);
		assert_true(victim_moves(&v));
	}
	victim_end(&v);
}

static void on_signal(int signal)
{
}

/* Catches every signal, as Go programs do: none is left to end a run with. */
static void catches_all(struct victim_page *page, void *arg)
{
	for (int i = 1; i < 64; i++)
		signal(i, on_signal);
	spin(page, arg);
}

static void stopped_call_by_call(void **state)
{
	struct task_tree tree;
	struct victim v;

	victim_start(&v, catches_all, NULL);
	for (int i = 0; i < 10; i++) {
		victim_stop(&test_op, &v, 1, &tree);
		victim_script(&test_op, &tree, tree.tasks[0]);
		victim_resume(&tree);
		assert_true(victim_moves(&v));
	}
	victim_end(&v);
}

static struct victim_page *context_page;
static bool without_main_stack;

static void spin_here(void)
{
	unsigned long start, end;
	char line[256];
	FILE *maps = fopen("/proc/self/maps", "re");

	while (maps && fgets(line, sizeof(line), maps))
		if (without_main_stack && strstr(line, "[stack]") &&
		    sscanf(line, "%lx-%lx", &start, &end) == 2)
			munmap((void *)start, end - start);
	spin(context_page, NULL);
}

/* A stack in the middle of nowhere, as coroutines have: nothing may be written below it. */
static void on_own_stack(struct victim_page *page, void *arg)
{
	static char stack[65536];
	ucontext_t here, there;

	context_page = page;
	without_main_stack = arg != NULL;
	getcontext(&there);
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = sizeof(stack);
	there.uc_link = &here;
	makecontext(&there, spin_here, 0);
	swapcontext(&here, &there);
}

static void without_a_safe_stack(void **state)
{
	struct task_tree tree;
	struct victim v;

	victim_start(&v, on_own_stack, *state);
	for (int i = 0; i < 10; i++) {
		victim_stop(&test_op, &v, 1, &tree);
		victim_script(&test_op, &tree, tree.tasks[0]);
		victim_resume(&tree);
		assert_true(victim_moves(&v));
	}
	victim_end(&v);
}

static void script_in_group_stop(void **state)
{
	struct task_tree tree;
	struct victim v;
	char text[128];

	victim_start(&v, spin, NULL);
	kill(v.pid, SIGSTOP);
	assert_int_equal(waitpid(v.pid, NULL, WUNTRACED), v.pid);
	victim_stop(&test_op, &v, 1, &tree);
	assert_int_equal(tree.tasks[0]->state, TASK_GROUP_STOPPED);
	victim_script(&test_op, &tree, tree.tasks[0]);
	victim_resume(&tree);
	usleep(20000);
	victim_status(v.pid, "State", text);
	assert_string_equal(text, "T");
	kill(v.pid, SIGCONT);
	assert_true(victim_moves(&v));
	victim_end(&v);
}

static void *thread_main(void *arg)
{
	struct victim_page *page = arg;

	page->ready++;
	for (;;)
		page->progress++;
	return NULL;
}

static void threaded(struct victim_page *page, void *arg)
{
	pthread_t thread;

	for (int i = 0; i < 3; i++)
		pthread_create(&thread, NULL, thread_main, page);
	for (;;)
		pause();
}

/* All threads of a task in one run, twice: each answers for itself. */
static void at_the_same_time(struct task *task)
{
	_cleanup_free_ char *before = victim_maps(task->pid), *after = NULL;
	struct thread *thread, *leader = task_leader(task);
	struct error err = ERROR_INIT;
	struct user_regs_struct regs;
	struct script *s;
	int call[8];

	victim_must(script_begin(&test_op, NULL, leader, true, &s, &err), &err);
	for (int round = 0; round < 2; round++) {
		size_t n = 0;

		script_reset(s);
		call[n++] = script_call(s, SYS_gettid);
		foreach_thread (thread, task) {
			if (thread == leader)
				continue;
			victim_must(script_also(s, thread, &err), &err);
			script_call(s, SYS_getpid);
			call[n++] = script_call(s, SYS_gettid);
		}
		victim_must(script_run(s, &err), &err);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(script_result(s, call[i]), task->threads[i].ns_tid);
		foreach_thread (thread, task) {
			if (thread == leader)
				continue;
			victim_must(regs_get(thread, &regs, &err), &err);
			assert_memory_equal(&regs, &thread->regs, sizeof(regs));
		}
	}
	assert_int_equal(script_also(s, leader, &err), -EINVAL);
	victim_must(script_end(&s, &err), &err);
	after = victim_maps(task->pid);
	assert_string_equal(before, after);
}

static void exact_thread(void **state)
{
	struct error err = ERROR_INIT;
	struct task_tree tree;
	struct thread *thread;
	struct victim v;

	victim_start(&v, threaded, NULL);
	usleep(20000);
	victim_stop(&test_op, &v, 1, &tree);
	assert_int_equal(tree.tasks[0]->n_threads, 4);
	foreach_thread (thread, tree.tasks[0]) {
		struct script *s;
		int tid;

		victim_must(script_begin(&test_op, &tree, thread, true, &s, &err), &err);
		tid = script_call(s, SYS_gettid);
		victim_must(script_run(s, &err), &err);
		assert_int_equal(script_result(s, tid), thread->ns_tid);
		victim_must(script_end(&s, &err), &err);
	}
	/* And once more with one session that goes from thread to thread. */
	struct script *one;
	_cleanup_free_ char *before = victim_maps(v.pid), *after = NULL;

	victim_must(script_begin(&test_op, &tree, task_leader(tree.tasks[0]), true, &one, &err),
		    &err);
	foreach_thread (thread, tree.tasks[0]) {
		int tid;

		script_reset(one);
		victim_must(script_move(one, thread, &err), &err);
		tid = script_call(one, SYS_gettid);
		victim_must(script_run(one, &err), &err);
		assert_int_equal(script_result(one, tid), thread->ns_tid);
	}
	victim_must(script_end(&one, &err), &err);
	after = victim_maps(v.pid);
	assert_string_equal(before, after);
	at_the_same_time(tree.tasks[0]);
	victim_resume(&tree);
	assert_true(victim_moves(&v));
	victim_end(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_calls),
		cmocka_unit_test(registers_stay),
		cmocka_unit_test(seccomp_is_suspended),
		cmocka_unit_test(stopped_call_by_call),
		cmocka_unit_test(without_a_safe_stack),
		cmocka_unit_test_prestate(without_a_safe_stack, (void *)"no main stack either"),
		cmocka_unit_test(script_in_group_stop),
		cmocka_unit_test(exact_thread),
	};

	test_op = OP_INIT;
	victim_may_trace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
