// SPDX-License-Identifier: Apache-2.0
/*
 * test-fd-cases: files, pipes and counters as a program has them, before and after.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "object/file-facts.h"
#include "object/test-fd-cases.h"

int move_to(int fd, int number)
{
	int flags = fcntl(fd, F_GETFD);

	if (fd < 0 || dup3(fd, number, flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0)
		return -1;
	close(fd);
	return number;
}

static int regular_make(void)
{
	int fd = open(TEST_DIR "/regular", O_RDWR | O_CREAT | O_TRUNC, 0640);

	if (fd < 0 || write(fd, "0123456789", 10) != 10)
		return -1;
	close(fd);
	if (move_to(open(TEST_DIR "/regular", O_RDWR | O_APPEND), 10) < 0 || dup2(10, 11) < 0 ||
	    lseek(10, 4, SEEK_SET) != 4)
		return -1;
	if (move_to(open(TEST_DIR "/regular", O_RDONLY | O_CLOEXEC), 12) < 0 ||
	    move_to(open(TEST_DIR, O_RDONLY | O_DIRECTORY), 13) < 0 ||
	    move_to(open("/dev/zero", O_RDONLY), 14) < 0 ||
	    move_to(open(TEST_DIR "/regular", O_PATH), 15) < 0 ||
	    move_to(open("/proc/self/stat", O_RDONLY), 16) < 0)
		return -1;
	return 0;
}

static const char *regular_check(void)
{
	char text[64];
	struct stat st;

	WANT(lseek(10, 0, SEEK_CUR) == 4);
	WANT(read(10, text, 2) == 2 && memcmp(text, "45", 2) == 0);
	WANT(lseek(11, 0, SEEK_CUR) == 6);
	WANT(fcntl(10, F_GETFL) & O_APPEND);
	WANT(lseek(12, 0, SEEK_CUR) == 0);
	WANT(fcntl(12, F_GETFD) == FD_CLOEXEC && fcntl(10, F_GETFD) == 0);
	WANT((fcntl(12, F_GETFL) & O_ACCMODE) == O_RDONLY);
	WANT(fstat(13, &st) == 0 && S_ISDIR(st.st_mode));
	WANT(read(14, text, 4) == 4 && text[0] == 0);
	WANT(fcntl(15, F_GETFL) & O_PATH);
	WANT(fstat(0, &st) == 0 && st.st_rdev == makedev(1, 3));
	WANT(read(16, text, sizeof(text)) > 0 && atoi(text) == getpid());
	return NULL;
}

static void regular_captured(struct capture *cap)
{
	size_t i, hashed = 0;

	for (i = 0; i < cap->facts->n_facts; i++)
		if (strcmp(cap->facts->facts[i].path, TEST_DIR "/regular") == 0)
			hashed += cap->facts->facts[i].written && !cap->facts->facts[i].hashed;
	assert_int_equal(hashed, 1);
}

static struct fd_case regular_case = { .name = "regular",
				       .make = regular_make,
				       .check = regular_check,
				       .captured = regular_captured };

static int ghost_make(void)
{
	char big[8192];

	memset(big, 'b', sizeof(big));
	if (move_to(open(TEST_DIR "/small", O_RDWR | O_CREAT | O_TRUNC, 0604), 10) < 0 ||
	    write(10, "small ghost", 11) != 11 || lseek(10, 6, SEEK_SET) != 6 ||
	    move_to(open(TEST_DIR "/small", O_RDONLY), 11) < 0 || unlink(TEST_DIR "/small") < 0)
		return -1;
	if (move_to(open(TEST_DIR "/sparse", O_RDWR | O_CREAT | O_TRUNC, 0600), 12) < 0 ||
	    pwrite(12, big, sizeof(big), 0) != sizeof(big) ||
	    pwrite(12, big, sizeof(big), 500000) != sizeof(big) || ftruncate(12, 700000) < 0 ||
	    unlink(TEST_DIR "/sparse") < 0)
		return -1;
	if (mkdir(TEST_DIR "/gone", 0755) < 0 ||
	    move_to(open(TEST_DIR "/gone", O_RDONLY | O_DIRECTORY), 13) < 0 ||
	    move_to(open(TEST_DIR "/gone/inside", O_RDWR | O_CREAT, 0600), 14) < 0 ||
	    write(14, "in", 2) != 2 || unlink(TEST_DIR "/gone/inside") < 0 ||
	    rmdir(TEST_DIR "/gone") < 0)
		return -1;
	return move_to(open(TEST_DIR, O_TMPFILE | O_RDWR, 0600), 15) < 0 || write(15, "tmp", 3) != 3
		       ? -1
		       : 0;
}

static const char *ghost_check(void)
{
	char text[8192];
	struct stat st, other;

	WANT(read(10, text, sizeof(text)) == 5 && memcmp(text, "ghost", 5) == 0);
	WANT(fstat(10, &st) == 0 && st.st_nlink == 0 && (st.st_mode & 07777) == 0604);
	WANT(fstat(11, &other) == 0 && other.st_ino == st.st_ino);
	WANT(read(11, text, 5) == 5 && memcmp(text, "small", 5) == 0);
	WANT(access(TEST_DIR "/small", F_OK) < 0);
	WANT(fstat(12, &st) == 0 && st.st_size == 700000 && st.st_blocks * 512 < 100000);
	WANT(pread(12, text, 8192, 500000) == 8192 && text[0] == 'b' && text[8191] == 'b');
	WANT(pread(12, text, 100, 8192) == 100 && text[0] == 0);
	WANT(fstat(13, &st) == 0 && S_ISDIR(st.st_mode) && access(TEST_DIR "/gone", F_OK) < 0);
	WANT(pread(14, text, 8, 0) == 2);
	WANT(pread(15, text, 8, 0) == 3 && memcmp(text, "tmp", 3) == 0);
	return NULL;
}

static struct fd_case ghost_case = { .name = "ghost", .make = ghost_make, .check = ghost_check };

/* The name is another file's, or the inode has another name, or it is too large. */
static int replaced_make(void)
{
	int fd = open(TEST_DIR "/new", O_RDWR | O_CREAT, 0600);

	if (fd < 0 || move_to(open(TEST_DIR "/old", O_RDWR | O_CREAT, 0600), 10) < 0 ||
	    write(10, "old", 3) != 3 || link(TEST_DIR "/old", TEST_DIR "/link") < 0 ||
	    rename(TEST_DIR "/new", TEST_DIR "/old") < 0)
		return -1;
	close(fd);
	if (move_to(open(TEST_DIR "/huge", O_RDWR | O_CREAT, 0600), 11) < 0 ||
	    posix_fallocate(11, 0, 4 << 20) != 0 || unlink(TEST_DIR "/huge") < 0)
		return -1;
	return 0;
}

