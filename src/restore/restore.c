// SPDX-License-Identifier: Apache-2.0
/*
 * restore: reading and planning, then handing over to the monitor. Never makes a task itself.
 */
#include "restore/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "restore/anon.h"
#include "restore/monitor.h"

/* What this version does not do, where going on would make the copy lie. */
static int check_abilities(struct run *run, struct error *err)
{
	if (run->rst.set->images[IMAGE_USERNS])
		return error_hint(err,
				  error_set(err, ERROR_SYSTEM, ENOTSUP,
					    "the checkpoint has a user namespace of its own"),
				  "amber cannot restore those yet; stock criu can");
	return 0;
}

/* Numbers of the descriptors that every task keeps until the end. */
static int assign_descriptors(struct run *run, struct error *err)
{
	struct restore *rst = &run->rst;
	size_t i, n;

	rst->fd_base = MAX(rst->fd_base, RUN_FD_LOW);
	/* A directory of many pages images may have taken more. */
	for (i = 0; i < run->req->n_pages; i++)
		rst->fd_base = MAX(rst->fd_base, run->req->pages[i].fd + RUN_FD_SPARE);
	run->fd_anon = rst->fd_base + (int)rst->n_files;
	run->fd_pages = run->fd_anon + (int)run->n_anons;
	run->fd_console = run->fd_pages + (int)run->req->n_pages;
	run->fd_proc = run->fd_console + 1;
	run->fd_end = run->fd_proc + 1;

	n = run->req->n_pages;
	run->pages = arena_array(&rst->set->arena, struct pages_file, n + 1);
	if (!run->pages)
		return error_nomem(err);
	for (i = 0; i < n; i++) {
		run->pages[i] = run->req->pages[i];
		run->pages[i].fd = run->fd_pages + (int)i;
	}
	rst->pages = run->pages;
	rst->n_pages = n;
	return 0;
}

static int prepare(struct run *run, struct error *err)
{
	struct restore *rst = &run->rst;
	int r;

	r = restore_load(rst, err);
	if (r < 0)
		return r;
	r = check_abilities(run, err);
	if (r < 0)
		return r;
	r = board_new(rst, &run->board, err);
	if (r < 0)
		return r;
	rst->shared = &run->board->shared;
	r = plan_make(rst, &run->plan, err);
	if (r < 0)
		return r;
	r = anon_collect(run, err);
	if (r < 0)
		return r;
	run->pids = arena_array(&rst->set->arena, pid_t, rst->n_tasks);
	run->puppets = arena_array(&rst->set->arena, struct puppet *, rst->n_tasks);
	if (!run->pids || !run->puppets)
		return error_nomem(err);
	return assign_descriptors(run, err);
}

/* Does the user want the end? The signals may be blocked, to be passed on to the sandbox later. */
static bool cancelled(struct op *op, struct error *err)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	sigset_t pending;
	size_t i;

	if (op_cancelled(op, err) < 0)
		return true;
	(void)sigpending(&pending);
	for (i = 0; i < ARRAY_SIZE(signals); i++)
		if (sigismember(&pending, signals[i]))
			return true;
	return false;
}

/* The monitor's one byte. Returns 1, 0 when it died without, or -ECANCELED. */
static int await_word(struct op *op, int fd, struct error *err)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	char byte;

	while (poll(&ready, 1, 100) <= 0)
		if (cancelled(op, err))
			return error_set(err, ERROR_CANCELLED, ECANCELED,
					 "the restore was cancelled");
	if (read(fd, &byte, 1) != 1)
		return 0;
	return op_cancelled(op, err) < 0 ? -ECANCELED
					 : 1; /* it may have come too late to stop it */
}

/* A monitor was killed: its sandbox dies with it, a little later, and then is cleared away by us.
 */
static void clear_away(struct op *op, const char *name)
{
	struct timespec moment = { 0, 20000000L };
	struct sandbox sb = { 0 };
	int tries;

	if (!name[0])
		return;
	sandbox_paths(&sb, name);
	for (tries = 0; tries < 500 && access(sb.record, F_OK) == 0; tries++) {
		sandbox_sweep(op);
		(void)nanosleep(&moment, NULL);
	}
}

