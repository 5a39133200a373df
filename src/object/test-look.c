// SPDX-License-Identifier: Apache-2.0
/*
 * test-look: what changes between the look and the stop is captured as the stop finds it.
 */
#include "object/look.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernel/pidfd.h"
#include "kernel/proc-fdinfo.h"
#include "kernel/proc-tasks.h"
#include "kernel/proc.h"
#include "object/fd-gather.h"

#define MANY 300 /* enough for a second thread */

/* A child whose descriptors 100... are MANY eventfds, a pipe's end and a socket; at the byte it
 * closes one, moves another, and makes a third something else. */
static pid_t child_start(int ends[2])
{
	pid_t pid;
	int fd, pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < MANY; i++) {
		fd = eventfd(i, 0);
		if (dup2(fd, 100 + i) < 0)
			_exit(1);
		close(fd);
	}
	if (pipe(pair) < 0 || dup2(pair[0], 100) < 0 || dup2(ends[1], 101) < 0)
		_exit(1);
	(void)!write(ends[1], "x", 1);
	(void)!read(ends[1], &fd, 1);
	close(150);
	dup2(103, 151);
	fd = open("/dev/zero", O_RDONLY);
	dup3(fd, 152, O_CLOEXEC);
	(void)!write(153, &(uint64_t){ 7 }, 8);
	(void)!write(ends[1], "y", 1);
	for (;;)
		pause();
}

/* "fd 152 = /dev/zero" */
static void check(int fd, int r, const struct fd_facts *facts)
{
	char socket[64];

	if (fd == 150)
		fail_msg("descriptor 150 is closed, %d", r);
	assert_int_equal(r, 0);
	if (fd < 100)
		return;
	assert_true(facts->dup >= 0);
	switch (fd) {
	case 100:
		assert_true(S_ISFIFO(facts->st.st_mode));
		assert_memory_equal(facts->link, "pipe:[", 6);
		break;
	case 101:
		(void)snprintf(socket, sizeof(socket), "socket:[%llu]",
			       (unsigned long long)facts->st.st_ino);
		assert_string_equal(facts->link, socket);
		break;
	case 151:
		assert_int_equal(facts->info->eventfd.count, 3);
		break;
	case 152:
		assert_string_equal(facts->link, "/dev/zero");
		assert_true(facts->flags & O_CLOEXEC);
		break;
	case 153:
		assert_int_equal(facts->info->eventfd.count, 53 + 7);
		break;
	default:
		assert_string_equal(facts->link, "anon_inode:[eventfd]");
		assert_int_equal(facts->info->eventfd.count, fd - 100);
		assert_false(facts->flags & O_CLOEXEC);
	}
}

static void changes_are_seen(bool looked)
{
	struct image_set set = IMAGE_SET_INIT;
	struct capture cap = { .set = &set };
	struct arena arena = ARENA_INIT;
	struct task task = { 0 };
	struct proc_numbers fds = { 0 };
	struct fd_gatherer *g = NULL;
	const struct fd_facts *facts;
	struct error err = ERROR_INIT;
	const struct look_task *seen;
	int ends[2];
	char byte;

	task.pid = child_start(ends);
	assert_true(task.pid > 0);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(proc_open(task.pid, &task.proc_fd, NULL), 0);
	assert_int_equal(pidfd_open_process(task.pid, &task.pidfd, NULL), 0);
	if (looked) {
		assert_int_equal(look_new(&cap, &task.pid, 1, &err), 0);
		seen = look_find(cap.look, task.pid);
		assert_non_null(seen);
		assert_true(seen->n_fds >= MANY && seen->maps.n_vmas > 0);
		assert_true(look_info_fd(seen, 150) >= 0);
		assert_int_equal(look_info_fd(seen, 99), -1);
	}
	assert_int_equal(write(ends[0], "z", 1), 1);
	assert_int_equal(read(ends[0], &byte, 1), 1);

	assert_int_equal(proc_fds_read(task.proc_fd, &arena, &fds, &err), 0);
	assert_int_equal(fd_gatherer_new(cap.look, &task, fds.values, fds.n_values, &g, &err), 0);
	for (size_t i = 0; i < fds.n_values; i++) {
		int r = fd_gatherer_take(g, i, &facts, &err);

		check(fds.values[i], r, facts);
	}
	fd_gatherer_free(g);

	kill(task.pid, SIGKILL);
	waitpid(task.pid, NULL, 0);
	look_free(cap.look);
	arena_deinit(&arena);
	image_set_deinit(&set);
	close(task.pidfd);
	close(task.proc_fd);
	close(ends[0]);
	close(ends[1]);
}

static void with_a_look(void **state)
{
	changes_are_seen(true);
}

static void without_a_look(void **state)
{
	changes_are_seen(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_a_look),
		cmocka_unit_test(without_a_look),
	};

	if (geteuid() != 0)
		return 77; /* descriptors of another process are root's to take */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