static const char *replaced_check(void)
{
	char text[8];
	struct stat st;

	WANT(pread(10, text, 8, 0) == 3 && memcmp(text, "old", 3) == 0);
	WANT(stat(TEST_DIR "/old", &st) == 0 && st.st_size == 0);
	WANT(fcntl(11, F_GETFD) < 0);
	return NULL;
}

static struct fd_case replaced_case = {
	.name = "replaced", .make = replaced_make, .check = replaced_check, .gaps = 2
};

static int pipe_make(void)
{
	int p[2];

	if (pipe2(p, O_NONBLOCK) < 0 || move_to(p[0], 10) < 0 || move_to(p[1], 11) < 0 ||
	    dup2(11, 12) < 0 || fcntl(11, F_SETPIPE_SZ, 131072) < 0 || write(11, "hello", 5) != 5)
		return -1;
	if (pipe2(p, O_DIRECT | O_CLOEXEC) < 0 || move_to(p[0], 13) < 0 || move_to(p[1], 14) < 0 ||
	    write(14, "one", 3) != 3 || write(14, "three", 5) != 5)
		return -1;
	/* Broken: no reader; ended: no writer, something to read. */
	if (pipe(p) < 0 || move_to(p[1], 15) < 0 || close(p[0]) < 0)
		return -1;
	if (pipe(p) < 0 || move_to(p[0], 16) < 0 || write(p[1], "end", 3) != 3 || close(p[1]) < 0)
		return -1;
	return 0;
}

