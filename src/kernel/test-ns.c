// SPDX-License-Identifier: Apache-2.0
/*
 * test-ns: namespaces, kcmp, pidfds and foreign memory, on children of this process.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "kernel/kcmp.h"
#include "kernel/netlink.h"
#include "kernel/ns.h"
#include "kernel/pidfd.h"
#include "kernel/proc.h"
#include "kernel/process-vm.h"

/* A child in namespaces of its own (flags), waiting to be killed. */
static pid_t child_in(int flags)
{
	int ready[2];
	char c = 1;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		c = unshare(flags) == 0 && sethostname("inside", 6) == 0;
		if (write(ready[1], &c, 1) == 1)
			pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	if (c)
		return pid;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return -1;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int look(void *arg, struct buf *out, int *fd, struct error *err)
{
	char name[65] = "";

	if (gethostname(name, sizeof(name)) < 0)
		return error_errno(err, errno, "gethostname");
	return buf_printf(out, err, "%s%s", (char *)arg, name);
}

static void test_identify_and_call(void **state)
{
	_cleanup_close_ int proc = -1, self = -1, ns = -1, owner = -1, sock = -1;
	pid_t pid = child_in(CLONE_NEWUTS | CLONE_NEWNET);
	_cleanup_buf_ struct buf out = BUF_INIT;
	struct error err = ERROR_INIT;
	struct ns_set theirs, ours, after;
	struct stat st;

	if (pid < 0)
		skip();
	assert_int_equal(proc_open(pid, &proc, &err), 0);
	assert_int_equal(proc_open(getpid(), &self, &err), 0);
	assert_int_equal(ns_read(proc, &theirs, &err), 0);
	assert_int_equal(ns_read(self, &ours, &err), 0);
	assert_false(ns_same(theirs.id[NS_UTS], ours.id[NS_UTS]));
	assert_false(ns_same(theirs.id[NS_NET], ours.id[NS_NET]));
	assert_true(ns_same(theirs.id[NS_MNT], ours.id[NS_MNT]));
	assert_true(ns_same(theirs.id[NS_USER], ours.id[NS_USER]));
	assert_true(ns_same(ours.id[NS_PID], ours.id[NS_PID_CHILDREN]));

	assert_int_equal(buf_append(&out, "<", 1, &err), 0);
	assert_int_equal(ns_call_in(proc, 1u << NS_UTS, look, (char[]){ ">" }, &out, NULL, &err),
			 0);
	assert_string_equal((char *)out.data, "<>inside");

	assert_int_equal(ns_open(proc, NS_NET, &ns, &err), 0);
	assert_int_equal(fstat(ns, &st), 0);
	assert_int_equal(st.st_ino, theirs.id[NS_NET].ino);
	assert_int_equal(ns_owner(ns, &owner, &err), 0);
	assert_int_equal(fstat(owner, &st), 0);
	assert_int_equal(st.st_ino, ours.id[NS_USER].ino);
	assert_int_equal(ns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, &sock, &err), 0);
	assert_true(sock >= 0 && fcntl(sock, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(ns_socket(ns, AF_NETLINK, SOCK_RAW, 9999, &sock, &err), -EPROTONOSUPPORT);
	assert_non_null(strstr(err.text, "socket"));

	assert_int_equal(ns_read(self, &after, &err), 0);
	assert_memory_equal(&ours, &after, sizeof(ours));
	end(pid);
	assert_true(ns_read(proc, &after, &err) < 0);
}

static int tell_pid(void *arg, struct buf *out, int *fd, struct error *err)
{
	return getpid();
}

static int wait_for_parent(void *arg, struct buf *out, int *fd, struct error *err)
{
	return getppid() == 0 ? 7 : 0;
}

/* In a pid namespace the function runs as a member of it. */
static void test_pid_namespace(void **state)
{
	_cleanup_close_ int proc = -1;
	struct error err = ERROR_INIT;
	int ready[2], r;
	pid_t pid, init;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWPID) < 0)
			_exit(1);
		init = fork();
		if (init == 0) {
			pause();
			_exit(0);
		}
		r = write(ready[1], &init, sizeof(init));
		_exit(waitpid(init, NULL, 0) < 0 || r < 0);
	}
	close(ready[1]);
	if (read(ready[0], &init, sizeof(init)) != sizeof(init)) {
		waitpid(pid, NULL, 0);
		close(ready[0]);
		skip();
	}
	close(ready[0]);
	assert_int_equal(proc_open(init, &proc, &err), 0);
	assert_int_equal(ns_call_in(proc, 1u << NS_PID, tell_pid, NULL, NULL, NULL, &err), 2);
	assert_int_equal(ns_call_in(proc, 1u << NS_PID, wait_for_parent, NULL, NULL, NULL, &err),
			 7);
	kill(init, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int big(void *arg, struct buf *out, int *fd, struct error *err)
{
	int r = buf_reserve(out, 3 << 20, err);

	if (r == 0) {
		memset(out->data, 'x', 3 << 20);
		out->len = 3 << 20;
	}
	return r;
}

static int refuse(void *arg, struct buf *out, int *fd, struct error *err)
{
	int r = buf_append(out, "lost", 4, err);

	return r < 0 ? r
		     : error_hint(err, error_set(err, ERROR_DENIED, EACCES, "no way"), "go home");
}

static int crash(void *arg, struct buf *out, int *fd, struct error *err)
{
	return raise(SIGKILL);
}

static int hand_over(void *arg, struct buf *out, int *fd, struct error *err)
{
	*fd = memfd_create("amber-test", 0);
	return *fd < 0 || write(*fd, "abc", 3) != 3 ? -EIO : 5;
}

static void test_call_outcomes(void **state)
{
	_cleanup_buf_ struct buf out = BUF_INIT;
	_cleanup_close_ int fd = -1;
	struct error err = ERROR_INIT;
	char text[4] = "";

	assert_int_equal(ns_call(NULL, big, NULL, &out, NULL, &err), 0);
	assert_int_equal(out.len, 3 << 20);
	assert_int_equal(out.data[out.len - 1], 'x');
	assert_int_equal(ns_call(NULL, refuse, NULL, &out, NULL, &err), -EACCES);
	assert_int_equal(out.len, 3 << 20);
	assert_string_equal(err.text, "no way");
	assert_string_equal(err.hint, "go home");
	assert_int_equal(err.class, ERROR_DENIED);
	assert_int_equal(ns_call(NULL, crash, NULL, &out, NULL, &err), -EPROTO);
	assert_int_equal(ns_call(NULL, hand_over, NULL, NULL, &fd, &err), 5);
	assert_int_equal(pread(fd, text, 3, 0), 3);
	assert_string_equal(text, "abc");
	/* nothing is left to be waited for */
	assert_true(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static void test_kcmp(void **state)
{
	_cleanup_close_ int fd = memfd_create("amber-test", 0), other = memfd_create("x", 0);
	_cleanup_close_ int copy = dup(fd), epoll = epoll_create1(0);
	struct epoll_event event = { .events = EPOLLIN };
	struct error err = ERROR_INIT;
	int value, pipes[2];
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[0], &event), 0);
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	if (kcmp_file(getpid(), fd, getpid(), copy, &value, &err) == -ENOSYS) {
		end(pid);
		skip();
	}
	assert_int_equal(value, 0);
	assert_int_equal(kcmp_file(getpid(), fd, pid, copy, &value, &err), 0);
	assert_int_equal(value, 0);
	assert_int_equal(kcmp_file(getpid(), fd, pid, other, &value, &err), 0);
	assert_true(value == 1 || value == 2);
	assert_true(kcmp_order(value) == (value == 1 ? -1 : 1));
	assert_int_equal(kcmp_file(getpid(), 9999, pid, other, &value, &err), -EBADF);
	assert_int_equal(kcmp_task(getpid(), pid, KCMP_OF_VM, &value, &err), 0);
	assert_true(value != 0);
	assert_int_equal(kcmp_task(pid, pid, KCMP_OF_SIGHAND, &value, &err), 0);
	assert_int_equal(value, 0);
	assert_int_equal(kcmp_epoll(getpid(), pipes[0], pid, epoll, pipes[0], 0, &value, &err), 0);
	assert_int_equal(value, 0);
	assert_int_equal(kcmp_epoll(getpid(), fd, pid, epoll, pipes[0], 0, &value, &err), 0);
	assert_true(value != 0);
	assert_int_equal(kcmp_epoll(getpid(), fd, pid, epoll, 77, 0, &value, &err), -ENOENT);
	end(pid);
	close(pipes[0]);
	close(pipes[1]);
}

static void test_pidfd(void **state)
{
	_cleanup_close_ int fd = memfd_create("amber-test", 0), pidfd = -1, taken = -1;
	struct error err = ERROR_INIT;
	pid_t pid = fork();
	int value;

	if (pid == 0) {
		pause();
		_exit(0);
	}
	assert_int_equal(pidfd_open_process(pid, &pidfd, &err), 0);
	assert_int_equal(pidfd_take_fd(pidfd, fd, &taken, &err), 0);
	assert_int_equal(kcmp_file(getpid(), fd, getpid(), taken, &value, &err), 0);
	assert_int_equal(value, 0);
	assert_int_equal(pidfd_take_fd(pidfd, 9999, &value, &err), -EBADF);
	assert_false(pidfd_dead(pidfd));
	assert_int_equal(pidfd_kill(pidfd, SIGKILL, &err), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(pidfd_dead(pidfd));
	assert_int_equal(pidfd_open_process(pid, &value, &err), -ESRCH);
}

static void test_process_vm(void **state)
{
	const size_t page = AMBER_PAGE_SIZE, n = 3000;
	char *map = mmap(NULL, (n + 1) * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	_cleanup_free_ struct iovec *remote = calloc(n, sizeof(*remote));
	_cleanup_free_ unsigned char *local = calloc(n, 16);
	struct error err = ERROR_INIT;
	char string[16];
	size_t done;
	pid_t pid;

	for (size_t i = 0; i < n; i++) {
		memset(map + i * page, (int)(i % 251), 16);
		remote[i] = (struct iovec){ map + i * page, 16 };
	}
	strcpy(map + n * page - 5, "hello");
	strcpy(map + n * page, " you");
	assert_int_equal(mprotect(map + n * page, page, PROT_NONE), 0);
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	assert_int_equal(process_vm_read_vec(pid, remote, n, local, &done, &err), 0);
	assert_int_equal(done, n * 16);
	for (size_t i = 0; i < n * 16; i++)
		assert_int_equal(local[i], i / 16 % 251);
	/* a hole in the middle */
	remote[2000].iov_base = map + n * page;
	assert_int_equal(process_vm_read_vec(pid, remote, n, local, &done, &err), -EFAULT);
	assert_int_equal(done, 2000 * 16);
	assert_int_equal(process_vm_read(pid, (uintptr_t)map + n * page - 5, string, 10, &err),
			 -EFAULT);
	assert_int_equal(process_vm_write(pid, (uintptr_t)map + n * page - 3, "p\0", 2, &err), 0);
	assert_int_equal(
		process_vm_string(pid, (uintptr_t)map + n * page - 5, string, sizeof(string), &err),
		0);
	assert_string_equal(string, "hep");
	assert_int_equal(process_vm_string(pid, (uintptr_t)map + 16, string, 1, &err),
			 -ENAMETOOLONG);
	memset(map, 'a', 64);
	assert_int_equal(process_vm_string(getpid(), (uintptr_t)map, string, sizeof(string), &err),
			 -ENAMETOOLONG);
	assert_int_equal(process_vm_read_vec(pid, remote, 0, local, &done, &err), 0);
	end(pid);
	assert_int_equal(process_vm_read(pid, (uintptr_t)map, string, 1, &err), -ESRCH);
	munmap(map, (n + 1) * page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identify_and_call),
		cmocka_unit_test(test_pid_namespace),
		cmocka_unit_test(test_call_outcomes),
		cmocka_unit_test(test_kcmp),
		cmocka_unit_test(test_pidfd),
		cmocka_unit_test(test_process_vm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
