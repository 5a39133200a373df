// SPDX-License-Identifier: Apache-2.0
/*
 * monitor: building a sandbox step by step, undoing what was done when a step fails, keeping it.
 */
#include "restore/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "kernel/proc-status.h"
#include "kernel/proc.h"
#include "restore/birth.h"
#include "restore/clock.h"
#include "restore/family.h"
#include "restore/puppets.h"

#define STAGE_CHECK_MS 500
#define STAGE_STALL_MS 120000

static int step_sandbox(struct run *run, struct error *err)
{
	int r = sandbox_make(run->rst.op, &run->sandbox, run->req->name, err);

	(void)snprintf(run->board->name, sizeof(run->board->name), "%s", run->sandbox.name);
	if (r >= 0 && run->req->diff.len > DIFF_IN_MEMORY_MAX)
		r = sandbox_disk(&run->sandbox, err);
	if (r < 0)
		sandbox_remove(run->rst.op, &run->sandbox);
	return r;
}

static void undo_sandbox(struct run *run)
{
	sandbox_remove(run->rst.op, &run->sandbox);
}

static int step_birth(struct run *run, struct error *err)
{
	struct clone_args args = {
		.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC,
		.exit_signal = SIGCHLD,
	};
	pid_t pid;
	int r;

	clock_continue(run);
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		birth_top(run);
	if (pid < 0)
		return error_errno(err, errno, "making the first task of the sandbox");
	run->top = pid;
	run->board->init = pid;
	r = sandbox_enclose(&run->sandbox, pid, err);
	board_flag_raise(&run->board->cgrouped);
	return r;
}

static void undo_birth(struct run *run)
{
	if (run->top <= 0)
		return;
	(void)kill(run->top, SIGKILL);
	while (waitpid(run->top, NULL, __WALL) < 0 && errno == EINTR)
		;
	run->top = 0;
}

/* Wait for a stage, and notice when a task dies without a word. */
static int pass_stage(struct run *run, enum stage stage, uint32_t n, struct error *err)
{
	struct error local = ERROR_INIT;
	int r, waited = 0;
	pid_t dead;

	for (;;) {
		r = board_wait(run->board, stage, n, STAGE_CHECK_MS, err);
		if (r != -EAGAIN)
			return r;
		dead = waitpid(run->top, NULL, WNOHANG | __WALL);
		if (dead == run->top) {
			run->top = 0;
			r = restore_shared_error(&run->board->shared, err);
			return r < 0 ? r
				     : error_set(err, ERROR_INTERNAL, ECHILD,
						 "the first task of the sandbox died");
		}
		if (stage > STAGE_BORN && family_find(run, &local) < 0) {
			r = restore_shared_error(&run->board->shared, err);
			if (r < 0)
				return r;
			*err = local;
			return -local.errnum;
		}
		r = op_cancelled(run->rst.op, err);
		if (r < 0)
			return r;
		/* Opening may take long: files are unpacked, shared memory is filled. */
		waited += STAGE_CHECK_MS;
		if (stage != STAGE_OPEN && waited > STAGE_STALL_MS)
			return error_set(err, ERROR_INTERNAL, ETIMEDOUT,
					 "%u of %u tasks reached stage %d, then nothing happened",
					 run->board->arrived[stage], n, (int)stage);
	}
}

/* The far ends of what reached outside of the container live on in the monitor. */
static int take_held(struct run *run, struct error *err)
{
	const struct restore_shared *shared = &run->board->shared;
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, run->top, 0);
	uint32_t i;
	int fd;

	if (pidfd < 0)
		return error_errno(err, errno, "opening the first task of the sandbox");
	for (i = 0; i < shared->n_held && i < RESTORE_HELD_MAX; i++) {
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, shared->held[i].fd, 0);
		if (fd < 0)
			return error_errno(err, errno, "taking over descriptor %d",
					   shared->held[i].fd);
		run->held[run->n_held++] = fd;
	}
	return 0;
}

static uint32_t count_living(const struct run *run)
{
	uint32_t n = 0;
	size_t i;

	for (i = 0; i < run->rst.n_tasks; i++)
		n += !run->rst.tasks[i].zombie;
	return n;
}

