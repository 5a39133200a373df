// SPDX-License-Identifier: Apache-2.0
/*
 * top: the first process of a sandbox: makes everything that exists once, then gives birth.
 *
 * Pid 1 of the new namespaces, still wholly privileged and still amber's own code. Once it has
 * become the image's root task (or amber's init) nothing of the host's can be reached through it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "restore/anon.h"
#include "restore/birth.h"

/* The image's id of the root task's namespace of a kind, 0 when the images have nothing of it. */
static uint32_t namespace_id(const struct run *run, enum ns_kind kind)
{
	const Img__TaskKobjIds *ids = run->rst.tasks[0].ids;
	const struct image_set *set = run->rst.set;

	switch (kind) {
	case NS_MNT:
		return image_find(set, IMAGE_MOUNTPOINTS, ids->mnt_ns_id) ? ids->mnt_ns_id : 0;
	case NS_NET:
		return image_find(set, IMAGE_NETDEV, ids->net_ns_id) ||
				       image_find(set, IMAGE_NETNS, ids->net_ns_id)
			       ? ids->net_ns_id
			       : 0;
	case NS_UTS:
		return image_find(set, IMAGE_UTSNS, ids->uts_ns_id) ? ids->uts_ns_id : 0;
	case NS_IPC:
		return image_find(set, IMAGE_IPC_VAR, ids->ipc_ns_id) ? ids->ipc_ns_id : 0;
	case NS_CGROUP:
		return ids->cgroup_ns_id;
	case NS_TIME:
		return ids->time_ns_id;
	case NS_PID:
		return ids->pid_ns_id;
	case NS_USER:
		return ids->user_ns_id;
	default:
		return 0;
	}
}

/* The descriptors that tasks will need later move out of the way of theirs. */
static int keep_descriptors(struct run *run, struct error *err)
{
	_cleanup_close_ int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	size_t i;
	int fd;

	/* All numbers that will be used are taken now, so that nobody gets them by chance. */
	for (fd = run->rst.fd_base; fd < run->fd_end; fd++)
		if (proc < 0 || dup3(proc, fd, O_CLOEXEC) < 0)
			return error_hint(err,
					  error_errno(err, errno, "reserving descriptor %d", fd),
					  "raise the hard limit of open files (ulimit -Hn)");
	run->rst.console_fd = -1;
	if (run->req->console_fd >= 0) {
		if (dup3(run->req->console_fd, run->fd_console, O_CLOEXEC) < 0)
			return error_errno(err, errno, "keeping the console");
		run->rst.console_fd = run->fd_console;
	}
	for (i = 0; i < run->req->n_pages; i++)
		if (dup3(run->req->pages[i].fd, run->fd_pages + (int)i, O_CLOEXEC) < 0)
			return error_errno(err, errno, "keeping pages-%u.img at descriptor %d",
					   run->req->pages[i].id, run->fd_pages + (int)i);
	return 0;
}

static void note_rootfs(void *ctx, const char *path, const char *text)
{
	struct run *run = ctx;

	restore_gap(&run->rst, GAP_DEGRADED, "rootfs", 0, path, "%s", text);
}

static int enter_namespaces(struct run *run, struct error *err)
{
	static const char *const host[] = { "/" };
	struct sandbox_root root = {
		.lowers = run->req->n_lowers ? run->req->lowers : host,
		.n_lowers = run->req->n_lowers ? run->req->n_lowers : 1,
		.note = note_rootfs,
		.ctx = run,
		.diff = run->req->diff,
		.on_disk = run->req->diff.len > DIFF_IN_MEMORY_MAX,
		.deleted = run->req->deleted,
	};
	struct sandbox_spec spec = { .name = run->sandbox.name };
	size_t i;
	int r;

	r = sandbox_mount(run->rst.op, &run->sandbox, &root, err);
	if (r < 0)
		return error_while(err, r, "making the root directory of the sandbox");
	spec.root = root.path;
	spec.scratch = root.scratch;

	for (i = 0; namespace_kinds[i]; i++) {
		const struct namespace_kind *kind = namespace_kinds[i];

		if (!kind->restore)
			continue;
		r = kind->restore(&run->rst, &spec, namespace_id(run, kind->kind), err);
		if (r < 0)
			return error_while(err, r, "restoring the %s namespace", kind->name);
	}
	return 0;
}

