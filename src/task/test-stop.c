// SPDX-License-Identifier: Apache-2.0
/*
 * test-stop: trees of tasks are stopped whole, whatever they are doing, and go on as they were.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "task/regs.h"
#include "task/victim.h"

#include <cmocka.h>

#define THREADS		100
#define SLOW_FORK_BYTES ((size_t)128 << 20)

static struct op test_op;

static unsigned long sum(const struct victim *v)
{
	unsigned long total = v->page->progress;

	for (size_t i = 0; i < ARRAY_SIZE(v->page->counters); i++)
		total += v->page->counters[i];
	return total;
}

/* Nothing of it may count while it is stopped. */
static void stands_still(const struct victim *v)
{
	unsigned long before = sum(v);

	usleep(30000);
	assert_true(sum(v) == before);
}

static void *count_main(void *arg)
{
	atomic_ulong *counter = arg;

	for (;;) {
		(*counter)++;
		sched_yield();
	}
	return NULL;
}

static void many_threads(struct victim_page *page, void *arg)
{
	pthread_t thread;

	for (int i = 0; i < THREADS - 1; i++)
		if (pthread_create(&thread, NULL, count_main, &page->counters[i]))
			victim_say(page, "no thread");
	page->ready = 1;
	count_main(&page->progress);
}

static void a_hundred_threads(void **state)
{
	struct task_tree tree;
	struct thread *thread;
	struct victim v;

	victim_start(&v, many_threads, NULL);
	for (int i = 0; i < 5; i++) {
		victim_stop(&test_op, &v, 1, &tree);
		assert_int_equal(tree.n_tasks, 1);
		assert_int_equal(tree.tasks[0]->n_threads, THREADS);
		assert_int_equal(tree.tasks[0]->threads[0].tid, v.pid);
		foreach_thread (thread, tree.tasks[0])
			assert_true(thread->stopped && thread->regs.rip);
		stands_still(&v);
		victim_script(&test_op, &tree, tree.tasks[0]);
		victim_resume(&tree);
		assert_true(victim_moves(&v));
	}
	victim_end(&v);
}

/* Threads and children are born and die all the time; each counts before it goes. */
static void *short_thread(void *arg)
{
	atomic_ulong *counter = arg;

	(*counter)++;
	return NULL;
}