/* Fork the monitor and wait for its word. */
static int hand_over(struct run *run, struct restore_result *ret, struct error *err)
{
	pid_t pid, self = getpid();
	int line[2], r, n;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line) < 0)
		return error_errno(err, errno, "making a socket pair");
	pid = fork();
	if (pid == 0) {
		(void)close(line[0]);
		monitor_run(run, line[1], self);
	}
	(void)close(line[1]);
	if (pid < 0) {
		r = error_errno(err, errno, "making the monitor of the sandbox");
		(void)close(line[0]);
		return r;
	}
	n = await_word(run->rst.op, line[0], err);
	if (n == 1) {
		ret->monitor = pid;
		ret->control = line[0];
		return 0;
	}
	(void)close(line[0]);
	if (n < 0)
		(void)kill(pid, SIGTERM); /* it undoes what it has done */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	clear_away(run->rst.op, run->board->name);
	if (n < 0)
		return n;
	r = restore_shared_error(&run->board->shared, err);
	return r < 0 ? r
		     : error_set(err, ERROR_INTERNAL, ECHILD,
				 "the monitor of the sandbox ended unexpectedly");
}

int restore_run(struct op *op, const struct restore_request *req, struct restore_result *ret,
		struct error *err)
{
	struct run run = { .req = req };
	int r;

	ret->control = -1;
	run.rst.op = op;
	run.rst.set = req->set;
	run.rst.gaps = &ret->gaps;
	run.rst.tcp_close = req->tcp_close;
	run.rst.volumes = req->volumes;
	r = prepare(&run, err);
	if (r >= 0)
		r = op_cancelled(op, err);
	if (r >= 0)
		r = hand_over(&run, ret, err);
	if (r >= 0) {
		ret->init = run.board->init;
		ret->root = run.board->root;
		(void)snprintf(ret->name, sizeof(ret->name), "%s", run.board->name);
	}
	if (r >= 0)
		r = restore_shared_collect(&run.board->shared, &ret->gaps, err);
	ret->board = run.board;
	if (r < 0)
		restore_result_deinit(ret);
	return r;
}

int restore_detach(const struct restore_result *result, struct error *err)
{
	char byte;

	if (send(result->control, "", 1, MSG_NOSIGNAL) != 1 || read(result->control, &byte, 1) != 1)
		return error_set(err, ERROR_SYSTEM, ECHILD, "the sandbox %s has ended",
				 result->name);
	return 0;
}

int restore_wait(struct op *op, const struct restore_result *result, int *ret_status,
		 struct error *err)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct timespec moment = { 0, 200000000L };
	sigset_t set;
	size_t i;
	int signal, status = 0;
	bool told = false;
	pid_t pid;

	(void)sigemptyset(&set);
	for (i = 0; i < ARRAY_SIZE(signals); i++)
		(void)sigaddset(&set, signals[i]);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	for (;;) {
		pid = waitpid(result->monitor, &status, WNOHANG);
		if (pid == result->monitor)
			break;
		if (pid < 0 && errno != EINTR)
			return error_errno(err, errno, "waiting for the monitor of sandbox %s",
					   result->name);
		if (!told && op_cancelled(op, NULL) < 0) {
			told = true;
			(void)kill(result->monitor, SIGTERM);
		}
		signal = sigtimedwait(&set, NULL, &moment);
		if (signal > 0 && signal != SIGCHLD)
			(void)kill(result->monitor, signal);
	}
	if (WIFSIGNALED(status)) {
		(void)kill(result->init, SIGKILL);
		clear_away(op, result->name);
		return error_set(
			err, ERROR_SYSTEM, ECHILD,
			"the keeper of sandbox %s was killed by signal %d, and the sandbox with it",
			result->name, WTERMSIG(status));
	}
	*ret_status = result->board->status;
	return 0;
}

void restore_result_deinit(struct restore_result *result)
{
	gap_list_deinit(&result->gaps);
	board_free(result->board);
	result->board = NULL;
	if (result->control >= 0)
		(void)close(result->control);
	result->control = -1;
}
