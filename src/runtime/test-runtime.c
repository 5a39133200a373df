// SPDX-License-Identifier: Apache-2.0
/*
 * test-runtime: targets are found in fabricated state directories whose containers are children of
 * this test.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/fd.h"
#include "kernel/proc-stat.h"
#include "kernel/proc.h"
#include "runtime/find.h"
#include "runtime/members.h"

struct fixture {
	char root[64];
	pid_t child;
	uint64_t start_time;
	struct arena arena;
	struct op op;
	struct error err;
	struct checkpoint_target target;
};

static void put(const struct fixture *f, const char *path, const char *text)
{
	char full[512], *slash;

	snprintf(full, sizeof(full), "%s%s", f->root, path);
	for (slash = full + strlen(f->root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(full, 0700);
		*slash = '/';
	}
	assert_int_equal(
		fd_write_file(AT_FDCWD, full, O_CREAT | O_TRUNC, 0600, text, strlen(text), NULL),
		0);
}

static void put_runc(const struct fixture *f, const char *dir, const char *id, pid_t pid,
		     uint64_t start, const char *annotations)
{
	char path[256], text[1024];

	snprintf(text, sizeof(text),
		 "{\"id\":\"%s\",\"init_process_pid\":%d,\"init_process_start\":%llu,"
		 "\"created\":\"2026-01-02T03:04:05.6Z\",\"config\":{\"rootfs\":\"/b/%s/rootfs\","
		 "\"labels\":[\"x=y\",\"bundle=/b/%s\"]}}",
		 id, pid, (unsigned long long)start, id, id);
	snprintf(path, sizeof(path), "%s/%s/state.json", dir, id);
	put(f, path, text);
	snprintf(text, sizeof(text), "{\"ociVersion\":\"1.0.2\",\"annotations\":{%s}}",
		 annotations);
	snprintf(path, sizeof(path), "/b/%s/config.json", id);
	put(f, path, text);
}

static pid_t spawn(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct proc_stat stat;
	int fd;

	snprintf(f->root, sizeof(f->root), "/tmp/amber-test-runtime-XXXXXX");
	if (!mkdtemp(f->root))
		return -1;
	f->op = OP_INIT;
	f->child = spawn();
	if (proc_open(f->child, &fd, NULL) < 0 || proc_stat_read(fd, &stat, NULL) < 0)
		return -1;
	close(fd);
	f->start_time = stat.start_time;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];
	int r;

	kill(f->child, SIGKILL);
	waitpid(f->child, NULL, 0);
	snprintf(command, sizeof(command), "rm -r %s", f->root);
	r = system(command);
	arena_deinit(&f->arena);
	free(f);
	return r;
}

static int find(struct fixture *f, const char *name)
{
	const struct runtime_world world = { f->root, "/run/user/7" };

	error_clear(&f->err);
	return runtime_find_in(&f->op, &world, name, &f->arena, &f->target, &f->err);
}

static void finds_runc(void **state)
{
	struct fixture *f = *state;

	put_runc(f, "/run/runc", "box0123456789", f->child, f->start_time, "");
	put(f, "/run/runc/half/state.json", "{\"id\":\"ha");
	assert_int_equal(find(f, "runc:box0123456789"), 0);
	assert_int_equal(f->target.pids[0], f->child);
	assert_int_equal(f->target.n_pids, 1);
	assert_string_equal(f->target.runtime, "runc");
	assert_string_equal(f->target.engine, "");
	assert_string_equal(f->target.name, "box0123456789");
	assert_string_equal(f->target.created, "2026-01-02T03:04:05.6Z");
	assert_string_equal(f->target.bundle, "/b/box0123456789");
	assert_string_equal(f->target.rootfs, "/b/box0123456789/rootfs");
	assert_non_null(strstr((const char *)f->target.spec.data, "ociVersion"));
	assert_int_equal(find(f, "box0"), 0);
	assert_int_equal(find(f, "box"), -ENOENT); /* too short for an id */
	assert_non_null(strstr(f->err.hint, "box012345678"));
	assert_int_equal(find(f, "crun:box0123456789"), -ENOENT);
	assert_int_equal(find(f, "../box0123456789"), -EINVAL);
	assert_int_equal(find(f, ""), -EINVAL);
}