static int step_stages(struct run *run, struct error *err)
{
	uint32_t all = (uint32_t)run->rst.n_tasks, living = count_living(run);
	struct timespec pause = { 0, 2000000L };
	int r, stage, tries = 0;

	r = pass_stage(run, STAGE_OPEN, 1, err);
	if (r >= 0)
		r = take_held(run, err);
	if (r < 0)
		return r;
	board_open(run->board, STAGE_OPEN);

	for (stage = STAGE_BORN; stage < STAGE_COUNT; stage++) {
		r = pass_stage(run, stage, stage < STAGE_BURIED ? all : living, err);
		if (r < 0)
			return r;
		/* Handlers come after this: the death of a zombie must not call one. */
		while (stage == STAGE_BURIED && (r = family_find(run, err)) == 1) {
			(void)nanosleep(&pause, NULL);
			if (++tries > 10000)
				return error_set(err, ERROR_INTERNAL, ETIMEDOUT,
						 "a zombie does not die");
		}
		if (r < 0)
			return r;
		board_open(run->board, stage);
	}
	r = family_find(run, err);
	run->board->root = run->pids[0];
	return r < 0 ? r : 0;
}

static int step_record(struct run *run, struct error *err)
{
	return sandbox_record(&run->sandbox, run->top, run->board->root, run->req->archive, err);
}

static const struct step {
	const char *name;
	int (*run)(struct run *run, struct error *err);
	void (*undo)(struct run *run);
} steps[] = {
	{ "making the sandbox", step_sandbox, undo_sandbox },
	{ "giving birth to tasks", step_birth, undo_birth },
	{ "preparing tasks", step_stages, NULL },
	{ "recording the sandbox", step_record, NULL },
	{ "taking over tasks", puppets_seize, puppets_kill },
	{ "restoring memory", puppets_memory, NULL },
	{ "making threads", puppets_threads, NULL },
	{ "restoring attributes", puppets_attributes, NULL },
	{ "letting tasks go", puppets_release, NULL },
};

static int build(struct run *run, struct error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; i < ARRAY_SIZE(steps) && r >= 0; i++) {
		op_debug(run->rst.op, "restore: %s", steps[i].name);
		r = op_cancelled(run->rst.op, err);
		if (r >= 0 && run->req->fault == i + 1)
			r = error_set(err, ERROR_INTERNAL, EIO, "a fault was injected into %s",
				      steps[i].name);
		if (r >= 0)
			r = steps[i].run(run, err);
	}
	if (r >= 0)
		return 0;
	while (i-- > 0)
		if (steps[i].undo)
			steps[i].undo(run);
	return r;
}

static void leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	(void)dup2(null, 0);
	(void)dup2(null, 1);
	(void)dup2(null, 2);
	if (null > 2)
		(void)close(null);
}

static void watched_signals(sigset_t *set)
{
	static const int signals[] = { SIGCHLD, SIGTERM, SIGINT,  SIGHUP,
				       SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH };
	size_t i;

	(void)sigemptyset(set);
	for (i = 0; i < ARRAY_SIZE(signals); i++)
		(void)sigaddset(set, signals[i]);
}

/* What a task of the copy writes to a reader outside goes to the console. */
static void drain(struct run *run, struct pollfd *fd)
{
	char bytes[4096];
	ssize_t n = read(fd->fd, bytes, sizeof(bytes));

	if (n > 0 && run->req->console_fd >= 0)
		(void)!write(run->req->console_fd, bytes, (size_t)n);
	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
		fd->fd = -1; /* poll() skips it; what is held stays open */
}

/*
 * The first process of a namespace ignores what it does not handle. A person who ends a sandbox
 * means it, so what would have ended any other process ends this one.
 */
