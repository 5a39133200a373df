// SPDX-License-Identifier: Apache-2.0
/*
 * test-restore: a process of ours is captured by amber, restored in a sandbox, and looked at; then
 * restored again with a fault in each step: nothing may be left behind. Needs root; skipped
 * without.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "archive/reader.h"
#include "base/fd.h"
#include "checkpoint/checkpoint.h"
#include "restore/restore.h"
#include "restore/sandbox.h"

#define STEPS 9

struct world {
	char dir[64];
	char archive[96];
};

struct loaded {
	struct archive_reader reader;
	struct image_set set;
	struct pages_file pages[64];
	struct restore_request request;
};

/* What the subject does: two threads and a child that count in memory it shares with the child. */
struct counters {
	unsigned int main, thread, child;
};

static void *count(void *arg)
{
	unsigned int *counter = arg;

	for (;;) {
		(*counter)++;
		usleep(1000);
	}
	return NULL;
}

static void subject(const char *dir)
{
	char path[128];
	struct counters *counters;
	pthread_t thread;
	int fd;

	(void)close_range(0, ~0U, 0);
	(void)open("/dev/null", O_RDWR);
	(void)dup(0);
	(void)dup(0);
	(void)setsid();
	(void)snprintf(path, sizeof(path), "%s/counters", dir);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	(void)!ftruncate(fd, 4096);
	counters = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fork() == 0)
		count(&counters->child);
	(void)pthread_create(&thread, NULL, count, &counters->thread);
	count(&counters->main);
}

static int setup(void **state)
{
	struct checkpoint_result result = { 0 };
	struct checkpoint_request request = { 0 };
	struct error err = ERROR_INIT;
	struct op op = OP_INIT;
	struct world *w = calloc(1, sizeof(*w));
	char id[16];
	pid_t pid;
	int r;

	assert_non_null(w);
	(void)snprintf(w->dir, sizeof(w->dir), "/var/tmp/amber-test-restore-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	(void)snprintf(w->archive, sizeof(w->archive), "%s/a.tar", w->dir);
	pid = fork();
	if (pid == 0)
		subject(w->dir);
	usleep(300000);
	(void)snprintf(id, sizeof(id), "%d", pid);
	request = (struct checkpoint_request){
		.target = { .pids = &pid,
			    .n_pids = 1,
			    .runtime = "",
			    .engine = "",
			    .id = id,
			    .name = id,
			    .image_name = "",
			    .image_ref = "",
			    .created = "",
			    .bundle = "",
			    .rootfs = "" },
		.output = w->archive,
		.stop = true,
		.command = "test",
	};
	op.log_level = LOG_ERROR;
	r = checkpoint_run(&op, &request, &result, &err);
	if (r < 0)
		print_error("checkpoint: %s\n", err.text);
	checkpoint_result_deinit(&result);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	*state = w;
	return r;
}

static int teardown(void **state)
{
	struct world *w = *state;
	char path[128];

	(void)unlink(w->archive);
	(void)snprintf(path, sizeof(path), "%s/counters", w->dir);
	(void)unlink(path);
	(void)rmdir(w->dir);
	free(w);
	return 0;
}

static void load(struct world *w, struct loaded *l)
{
	struct error err = ERROR_INIT;
	enum image_kind kind;
	uint64_t id;
	size_t i, n = 0;

	memset(l, 0, sizeof(*l));
	l->reader = ARCHIVE_READER_INIT;
	assert_int_equal(archive_reader_open(&l->reader, w->archive, &err), 0);
	assert_int_equal(archive_load_images(&l->reader, &l->set, &err), 0);
	for (i = 0; i < l->reader.n_members; i++) {
		const struct tar_member *m = &l->reader.members[i];

		if (strncmp(m->name, "checkpoint/", 11) == 0 &&
		    image_parse_name(m->name + 11, &kind, &id) && kind == IMAGE_PAGES &&
		    n < ARRAY_SIZE(l->pages))
			l->pages[n++] = (struct pages_file){ (uint32_t)id, l->reader.fd, m->offset,
							     m->size };
	}
	l->request = (struct restore_request){
		.set = &l->set, .pages = l->pages, .n_pages = n, .console_fd = -1
	};
}

static void unload(struct loaded *l)
{
	image_set_deinit(&l->set);
	archive_reader_deinit(&l->reader);
}

/* Whatever a sandbox of this name could leave outside of its namespaces. */
static void assert_nothing_left(const char *name)
{
	_cleanup_buf_ struct buf mounts = BUF_INIT;
	char path[128];

	(void)snprintf(path, sizeof(path), SANDBOX_DIR "/%s", name);
	assert_int_equal(access(path, F_OK), -1);
	(void)snprintf(path, sizeof(path), SANDBOX_DIR "/%s.json", name);
	assert_int_equal(access(path, F_OK), -1);
	(void)snprintf(path, sizeof(path), "/sys/fs/cgroup/unified/amber/%s", name);
	assert_int_equal(access(path, F_OK), -1);
	(void)snprintf(path, sizeof(path), "/sys/fs/cgroup/pids/amber/%s", name);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(fd_read_file(AT_FDCWD, "/proc/self/mounts", 1 << 24, &mounts, NULL), 0);
	assert_null(strstr((char *)mounts.data, name));
	/* No child of ours is left either: not the monitor, and nothing that came to us from it. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static struct counters read_counters(struct world *w, pid_t root)
{
	struct counters counters = { 0 };
	char path[160];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/root%s/counters", root, w->dir);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, &counters, sizeof(counters)), sizeof(counters));
	(void)close(fd);
	return counters;
}

static void test_restore(void **state)
{
	struct restore_result result = RESTORE_RESULT_INIT;
	struct counters before, first, then;
	struct error err = ERROR_INIT;
	struct world *w = *state;
	struct op op = OP_INIT;
	char path[128];
	struct loaded l;
	int status = -1, r, fd;

	op.log_level = LOG_ERROR;
	load(w, &l);
	l.request.name = "test-restore-plain";
	r = restore_run(&op, &l.request, &result, &err);
	if (r < 0)
		print_error("restore: %s\n", err.text);
	assert_int_equal(r, 0);

	/* All three count on, in the sandbox's copy of the file: the original stands still. */
	first = read_counters(w, result.root);
	usleep(300000);
	then = read_counters(w, result.root);
	assert_true(then.main > first.main);
	assert_true(then.thread > first.thread);
	assert_true(then.child > first.child);
	(void)snprintf(path, sizeof(path), "%s/counters", w->dir);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, &before, sizeof(before)), sizeof(before));
	(void)close(fd);
	assert_true(then.main > before.main);

	(void)kill(result.root, SIGKILL);
	assert_int_equal(restore_wait(&op, &result, &status, &err), 0);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_nothing_left("test-restore-plain");
	restore_result_deinit(&result);
	unload(&l);
}