static void finds_containerd(void **state)
{
	struct fixture *f = *state;

	put_runc(f, "/run/containerd/runc/k8s.io", "aaaabbbb", f->child, f->start_time,
		 "\"io.kubernetes.cri.container-type\":\"container\","
		 "\"io.kubernetes.cri.container-name\":\"web\","
		 "\"io.kubernetes.cri.image-name\":\"registry.invalid/web:1\"");
	assert_int_equal(find(f, "web"), 0);
	assert_string_equal(f->target.id, "aaaabbbb");
	assert_string_equal(f->target.engine, "containerd");
	assert_string_equal(f->target.image_name, "registry.invalid/web:1");
}

static void finds_crun(void **state)
{
	struct fixture *f = *state;
	char text[512];

	snprintf(text, sizeof(text),
		 "{\"pid\":%d,\"process-start-time\":%llu,\"rootfs\":\"/r\",\"bundle\":\"/b/c1\","
		 "\"created\":\"2026-01-02T03:04:05Z\"}",
		 f->child, (unsigned long long)f->start_time);
	put(f, "/run/user/7/crun/c1c1c1/status", text);
	put(f, "/b/c1/config.json", "{\"annotations\":{\"io.container.manager\":\"libpod\"}}");
	put(f, "/var/lib/containers/storage/overlay-containers/containers.json",
	    "[{\"id\":\"other\"},{\"id\":\"c1c1c1\",\"names\":[\"happy_name\"],\"image\":\"0123\","
	    "\"metadata\":\"{\\\"image-name\\\":\\\"docker.invalid/x:1\\\"}\"}]");
	assert_int_equal(find(f, "happy_name"), 0);
	assert_string_equal(f->target.runtime, "crun");
	assert_string_equal(f->target.engine, "libpod");
	assert_string_equal(f->target.image_name, "docker.invalid/x:1");
	assert_string_equal(f->target.image_ref, "0123");
	assert_string_equal(f->target.rootfs, "/r");
}

static void finds_docker(void **state)
{
	struct fixture *f = *state;

	put_runc(f, "/run/docker/runtime-runc/moby", "dddd0000", f->child, f->start_time, "");
	put(f, "/var/lib/docker/containers/dddd0000/config.v2.json",
	    "{\"Name\":\"/db\",\"Image\":\"sha256:1\",\"Config\":{\"Image\":\"redis:7\"}}");
	assert_int_equal(find(f, "db"), 0);
	assert_string_equal(f->target.engine, "docker");
	assert_string_equal(f->target.image_name, "redis:7");
}

static void tells_dead_and_ambiguous(void **state)
{
	struct fixture *f = *state;

	/* The same pid, but a process that started at another time. */
	put_runc(f, "/run/runc", "stale", f->child, f->start_time + 1, "");
	assert_int_equal(find(f, "stale"), -ESRCH);
	assert_non_null(strstr(f->err.hint, "/run/runc/stale/state.json"));
	put_runc(f, "/run/runc", "abcd1111", f->child, f->start_time, "");
	put_runc(f, "/run/containerd/runc/moby", "abcd2222", f->child, f->start_time, "");
	assert_int_equal(find(f, "abcd"), -EEXIST);
	assert_int_equal(find(f, "abcd1111"), 0);
	/* One of the two does not run: the other is meant. */
	put_runc(f, "/run/containerd/runc/moby", "abcd2222", f->child, f->start_time + 9, "");
	assert_int_equal(find(f, "abcd"), 0);
	assert_string_equal(f->target.id, "abcd1111");
}

static void finds_pids(void **state)
{
	struct fixture *f = *state;
	char name[32];

	snprintf(name, sizeof(name), "pid:%d", f->child);
	assert_int_equal(find(f, name), 0);
	assert_int_equal(f->target.pids[0], f->child);
	assert_string_equal(f->target.id, name + 4);
	assert_string_equal(f->target.runtime, "");
	assert_int_equal(find(f, "pid:x"), -EINVAL);
	assert_int_equal(find(f, "pid:-1"), -EINVAL);
	assert_int_equal(find(f, "pid:4194304"), -ESRCH);
	/* Nobody checkpoints himself or those above him. */
	snprintf(name, sizeof(name), "pid:%d", getpid());
	assert_int_equal(find(f, name), -EINVAL);
	snprintf(name, sizeof(name), "pid:%d", getppid());
	assert_int_equal(find(f, name), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(finds_runc, setup, teardown),
		cmocka_unit_test_setup_teardown(finds_containerd, setup, teardown),
		cmocka_unit_test_setup_teardown(finds_crun, setup, teardown),
		cmocka_unit_test_setup_teardown(finds_docker, setup, teardown),
		cmocka_unit_test_setup_teardown(tells_dead_and_ambiguous, setup, teardown),
		cmocka_unit_test_setup_teardown(finds_pids, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