static const char *pipe_check(void)
{
	char text[64];

	signal(SIGPIPE, SIG_IGN);
	WANT(fcntl(10, F_GETPIPE_SZ) == 131072);
	WANT(read(10, text, sizeof(text)) == 5 && memcmp(text, "hello", 5) == 0);
	WANT(read(10, text, sizeof(text)) < 0 && errno == EAGAIN);
	WANT(write(12, "more", 4) == 4 && read(10, text, sizeof(text)) == 4);
	WANT(fcntl(11, F_GETFL) & O_NONBLOCK);
	WANT(fcntl(14, F_GETFL) & O_DIRECT);
	WANT(read(13, text, sizeof(text)) == 3 && read(13, text, sizeof(text)) == 5);
	WANT(write(14, "a", 1) == 1 && write(14, "b", 1) == 1 && read(13, text, 64) == 1);
	WANT(close(11) == 0 && close(12) == 0 && read(10, text, sizeof(text)) == 0);
	WANT(write(15, "x", 1) < 0 && errno == EPIPE);
	WANT(read(16, text, sizeof(text)) == 3 && read(16, text, sizeof(text)) == 0);
	return NULL;
}

static struct fd_case pipe_case = { .name = "pipe", .make = pipe_make, .check = pipe_check };

/* Descriptor 0 from outside, descriptor 1 to a reader outside. */
static void outside_setup(struct fd_case *c)
{
	int p[2];

	/* A pair to talk through; the console of the sandbox is its other end. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p), 0);
	c->parent_fd[0] = p[0];
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	c->parent_fd[1] = p[1];
	assert_int_equal(move_to(p[0], CASE_CONSOLE_FD), CASE_CONSOLE_FD);
}

/* The far ends are held by a process that is not of the container. */
static int outside_make(void)
{
	int in[2], out[2];

	if (close(CASE_PARENT_FD) < 0 || pipe(in) < 0 || pipe(out) < 0)
		return -1;
	if (fork() == 0) {
		dup2(in[1], 20);
		dup2(out[0], 21);
		close_range(0, 19, 0);
		close_range(22, ~0U, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	if (dup2(in[0], 0) < 0 || dup2(out[1], 1) < 0)
		return -1;
	return close(in[0]) | close(in[1]) | close(out[0]) | close(out[1]);
}

static const char *outside_check(void)
{
	struct pollfd pfd = { .fd = 0, .events = POLLIN };
	struct stat st;

	WANT(poll(&pfd, 1, 100) == 0); /* neither data nor an end */
	WANT(fstat(1, &st) == 0 && S_ISFIFO(st.st_mode));
	WANT(write(1, "to the console", 14) == 14);
	return NULL;
}

static void outside_done(struct fd_case *c)
{
	char text[64];

	close(c->parent_fd[0]);
	close(c->parent_fd[1]);
	assert_int_equal(read(CASE_CONSOLE_FD, text, sizeof(text)), 14);
	assert_int_equal(read(CASE_CONSOLE_FD, text, sizeof(text)), 0);
	close(CASE_CONSOLE_FD);
}

static struct fd_case outside_case = { .name = "outside",
				       .make = outside_make,
				       .check = outside_check,
				       .gaps = 2,
				       .console = true,
				       .setup_parent = outside_setup,
				       .done = outside_done };

static int fifo_make(void)
{
	if (mkfifo(TEST_DIR "/fifo", 0600) < 0 ||
	    move_to(open(TEST_DIR "/fifo", O_RDONLY | O_NONBLOCK), 10) < 0 ||
	    move_to(open(TEST_DIR "/fifo", O_WRONLY), 11) < 0 || write(11, "fifo!", 5) != 5)
		return -1;
	return 0;
}

static const char *fifo_check(void)
{
	char text[64];

	WANT(read(10, text, sizeof(text)) == 5 && memcmp(text, "fifo!", 5) == 0);
	WANT(read(10, text, sizeof(text)) < 0 && errno == EAGAIN);
	WANT(write(11, "x", 1) == 1 && read(10, text, sizeof(text)) == 1);
	WANT(close(11) == 0 && read(10, text, sizeof(text)) == 0);
	return NULL;
}

static struct fd_case fifo_case = { .name = "fifo", .make = fifo_make, .check = fifo_check };

static int eventfd_make(void)
{
	uint64_t big = 0x1234567890ULL;

	if (move_to(eventfd(5, EFD_NONBLOCK), 10) < 0 ||
	    move_to(eventfd(3, EFD_SEMAPHORE | EFD_CLOEXEC), 11) < 0 ||
	    move_to(eventfd(0, 0), 12) < 0 || write(12, &big, 8) != 8)
		return -1;
	/* Owner and signal of a description. */
	return fcntl(10, F_SETOWN, getpid()) < 0 || fcntl(10, F_SETSIG, SIGUSR1) < 0 ? -1 : 0;
}

static const char *eventfd_check(void)
{
	uint64_t value;

	WANT(read(10, &value, 8) == 8 && value == 5 && read(10, &value, 8) < 0);
	WANT(read(11, &value, 8) == 8 && value == 1 && read(11, &value, 8) == 8 && value == 1);
	WANT(read(12, &value, 8) == 8 && value == 0x1234567890ULL);
	WANT(fcntl(10, F_GETOWN) == getpid() && fcntl(10, F_GETSIG) == SIGUSR1);
	WANT(fcntl(11, F_GETFD) == FD_CLOEXEC);
	return NULL;
}

static struct fd_case eventfd_case = { .name = "eventfd",
				       .make = eventfd_make,
				       .check = eventfd_check };

static int watch(int epfd, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event);
}

static int epoll_make(void)
{
	int p[2];

	if (move_to(eventfd(0, 0), 10) < 0 || move_to(eventfd(0, 0), 11) < 0 || pipe(p) < 0 ||
	    move_to(p[0], 12) < 0 || move_to(p[1], 13) < 0 ||
	    move_to(epoll_create1(EPOLL_CLOEXEC), 14) < 0 || move_to(epoll_create1(0), 15) < 0)
		return -1;
	if (watch(14, 10, EPOLLIN, 1010) < 0 || watch(14, 11, EPOLLIN | EPOLLET, 1111) < 0 ||
	    watch(14, 12, EPOLLIN | EPOLLONESHOT, UINT64_MAX - 1) < 0 ||
	    watch(15, 14, EPOLLIN, 1414) < 0)
		return -1;
	/* Added as 11, known as 16 now; 11 is another one. */
	if (dup2(11, 16) < 0 || close(11) < 0 || move_to(eventfd(0, 0), 11) < 0)
		return -1;
	/* Added, and closed: alive through its other end only. */
	if (pipe(p) < 0 || move_to(p[0], 17) < 0 || move_to(p[1], 18) < 0 ||
	    watch(15, 17, EPOLLIN, 1717) < 0 || fcntl(17, F_DUPFD, 300) != 300 || close(17) < 0)
		return -1;
	return 0;
}

static int waits(int epfd, uint64_t *data)
{
	struct epoll_event event;
	int n = epoll_wait(epfd, &event, 1, 0);

	*data = n > 0 ? event.data.u64 : 0;
	return n;
}

static const char *epoll_check(void)
{
	uint64_t data, one = 1;

	WANT(waits(14, &data) == 0 && waits(15, &data) == 0);
	WANT(write(11, &one, 8) == 8 && waits(14, &data) == 0);
	WANT(write(16, &one, 8) == 8 && waits(14, &data) == 1 && data == 1111);
	WANT(waits(14, &data) == 0); /* edge triggered */
	WANT(write(10, &one, 8) == 8 && waits(14, &data) == 1 && data == 1010);
	WANT(waits(15, &data) == 1 && data == 1414);
	WANT(read(10, &one, 8) == 8 && write(13, "x", 1) == 1);
	WANT(waits(14, &data) == 1 && data == UINT64_MAX - 1 && waits(14, &data) == 0);
	WANT(fcntl(14, F_GETFD) == FD_CLOEXEC);
	WANT(write(18, "x", 1) == 1 && waits(15, &data) == 1 && data == 1717);
	return NULL;
}

static struct fd_case epoll_case = { .name = "epoll", .make = epoll_make, .check = epoll_check };

static int timerfd_make(void)
{
	struct itimerspec in_an_hour = { .it_value = { 3600, 0 } };
	struct itimerspec often = { .it_interval = { 0, 1000000 }, .it_value = { 0, 1000000 } };
	struct itimerspec soon = { .it_value = { 1, 500000000 } }, absolute;

	if (move_to(timerfd_create(CLOCK_MONOTONIC, 0), 10) < 0 ||
	    move_to(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK), 11) < 0 ||
	    move_to(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC), 12) < 0 ||
	    move_to(timerfd_create(CLOCK_MONOTONIC, 0), 13) < 0 ||
	    move_to(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), 14) < 0)
		return -1;
	clock_gettime(CLOCK_REALTIME, &absolute.it_value);
	absolute.it_value.tv_sec += 100;
	absolute.it_interval = (struct timespec){ 7, 8 };
	if (timerfd_settime(10, 0, &in_an_hour, NULL) < 0 ||
	    timerfd_settime(11, TFD_TIMER_ABSTIME, &absolute, NULL) < 0 ||
	    timerfd_settime(12, 0, &soon, NULL) < 0 || timerfd_settime(13, 0, &often, NULL) < 0)
		return -1;
	usleep(20000);
	return 0;
}