/* kill -9 of the keeper: the sandbox must die with it, and the next one who comes clears away. */
static void test_keeper_killed(void **state)
{
	struct restore_result result = RESTORE_RESULT_INIT;
	struct error err = ERROR_INIT;
	struct world *w = *state;
	struct op op = OP_INIT;
	struct loaded l;
	int status;

	op.log_level = LOG_ERROR;
	load(w, &l);
	l.request.name = "test-restore-keeper";
	assert_int_equal(restore_run(&op, &l.request, &result, &err), 0);
	(void)kill(result.monitor, SIGKILL);
	assert_int_equal(restore_wait(&op, &result, &status, &err), -ECHILD);
	assert_nothing_left("test-restore-keeper");
	restore_result_deinit(&result);
	unload(&l);
}

/* The same archive, three times, side by side. */
static void test_side_by_side(void **state)
{
	static const char *const names[] = { "test-restore-a", "test-restore-b", "test-restore-c" };
	struct restore_result results[3] = { 0 }, refused = RESTORE_RESULT_INIT;
	struct error err = ERROR_INIT;
	struct world *w = *state;
	struct op op = OP_INIT;
	struct counters counters;
	struct loaded l;
	int i, status;

	op.log_level = LOG_ERROR;
	for (i = 0; i < 3; i++) {
		load(w, &l);
		l.request.name = names[i];
		assert_int_equal(restore_run(&op, &l.request, &results[i], &err), 0);
		unload(&l);
	}
	/* A name that is in use is refused, and its owner is left in peace. */
	load(w, &l);
	l.request.name = names[1];
	assert_int_equal(restore_run(&op, &l.request, &refused, &err), -EEXIST);
	unload(&l);
	usleep(100000);
	counters = read_counters(w, results[1].root);
	assert_true(counters.child > 0);
	for (i = 0; i < 3; i++) {
		(void)kill(results[i].root, SIGKILL);
		assert_int_equal(restore_wait(&op, &results[i], &status, &err), 0);
		restore_result_deinit(&results[i]);
	}
	for (i = 0; i < 3; i++)
		assert_nothing_left(names[i]);
}

static void test_faults(void **state)
{
	struct restore_result result = RESTORE_RESULT_INIT;
	struct error err = ERROR_INIT;
	struct world *w = *state;
	struct op op = OP_INIT;
	struct loaded l;
	size_t step;

	op.log_level = LOG_ERROR;
	for (step = 1; step <= STEPS; step++) {
		load(w, &l);
		l.request.name = "test-restore-fault";
		l.request.fault = step;
		assert_int_equal(restore_run(&op, &l.request, &result, &err), -EIO);
		assert_non_null(strstr(err.text, "a fault was injected"));
		assert_nothing_left("test-restore-fault");
		error_clear(&err);
		unload(&l);
	}
}

static void test_bad_requests(void **state)
{
	static const char *const lowers[] = { "/nonexistent" };
	struct restore_result result = RESTORE_RESULT_INIT;
	struct error err = ERROR_INIT;
	struct world *w = *state;
	struct op op = OP_INIT;
	struct loaded l;

	op.log_level = LOG_ERROR;
	load(w, &l);
	l.request.name = "../x";
	assert_int_equal(restore_run(&op, &l.request, &result, &err), -EINVAL);
	assert_int_equal(err.class, ERROR_USAGE);
	unload(&l);

	load(w, &l);
	l.request.name = "test-restore-bad";
	l.request.lowers = lowers;
	l.request.n_lowers = 1;
	error_clear(&err);
	assert_int_equal(restore_run(&op, &l.request, &result, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent"));
	assert_nothing_left("test-restore-bad");
	unload(&l);

	/* Pages that the archive does not hold. */
	load(w, &l);
	l.request.name = "test-restore-bad";
	l.pages[0].size = 4096;
	error_clear(&err);
	assert_int_equal(restore_run(&op, &l.request, &result, &err), -EINVAL);
	assert_nothing_left("test-restore-bad");
	unload(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_restore),	     cmocka_unit_test(test_keeper_killed),
		cmocka_unit_test(test_side_by_side), cmocka_unit_test(test_faults),
		cmocka_unit_test(test_bad_requests),
	};

	if (geteuid() != 0) {
		(void)fprintf(stderr, "test-restore needs root\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