static void pass_signal(struct run *run, int signal)
{
	bool ends = signal == SIGTERM || signal == SIGINT || signal == SIGHUP || signal == SIGQUIT;
	_cleanup_close_ int proc = -1;
	struct arena arena = ARENA_INIT;
	struct proc_status status;

	if (ends && run->plan.top->kind == PLAN_TASK && proc_open(run->top, &proc, NULL) >= 0 &&
	    proc_status_read(proc, &arena, &status, NULL) >= 0 &&
	    !((status.sig_cgt | status.sig_ign | status.sig_blk) & 1ULL << (signal - 1)))
		signal = SIGKILL;
	arena_deinit(&arena);
	(void)kill(run->board->root, signal);
}

/* A byte on the line detaches us; its end is our parent's, and so the sandbox's. */
static void hear_parent(struct run *run, struct pollfd *line)
{
	char byte;
	ssize_t n = read(line->fd, &byte, 1);

	if (n == 1) {
		(void)prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
		run->rst.op->log_fd = -1;
		leave_terminal();
		(void)!write(line->fd, "", 1);
	} else if (n < 0 && errno == EINTR) {
		return;
	} else {
		(void)kill(run->top, SIGKILL);
	}
	(void)close(line->fd);
	line->fd = -1;
}

enum { POLL_SIGNALS, POLL_PARENT, POLL_DRAINS };

/* Until the sandbox ends: pass signals on to its root task. */
static void keep(struct run *run, int control, const sigset_t *set)
{
	struct pollfd fds[POLL_DRAINS + RESTORE_HELD_MAX] = { 0 };
	struct signalfd_siginfo info;
	size_t i, n = POLL_DRAINS;
	int status = 0;

	fds[POLL_SIGNALS] =
		(struct pollfd){ signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK), POLLIN, 0 };
	fds[POLL_PARENT] = (struct pollfd){ control, POLLIN, 0 };
	for (i = 0; i < run->n_held; i++)
		if (run->board->shared.held[i].drain)
			fds[n++] = (struct pollfd){ run->held[i], POLLIN, 0 };
	for (;;) {
		pid_t pid = waitpid(run->top, &status, WNOHANG | __WALL);

		if (pid == run->top || (pid < 0 && errno == ECHILD))
			break;
		(void)poll(fds, n, 1000);
		if (fds[POLL_PARENT].fd >= 0 && fds[POLL_PARENT].revents)
			hear_parent(run, &fds[POLL_PARENT]);
		for (i = POLL_DRAINS; i < n; i++)
			if (fds[i].fd >= 0 && fds[i].revents)
				drain(run, &fds[i]);
		if (read(fds[POLL_SIGNALS].fd, &info, sizeof(info)) == sizeof(info) &&
		    info.ssi_signo != SIGCHLD)
			pass_signal(run, (int)info.ssi_signo);
	}
	if (run->plan.top->kind == PLAN_TASK)
		run->board->status = status;
}

/* The only thing that a handler can do; the process is ours alone. */
static volatile sig_atomic_t stop_wanted;

static void want_stop(int signal)
{
	(void)signal;
	stop_wanted = 1;
}

/* Our parent's death, or its wish, ends the work between two steps, and all of it is undone. */
static void obey_parent(struct run *run, pid_t parent, const sigset_t *watched)
{
	struct sigaction action = { .sa_handler = want_stop, .sa_flags = SA_RESTART };

	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigprocmask(SIG_UNBLOCK, watched, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	if (getppid() != parent)
		stop_wanted = 1;
	run->rst.op->cancel = &stop_wanted;
}

_Noreturn void monitor_run(struct run *run, int control, pid_t parent)
{
	struct error err = ERROR_INIT;
	struct rlimit files;
	sigset_t set;
	int r;

	watched_signals(&set);
	obey_parent(run, parent, &set);
	(void)prctl(PR_SET_NAME, "amber-monitor", 0, 0, 0);
	(void)setsid();
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}

	r = build(run, &err);
	if (r < 0) {
		restore_shared_fail(&run->board->shared, &err);
		_exit(1);
	}
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	run->board->up = 1;
	(void)!write(control, "", 1);
	if (stop_wanted) /* it came after the last step */
		(void)kill(run->top, SIGKILL);
	keep(run, control, &set);
	sandbox_remove(run->rst.op, &run->sandbox);
	_exit(0);
}
