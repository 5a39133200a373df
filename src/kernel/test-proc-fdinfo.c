// SPDX-License-Identifier: Apache-2.0
/*
 * test-proc-fdinfo: fdinfo of real descriptors of every kind, of locks, and of texts that only
 * other kernels write.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>

#include <cmocka.h>

#include "kernel/proc-fdinfo.h"
#include "kernel/proc.h"

#define TEXT(s) ((struct bytes){ (const unsigned char *)(s), strlen(s) })

struct world {
	int proc;
	struct arena arena;
	struct error err;
	struct proc_fdinfo info;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	*state = w;
	return w ? proc_open(getpid(), &w->proc, &w->err) : -1;
}

static int teardown(void **state)
{
	struct world *w = *state;

	close(w->proc);
	arena_deinit(&w->arena);
	free(w);
	return 0;
}

static void look(struct world *w, int fd)
{
	assert_true(fd >= 0);
	assert_int_equal(proc_fdinfo_read(w->proc, fd, &w->arena, &w->info, &w->err), 0);
}

static uint32_t sdev_of(const struct stat *st)
{
	return major(st->st_dev) << 20 | minor(st->st_dev);
}

static void test_file_and_locks(void **state)
{
	struct world *w = *state;
	_cleanup_close_ int fd = memfd_create("amber-test", MFD_CLOEXEC);
	struct flock lock = { .l_type = F_WRLCK, .l_start = 10, .l_len = 5 };
	struct proc_locks locks;
	struct stat st;
	size_t found = 0;

	assert_int_equal(ftruncate(fd, 100), 0);
	assert_int_equal(lseek(fd, 42, SEEK_SET), 42);
	assert_int_equal(fcntl(fd, F_SETLK, &lock), 0);
	assert_int_equal(flock(fd, LOCK_SH), 0);
	assert_int_equal(fstat(fd, &st), 0);
	look(w, fd);
	assert_int_equal(w->info.kind, PROC_FDINFO_PLAIN);
	assert_int_equal(w->info.pos, 42);
	assert_true(w->info.flags & O_CLOEXEC);
	assert_int_equal(w->info.flags & O_ACCMODE, O_RDWR);
	assert_true(w->info.ino == 0 || w->info.ino == st.st_ino);
	assert_int_equal(w->info.n_locks, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct proc_lock *l = &w->info.locks[i];

		assert_int_equal(l->ino, st.st_ino);
		assert_int_equal(l->pid, getpid());
		if (l->kind == PROC_LOCK_POSIX)
			assert_true(l->access == PROC_LOCK_WRITE && l->start == 10 && l->end == 14);
		else
			assert_true(l->kind == PROC_LOCK_FLOCK && l->access == PROC_LOCK_READ &&
				    l->end == UINT64_MAX);
	}
	assert_int_equal(proc_locks_read(&w->arena, &locks, &w->err), 0);
	for (size_t i = 0; i < locks.n_locks; i++)
		found += locks.locks[i].ino == st.st_ino &&
			 locks.locks[i].major == major(st.st_dev) &&
			 locks.locks[i].minor == minor(st.st_dev);
	assert_int_equal(found, 2);
	assert_int_equal(proc_fdinfo_read(w->proc, 9999, &w->arena, &w->info, &w->err), -ENOENT);
}

static void test_lock_texts(void **state)
{
	struct world *w = *state;
	struct proc_lock lock;

	assert_int_equal(
		proc_lock_parse(TEXT("7: -> -> OFDLCK ADVISORY  READ  -1 fd:0a:99 0 EOF\n"), &lock,
				&w->err),
		0);
	assert_true(lock.blocked && lock.kind == PROC_LOCK_OFD && lock.pid == -1);
	assert_true(lock.major == 0xfd && lock.minor == 10 && lock.ino == 99);
	assert_int_equal(
		proc_lock_parse(TEXT("1: LEASE  BREAKING  UNLCK 5 08:01:3 0 EOF"), &lock, &w->err),
		0);
	assert_true(lock.kind == PROC_LOCK_LEASE && lock.lease == PROC_LEASE_BREAKING);
	assert_int_equal(
		proc_lock_parse(TEXT("1: POSIX  *NOINODE* WRITE 5 <none>:0 0 9"), &lock, &w->err),
		0);
	assert_int_equal(lock.end, 9);
	assert_int_equal(proc_lock_parse(TEXT("1: POSIX ADVISORY"), &lock, &w->err), -EBADMSG);
	assert_int_equal(proc_lock_parse(TEXT(""), &lock, &w->err), -EBADMSG);
}

static void test_eventfd_signalfd_timerfd(void **state)
{
	struct world *w = *state;
	_cleanup_close_ int event = eventfd(0xfffffff0, EFD_SEMAPHORE);
	_cleanup_close_ int timer = timerfd_create(CLOCK_BOOTTIME, 0);
	_cleanup_close_ int signals = -1;
	struct itimerspec spec = { .it_value = { 1000, 5 }, .it_interval = { 7, 8 } };
	sigset_t mask;

	look(w, event);
	assert_int_equal(w->info.kind, PROC_FDINFO_EVENTFD);
	assert_int_equal(w->info.eventfd.count, 0xfffffff0);
	assert_true(!w->info.eventfd.has_semaphore || w->info.eventfd.semaphore);
	assert_null(w->info.rest);

	assert_int_equal(timerfd_settime(timer, 0, &spec, NULL), 0);
	look(w, timer);
	assert_int_equal(w->info.kind, PROC_FDINFO_TIMERFD);
	assert_int_equal(w->info.timerfd.clockid, CLOCK_BOOTTIME);
	assert_true(w->info.timerfd.value_sec >= 990 && w->info.timerfd.value_sec <= 1000);
	assert_int_equal(w->info.timerfd.interval_sec, 7);
	assert_int_equal(w->info.timerfd.interval_nsec, 8);
	assert_null(w->info.rest);

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigaddset(&mask, SIGRTMAX);
	signals = signalfd(-1, &mask, 0);
	look(w, signals);
	assert_int_equal(w->info.kind, PROC_FDINFO_SIGNALFD);
	assert_true(w->info.sigmask == (1ULL << (SIGUSR1 - 1) | 1ULL << (SIGRTMAX - 1)));
}

static void test_epoll_inotify(void **state)
{
	struct world *w = *state;
	_cleanup_close_ int epoll = epoll_create1(0), event = eventfd(0, 0);
	_cleanup_close_ int inotify = inotify_init1(0);
	struct epoll_event watch = { .events = EPOLLIN | EPOLLET, .data.u64 = 0xdeadbeefcafe };
	struct stat st;
	int wd;

	look(w, epoll);
	assert_int_equal(w->info.kind, PROC_FDINFO_PLAIN);
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, event, &watch), 0);
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, inotify, &watch), 0);
	assert_int_equal(fstat(event, &st), 0);
	look(w, epoll);
	assert_int_equal(w->info.kind, PROC_FDINFO_EPOLL);
	assert_int_equal(w->info.n_tfds, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct proc_fdinfo_tfd *tfd = &w->info.tfds[i];

		assert_true(tfd->tfd == event || tfd->tfd == inotify);
		assert_true((tfd->events & (EPOLLIN | EPOLLET)) == (EPOLLIN | EPOLLET));
		assert_true(tfd->data == 0xdeadbeefcafe && tfd->has_file);
		if (tfd->tfd == event)
			assert_true(tfd->ino == st.st_ino && tfd->sdev == sdev_of(&st));
	}

	wd = inotify_add_watch(inotify, "/proc", IN_CREATE | IN_ONLYDIR);
	assert_true(wd > 0);
	assert_true(inotify_add_watch(inotify, "/tmp", IN_DELETE) > 0);
	assert_int_equal(stat("/tmp", &st), 0);
	look(w, inotify);
	assert_int_equal(w->info.kind, PROC_FDINFO_INOTIFY);
	assert_int_equal(w->info.n_watches, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct proc_fdinfo_watch *found = &w->info.watches[i];

		if (found->wd == wd) {
			assert_true(found->mask & IN_CREATE);
			continue;
		}
		assert_true(found->mask & IN_DELETE);
		assert_int_equal(found->ino, st.st_ino);
	}
}

static void test_pidfd_and_pty(void **state)
{
	struct world *w = *state;
	_cleanup_close_ int pidfd = syscall(SYS_pidfd_open, getpid(), 0);
	_cleanup_close_ int ptmx = open("/dev/ptmx", O_RDWR | O_NOCTTY);

	look(w, pidfd);
	assert_int_equal(w->info.kind, PROC_FDINFO_PIDFD);
	assert_int_equal(w->info.pidfd.pid, getpid());
	assert_true(w->info.pidfd.n_ns >= 1);
	if (ptmx >= 0) {
		look(w, ptmx);
		assert_int_equal(w->info.kind, PROC_FDINFO_TTY);
		assert_true(w->info.tty_index >= 0);
	}
}

static void test_texts(void **state)
{
	static const char text[] =
		"pos:\t0\nflags:\t02\nmnt_id:\t15\nino:\t63\n"
		"fanotify flags:10 event-flags:88002\n"
		"fanotify ino:4f969 sdev:800013 mflags:2 mask:3b ignored_mask:40000000 "
		"fhandle-bytes:8 fhandle-type:1 f_handle:69f90400c275b5b4\n"
		"fanotify mnt_id:12 mflags:40 mask:38 ignored_mask:0\n"
		"fanotify sdev:800013 mflags:0 mask:1 ignored_mask:2\n"
		"something new: 5\nother\n";
	static const char *const malformed[] = {
		"pos:\tx\n",
		"lock:\tnothing\n",
		"tfd: 1 events:\n",
		"it_value: 1, 2\n",
		"inotify wd:1 ino:2 sdev:3 mask:4 ignored_mask:0 fhandle-bytes:9 fhandle-type:1 "
		"f_handle:00\n",
		"fanotify what:1\n",
	};
	struct world *w = *state;
	const struct proc_fdinfo_mark *marks;

	assert_int_equal(proc_fdinfo_parse(TEXT(text), &w->arena, &w->info, &w->err), 0);
	assert_int_equal(w->info.kind, PROC_FDINFO_FANOTIFY);
	assert_int_equal(w->info.fanotify.flags, 0x10);
	assert_int_equal(w->info.fanotify.n_marks, 3);
	marks = w->info.fanotify.marks;
	assert_true(marks[0].kind == PROC_FANOTIFY_INODE && marks[0].watch.ino == 0x4f969);
	assert_true(marks[0].watch.handle.len == 8 && marks[0].watch.handle.bytes[0] == 0x69);
	assert_true(marks[1].kind == PROC_FANOTIFY_MOUNT && marks[1].mnt_id == 0x12);
	assert_true(marks[2].kind == PROC_FANOTIFY_FILESYSTEM && marks[2].watch.mask == 1);
	assert_string_equal(w->info.rest, "something new: 5\nother\n");
	for (size_t i = 0; i < ARRAY_SIZE(malformed); i++)
		assert_int_equal(
			proc_fdinfo_parse(TEXT(malformed[i]), &w->arena, &w->info, &w->err),
			-EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_file_and_locks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock_texts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_eventfd_signalfd_timerfd, setup, teardown),
		cmocka_unit_test_setup_teardown(test_epoll_inotify, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pidfd_and_pty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_texts, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