static int open_one(struct run *run, size_t i, struct error *err)
{
	struct restore_file *file = &run->rst.files[i];
	int target = run->rst.fd_base + (int)i;
	char subject[48];
	int r, fd = -1;

	if (!file->kind || !file->kind->open) {
		(void)snprintf(subject, sizeof(subject), "file %u of type %d", file->entry->id,
			       (int)file->entry->type);
		restore_gap(&run->rst, GAP_DEGRADED, "file", 0, subject,
			    "amber cannot bring back descriptors of this type yet");
		return 0;
	}
	r = file->kind->open(&run->rst, file->entry, &fd, err);
	if (r < 0)
		return error_while(err, r, "opening file %u (%s)", file->entry->id,
				   file->kind->name);
	if (r == RESTORE_GAP || fd < 0)
		return 0;
	if (dup3(fd, target, O_CLOEXEC) < 0)
		return error_hint(err,
				  error_errno(err, errno, "moving file %u to descriptor %d",
					      file->entry->id, target),
				  "raise the hard limit of open files (ulimit -Hn)");
	(void)close(fd);
	file->fd = target;
	run->board->file_open[i] = 1;
	return 0;
}

static int open_files(struct run *run, struct error *err)
{
	struct restore *rst = &run->rst;
	size_t i;
	int r;

	for (i = 0; i < rst->n_files; i++) {
		r = open_one(run, i, err);
		if (r < 0)
			return r;
	}
	for (i = 0; i < rst->n_files; i++) {
		struct restore_file *file = &rst->files[i];

		if (file->fd < 0 || !file->kind->connect)
			continue;
		r = file->kind->connect(rst, file->entry, file->fd, err);
		if (r < 0)
			return error_while(err, r, "connecting file %u (%s)", file->entry->id,
					   file->kind->name);
	}
	return 0;
}

/* Nothing of the monitor's handlers and masks is for the tasks. */
static void quiet_signals(void)
{
	sigset_t none;

	(void)sigemptyset(&none);
	(void)signal(SIGTERM, SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

_Noreturn void birth_top(struct run *run)
{
	struct error err = ERROR_INIT;
	int r;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	quiet_signals();
	board_flag_wait(&run->board->cgrouped);
	run->rst.op->log_fd = -1; /* the descriptor is about to be closed */
	run->rst.op->log_buf = NULL;

	r = unshare(CLONE_NEWCGROUP);
	if (r < 0)
		r = error_errno(&err, errno, "making a cgroup namespace");
	if (r >= 0)
		r = keep_descriptors(run, &err);
	if (r >= 0)
		r = anon_open_all(run, &err);
	if (r >= 0)
		r = enter_namespaces(run, &err);
	if (r >= 0)
		r = open_files(run, &err);
	if (r < 0)
		birth_fail(run, &err);
	if (board_reach(run->board, STAGE_OPEN, 0) < 0)
		_exit(1);
	birth_live(run, run->plan.top);
}

_Noreturn void init_live(struct run *run)
{
	pid_t root = run->rst.tasks[0].pid, pid;
	int status;

	(void)prctl(PR_SET_NAME, "amber-init", 0, 0, 0);
	(void)chdir("/");
	(void)close_range(0, ~0U, 0);
	for (;;) {
		pid = waitpid(-1, &status, __WALL);
		if (pid == root) {
			run->board->status = status;
			_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
		}
		if (pid < 0 && errno == ECHILD)
			_exit(1);
	}
}