static const char *timerfd_check(void)
{
	struct itimerspec left;
	uint64_t ticks = 0;

	WANT(timerfd_gettime(10, &left) == 0 && left.it_value.tv_sec >= 3590);
	WANT(timerfd_gettime(11, &left) == 0 && left.it_value.tv_sec >= 90 &&
	     left.it_value.tv_sec <= 100 && left.it_interval.tv_sec == 7);
	WANT(read(12, &ticks, 8) == 8 && ticks == 1);
	WANT(read(13, &ticks, 8) == 8 && ticks >= 1);
	WANT(read(14, &ticks, 8) < 0 && errno == EAGAIN);
	return NULL;
}

static struct fd_case timerfd_case = { .name = "timerfd",
				       .make = timerfd_make,
				       .check = timerfd_check };

static int signalfd_make(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigaddset(&mask, SIGRTMAX);
	return move_to(signalfd(-1, &mask, SFD_NONBLOCK), 10);
}

static const char *signalfd_check(void)
{
	struct signalfd_siginfo info;
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigaddset(&mask, SIGRTMAX);
	sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	raise(SIGHUP);
	WANT(read(10, &info, sizeof(info)) < 0 && errno == EAGAIN);
	raise(SIGRTMAX);
	WANT(read(10, &info, sizeof(info)) == sizeof(info));
	WANT(info.ssi_signo == (uint32_t)SIGRTMAX);
	return NULL;
}

static struct fd_case signalfd_case = { .name = "signalfd",
					.make = signalfd_make,
					.check = signalfd_check };

struct fd_case *const fd_cases[] = {
	&regular_case, &ghost_case,   &replaced_case, &pipe_case,    &outside_case,
	&fifo_case,    &eventfd_case, &epoll_case,    &timerfd_case, &signalfd_case,
	&inotify_case, &memfd_case,   &pidfd_case,    &tty_case,     &outer_tty_case,
	&ns_case,      &lock_case,    &unknown_case,  NULL,
};