static void breeder(struct victim_page *page, void *arg)
{
	pthread_t thread;
	pid_t pid;

	/* Orphans stay below the root. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (int i = 0; i < 3; i++)
		if (!fork())
			break;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	page->ready++;
	for (;;) {
		if (!pthread_create(&thread, NULL, short_thread, &page->progress))
			pthread_join(thread, NULL);
		pid = fork();
		if (!pid) {
			if (!fork()) {
				page->counters[1]++;
				_exit(0);
			}
			page->counters[0]++;
			_exit(0);
		}
		waitpid(pid, NULL, 0);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

static void born_meanwhile(void **state)
{
	struct task_tree tree;
	struct victim v;

	victim_start(&v, breeder, NULL);
	for (int i = 0; i < 40; i++) {
		victim_stop(&test_op, &v, 1, &tree);
		stands_still(&v);
		victim_resume(&tree);
		usleep(3000);
		assert_true(victim_moves(&v));
	}
	victim_end(&v);
}

/* A fork that has begun before anybody attached shows its child only when it is done. */
static void forks_slowly(struct victim_page *page, void *arg)
{
	char *memory = mmap(NULL, SLOW_FORK_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED || madvise(memory, SLOW_FORK_BYTES, MADV_NOHUGEPAGE))
		victim_say(page, "no memory");
	else
		memset(memory, 1, SLOW_FORK_BYTES);
	page->ready = 1;
	for (;;) {
		pid_t pid = fork();

		if (!pid) {
			uint64_t end = clock_ns() + 5000000;

			while (clock_ns() < end)
				page->counters[0]++;
			_exit(0);
		}
		waitpid(pid, NULL, 0);
		page->progress++;
	}
}

static void born_of_a_fork_under_way(void **state)
{
	struct task_tree tree;
	struct victim v;

	victim_start(&v, forks_slowly, NULL);
	for (int i = 0; i < 20; i++) {
		victim_stop(&test_op, &v, 1, &tree);
		stands_still(&v);
		victim_resume(&tree);
		usleep(3000);
		assert_true(victim_moves(&v));
	}
	victim_end(&v);
}

static void with_zombie(struct victim_page *page, void *arg)
{
	siginfo_t info;

	if (!fork())
		_exit(42);
	/* Dead, and not buried. */
	waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
	if (!fork()) {
		for (;;)
			page->counters[0]++;
	}
	page->ready = 1;
	for (;;)
		page->progress++;
}

static void zombies_and_children(void **state)
{
	struct task *task, *zombie = NULL, *child = NULL;
	struct error err = ERROR_INIT;
	struct task_tree tree;
	struct victim v;

	victim_start(&v, with_zombie, NULL);
	victim_stop(&test_op, &v, 1, &tree);
	assert_int_equal(tree.n_tasks, 3);
	foreach_task (task, &tree) {
		if (task->state == TASK_ZOMBIE)
			zombie = task;
		else if (task->parent)
			child = task;
	}
	assert_true(zombie && child);
	assert_int_equal(zombie->n_threads, 0);
	assert_int_equal(WEXITSTATUS(zombie->exit_code), 42);
	assert_ptr_equal(zombie->parent, tree.tasks[0]);
	assert_ptr_equal(child->parent, tree.tasks[0]);
	assert_int_equal(child->exit_signal, SIGCHLD);
	stands_still(&v);
	victim_must(task_tree_kill(&tree, &err), &err);
	task_tree_deinit(&tree);
	/* They are dead, and ours to reap where we are the parent (the tracer's own look may have
	 * done it). */
	assert_true(waitpid(v.pid, NULL, WNOHANG) == v.pid || errno == ECHILD);
}

/* It is let go, and falls back into its stop as soon as it gets a processor. */
static void is_stopped_again(const struct victim *v)
{
	char text[128];
	int tries = 200;

	do {
		usleep(5000);
		victim_status(v->pid, "State", text);
	} while (strcmp(text, "T") && --tries);
	assert_string_equal(text, "T");
}

static void stopped_stays_stopped(void **state)
{
	struct task_tree tree;
	struct victim v;

	victim_start(&v, many_threads, NULL);
	kill(v.pid, SIGSTOP);
	assert_int_equal(waitpid(v.pid, NULL, WUNTRACED), v.pid);
	for (int i = 0; i < 3; i++) {
		victim_stop(&test_op, &v, 1, &tree);
		assert_int_equal(tree.tasks[0]->state, TASK_GROUP_STOPPED);
		assert_int_equal(tree.tasks[0]->threads[0].stop_signal, SIGSTOP);
		victim_resume(&tree);
		is_stopped_again(&v);
		stands_still(&v);
	}
	/* Its parent is not told again of what it knows. */
	assert_int_equal(waitpid(v.pid, NULL, WUNTRACED | WNOHANG), 0);
	kill(v.pid, SIGCONT);
	assert_true(victim_moves(&v));

	/* Stopped while we hold it. */
	victim_stop(&test_op, &v, 1, &tree);
	kill(v.pid, SIGSTOP);
	victim_resume(&tree);
	is_stopped_again(&v);
	kill(v.pid, SIGCONT);
	assert_true(victim_moves(&v));
	victim_end(&v);
}

static void in_vfork(struct victim_page *page, void *arg)
{
	page->ready = 1;
	for (;;) {
		pid_t pid = vfork();

		if (!pid) {
			struct timespec t = { .tv_nsec = 30000000 };

			syscall(SYS_nanosleep, &t, NULL);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
		page->progress++;
	}
}

static void parents_in_vfork(void **state)
{
	struct task_tree tree;
	struct victim v;

	victim_start(&v, in_vfork, NULL);
	for (int i = 0; i < 8; i++) {
		victim_stop(&test_op, &v, 1, &tree);
		stands_still(&v);
		victim_resume(&tree);
		usleep(11000);
	}
	assert_true(victim_moves(&v));
	victim_end(&v);
}

static void spin(struct victim_page *page, void *arg)
{
	page->ready = 1;
	for (;;)
		page->progress++;
}

static void traced_by_another(void **state)
{
	struct task_stop_options options = { .n_roots = 1 };
	struct task_tree tree = TASK_TREE_INIT;
	struct error err = ERROR_INIT;
	struct victim v;
	int fds[2];
	pid_t pid;
	char c;

	victim_start(&v, spin, NULL);
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		ptrace(PTRACE_SEIZE, v.pid, NULL, NULL);
		if (write(fds[1], "x", 1) == 1)
			pause();
		_exit(0);
	}
	assert_int_equal(read(fds[0], &c, 1), 1);
	options.roots = &v.pid;
	assert_int_equal(task_tree_stop(&test_op, &options, &tree, &err), -EBUSY);
	assert_non_null(strstr(err.text, "already traced by process"));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_true(victim_moves(&v));

	options.roots = &(pid_t){ 0x3ffffffe };
	assert_int_equal(task_tree_stop(&test_op, &options, &tree, &err), -ESRCH);
	victim_end(&v);
}

static struct victim_page *signal_page;

static void on_signal(int signal, siginfo_t *info, void *context)
{
	static int last;

	if (info->si_value.sival_int != last + 1)
		victim_say(signal_page, "a signal is missing or out of order");
	last = info->si_value.sival_int;
	signal_page->signals++;
}

static void counts_signals(struct victim_page *page, void *arg)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	signal_page = page;
	sigaction(SIGRTMIN, &action, NULL);
	page->ready = 1;
	for (;;)
		page->progress++;
}

