// SPDX-License-Identifier: Apache-2.0
/*
 * test-fd-cases-more: watches, memory files, processes, terminals, locks, and what cannot come
 * back.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "object/test-fd-cases.h"

static int touch(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	return fd < 0 ? -1 : close(fd);
}

static int inotify_make(void)
{
	if (mkdir(TEST_DIR "/watched", 0700) < 0 || touch(TEST_DIR "/watched/file") < 0 ||
	    move_to(inotify_init1(IN_NONBLOCK | IN_CLOEXEC), 10) < 0 ||
	    inotify_add_watch(10, TEST_DIR "/watched", IN_CREATE | IN_DELETE) != 1 ||
	    inotify_add_watch(10, "/", IN_MODIFY) != 2 ||
	    inotify_add_watch(10, TEST_DIR "/watched/file", IN_ALL_EVENTS) != 3 ||
	    inotify_rm_watch(10, 2) < 0)
		return -1;
	/* The removal leaves an event; read it, or it would be a gap. */
	{
		char text[256];

		return read(10, text, sizeof(text)) > 0 ? 0 : -1;
	}
}

static const char *inotify_check(void)
{
	union {
		struct inotify_event event;
		char bytes[1024];
	} buf;
	int fd;

	WANT(read(10, &buf, sizeof(buf)) < 0 && errno == EAGAIN);
	WANT(touch(TEST_DIR "/watched/new") == 0);
	WANT(read(10, &buf, sizeof(buf)) > 0 && buf.event.wd == 1 && buf.event.mask == IN_CREATE);
	fd = open(TEST_DIR "/watched/file", O_WRONLY);
	WANT(fd >= 0 && read(10, &buf, sizeof(buf)) > 0);
	WANT(buf.event.wd == 3 && buf.event.mask == IN_OPEN);
	return NULL;
}

struct fd_case inotify_case = { .name = "inotify", .make = inotify_make, .check = inotify_check };

static int memfd_make(void)
{
	char block[10000];

	memset(block, 'm', sizeof(block));
	if (move_to(memfd_create("hello world", MFD_ALLOW_SEALING | MFD_CLOEXEC), 10) < 0 ||
	    write(10, block, sizeof(block)) != sizeof(block) || lseek(10, 77, SEEK_SET) != 77 ||
	    move_to(open("/proc/self/fd/10", O_RDONLY), 11) < 0 || fchmod(10, 0711) < 0 ||
	    fcntl(10, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return -1;
	return move_to(memfd_create("", 0), 12);
}

static const char *memfd_check(void)
{
	char text[128];
	struct stat st;

	WANT(fstat(10, &st) == 0 && st.st_size == 10000 && (st.st_mode & 0777) == 0711);
	WANT(lseek(10, 0, SEEK_CUR) == 77 && lseek(11, 0, SEEK_CUR) == 0);
	WANT(pread(11, text, 1, 9999) == 1 && text[0] == 'm');
	WANT(pwrite(10, "changed", 7, 0) == 7);
	WANT(read(11, text, 7) == 7 && memcmp(text, "changed", 7) == 0);
	WANT((fcntl(11, F_GETFL) & O_ACCMODE) == O_RDONLY);
	WANT(fcntl(10, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW));
	WANT(ftruncate(10, 5) < 0 && errno == EPERM);
	WANT(readlink("/proc/self/fd/10", text, sizeof(text)) > 0 &&
	     strncmp(text, "/memfd:hello world", 18) == 0);
	WANT(fstat(12, &st) == 0 && st.st_size == 0);
	return NULL;
}

struct fd_case memfd_case = { .name = "memfd", .make = memfd_make, .check = memfd_check };

static int pidfd_make(void)
{
	pid_t child;
	int fd;

	if (move_to(syscall(SYS_pidfd_open, getpid(), 0), 10) < 0)
		return -1;
	if (dup2(10, 12) < 0)
		return -1;
	child = fork();
	if (child == 0)
		_exit(0);
	fd = syscall(SYS_pidfd_open, child, 0);
	if (waitpid(child, NULL, 0) != child)
		return -1;
	return move_to(fd, 11);
}

static const char *pidfd_check(void)
{
	struct pollfd pfd = { .fd = 11, .events = POLLIN };

	WANT(syscall(SYS_pidfd_send_signal, 10, 0, NULL, 0) == 0);
	WANT(syscall(SYS_pidfd_send_signal, 12, 0, NULL, 0) == 0);
	WANT(syscall(SYS_pidfd_send_signal, 11, 0, NULL, 0) < 0 && errno == ESRCH);
	WANT(poll(&pfd, 1, 0) == 1);
	return NULL;
}

struct fd_case pidfd_case = { .name = "pidfd", .make = pidfd_make, .check = pidfd_check };

static int modes_set(int fd)
{
	struct winsize size = { .ws_row = 33, .ws_col = 111 };
	struct termios t;

	if (tcgetattr(fd, &t) < 0)
		return -1;
	cfmakeraw(&t);
	t.c_cc[VINTR] = 'x';
	return tcsetattr(fd, TCSANOW, &t) < 0 || ioctl(fd, TIOCSWINSZ, &size) < 0 ? -1 : 0;
}

static const char *modes_check(int fd)
{
	struct winsize size;
	struct termios t;

	WANT(tcgetattr(fd, &t) == 0 && !(t.c_lflag & ICANON) && t.c_cc[VINTR] == 'x');
	WANT(ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row == 33 && size.ws_col == 111);
	return NULL;
}

static int tty_make(void)
{
	int number, unlock = 0, on = 1;
	char path[32];

	if (move_to(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), 10) < 0 ||
	    ioctl(10, TIOCSPTLCK, &unlock) < 0 || ioctl(10, TIOCGPTN, &number) < 0 ||
	    ioctl(10, TIOCPKT, &on) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "/dev/pts/%d", number);
	if (move_to(open(path, O_RDWR | O_NOCTTY), 11) < 0 ||
	    move_to(open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK), 12) < 0 || modes_set(11) < 0)
		return -1;
	if (ioctl(11, TIOCSCTTY, 0) < 0)
		return -1;
	return move_to(open("/dev/tty", O_RDWR), 13);
}

static const char *tty_check(void)
{
	char text[16];
	int on = 0;

	WANT(!modes_check(11));
	WANT(ioctl(10, TIOCGPKT, &on) == 0 && on == 1);
	WANT(isatty(12) && (fcntl(12, F_GETFL) & O_NONBLOCK));
	WANT(write(10, "typed", 5) == 5 && read(11, text, sizeof(text)) == 5);
	WANT(write(11, "shown", 5) == 5 && read(10, text, sizeof(text)) == 6);
	WANT(tcgetsid(11) == getpid() && tcgetpgrp(11) == getpid());
	WANT(write(13, "x", 1) == 1 && read(10, text, sizeof(text)) == 2);
	WANT(fcntl(10, F_GETFD) == FD_CLOEXEC);
	return NULL;
}

struct fd_case tty_case = { .name = "tty", .make = tty_make, .check = tty_check };

/* A terminal whose master somebody outside has: a container started with a terminal. */
static int outer_tty_make(void)
{
	int master, slave, unlock = 0;

	master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return -1;
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	if (slave < 0 || modes_set(slave) < 0)
		return -1;
	if (fork() == 0) {
		close(slave);
		dup2(master, 20);
		close_range(0, 19, 0);
		close_range(21, ~0U, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	close(master);
	return dup2(slave, 0) < 0 || dup2(slave, 1) < 0 || close(slave) < 0 ? -1 : 0;
}

static const char *outer_tty_check(void)
{
	struct pollfd pfd = { .fd = 0, .events = POLLIN };

	WANT(isatty(0) && isatty(1));
	WANT(!modes_check(0));
	WANT(write(1, "hello", 5) == 5);
	WANT(poll(&pfd, 1, 50) == 0);
	return NULL;
}

struct fd_case outer_tty_case = {
	.name = "outer-tty", .make = outer_tty_make, .check = outer_tty_check, .gaps = 1
};

static int ns_make(void)
{
	int fd;

	if (move_to(open("/proc/self/ns/net", O_RDONLY), 10) < 0)
		return -1;
	/* One that nothing else of the container is in. */
	fd = open("/proc/self/ns/uts", O_RDONLY);
	if (unshare(CLONE_NEWUTS) < 0 || move_to(open("/proc/self/ns/uts", O_RDONLY), 11) < 0 ||
	    setns(fd, 0) < 0)
		return -1;
	return close(fd);
}

static const char *ns_check(void)
{
	struct stat a, b;

	WANT(fstat(10, &a) == 0 && stat("/proc/self/ns/net", &b) == 0 && a.st_ino == b.st_ino);
	WANT(fcntl(11, F_GETFD) < 0);
	return NULL;
}

/* The stage knows no namespaces: its capture has none but this. */
struct fd_case ns_case = { .name = "namespace", .make = ns_make, .check = ns_check, .gaps = 1 };

static int lock_make(void)
{
	struct flock posix = { .l_type = F_WRLCK, .l_start = 10, .l_len = 5 };
	struct flock ofd = { .l_type = F_RDLCK, .l_start = 100 };

	if (touch(TEST_DIR "/locked") < 0 || touch(TEST_DIR "/flocked") < 0 ||
	    move_to(open(TEST_DIR "/locked", O_RDWR), 10) < 0 || dup2(10, 11) < 0 ||
	    move_to(open(TEST_DIR "/flocked", O_RDWR), 12) < 0 || dup2(12, 13) < 0)
		return -1;
	return fcntl(10, F_SETLK, &posix) | fcntl(11, F_OFD_SETLK, &ofd) | flock(12, LOCK_EX);
}

/* A second process sees what is locked. */
static const char *locks_seen(void)
{
	struct flock probe = { .l_type = F_WRLCK, .l_start = 12, .l_len = 1 };
	int fd = open(TEST_DIR "/locked", O_RDWR);

	WANT(fcntl(fd, F_GETLK, &probe) == 0 && probe.l_type == F_WRLCK);
	WANT(probe.l_pid == getppid() && probe.l_start == 10 && probe.l_len == 5);
	probe = (struct flock){ .l_type = F_WRLCK, .l_start = 1000, .l_len = 1 };
	WANT(fcntl(fd, F_GETLK, &probe) == 0 && probe.l_type == F_RDLCK && probe.l_pid == -1);
	probe = (struct flock){ .l_type = F_WRLCK, .l_start = 50, .l_len = 1 };
	WANT(fcntl(fd, F_GETLK, &probe) == 0 && probe.l_type == F_UNLCK);
	fd = open(TEST_DIR "/flocked", O_RDWR);
	WANT(flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK);
	return NULL;
}

static const char *lock_check(void)
{
	static char text[128];
	int p[2], status;
	ssize_t n;

	WANT(pipe(p) == 0);
	if (fork() == 0) {
		const char *failure = locks_seen();

		if (failure)
			(void)!write(p[1], failure, strlen(failure));
		_exit(0);
	}
	WANT(wait(&status) > 0 && close(p[1]) == 0);
	n = read(p[0], text, sizeof(text) - 1);
	return n > 0 ? text : NULL;
}

static void lock_captured(struct capture *cap)
{
	const struct image *image = image_find(cap->set, IMAGE_FILE_LOCKS, 0);

	assert_non_null(image);
	assert_int_equal(image->n_entries, 3); /* not again for the duplicates */
}

struct fd_case lock_case = {
	.name = "lock", .make = lock_make, .check = lock_check, .captured = lock_captured
};

static int unknown_make(void)
{
	if (move_to(syscall(SYS_userfaultfd, O_CLOEXEC), 10) < 0)
		return -1;
	return dup2(10, 11);
}

static const char *unknown_check(void)
{
	WANT(fcntl(10, F_GETFD) < 0 && fcntl(11, F_GETFD) < 0 && fcntl(0, F_GETFD) == 0);
	return NULL;
}

struct fd_case unknown_case = {
	.name = "unknown", .make = unknown_make, .check = unknown_check, .gaps = 1
};