/* Every queued signal arrives once, in order, with its value, whatever we do in between. */
static void signals_arrive_once(void **state)
{
	struct task_tree tree;
	struct victim v;
	int n = 0;

	victim_start(&v, counts_signals, NULL);
	for (int i = 0; i < 200; i++) {
		for (int k = 0; k < 5; k++)
			assert_int_equal(sigqueue(v.pid, SIGRTMIN, (union sigval){ ++n }), 0);
		victim_stop(&test_op, &v, 1, &tree);
		assert_int_equal(sigqueue(v.pid, SIGRTMIN, (union sigval){ ++n }), 0);
		if (i % 2)
			victim_script(&test_op, &tree, tree.tasks[0]);
		victim_resume(&tree);
	}
	for (int i = 0; i < 1000 && v.page->signals < (unsigned long)n; i++)
		usleep(1000);
	assert_int_equal(v.page->signals, n);
	assert_int_equal(v.page->broken, 0);
	victim_end(&v);
}

static void killed_meanwhile(void **state)
{
	struct task_stop_options options = { .n_roots = 1 };
	struct task_tree tree = TASK_TREE_INIT;
	struct error err = ERROR_INIT;
	struct victim v;
	int r;

	for (int i = 0; i < 20; i++) {
		pid_t killer;

		victim_start(&v, many_threads, NULL);
		options.roots = &v.pid;
		killer = fork();
		if (!killer) {
			usleep((unsigned)i * 300);
			kill(v.pid, SIGKILL);
			_exit(0);
		}
		error_clear(&err);
		r = task_tree_stop(&test_op, &options, &tree, &err);
		waitpid(killer, NULL, 0);
		if (r != 0 && r != -ESRCH)
			victim_fail(__FILE__, __LINE__, &err);
		task_tree_deinit(&tree);
		waitpid(v.pid, NULL, 0);
	}
}

static void roots_beside_each_other(void **state)
{
	struct task_tree tree;
	struct victim v[3];

	for (int i = 0; i < 3; i++)
		victim_start(&v[i], spin, NULL);
	victim_stop(&test_op, v, 3, &tree);
	assert_int_equal(tree.n_tasks, 3);
	for (int i = 0; i < 3; i++) {
		assert_non_null(task_find(&tree, v[i].pid));
		stands_still(&v[i]);
	}
	victim_resume(&tree);
	for (int i = 0; i < 3; i++)
		victim_end(&v[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hundred_threads),
		cmocka_unit_test(born_meanwhile),
		cmocka_unit_test(born_of_a_fork_under_way),
		cmocka_unit_test(zombies_and_children),
		cmocka_unit_test(stopped_stays_stopped),
		cmocka_unit_test(parents_in_vfork),
		cmocka_unit_test(traced_by_another),
		cmocka_unit_test(signals_arrive_once),
		cmocka_unit_test(killed_meanwhile),
		cmocka_unit_test(roots_beside_each_other),
	};

	test_op = OP_INIT;
	victim_may_trace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
