// SPDX-License-Identifier: Apache-2.0
/*
 * family: fork, set up, stand still. A member that cannot be set up ends the whole program: a
 * watcher that watches less than it says would be worse than none.
 */
#include "family.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define WRITER_BYTES (48UL << 20)
#define HUGE_BYTES   (8UL << 20)
#define PAGE	     4096UL

const char *const member_names[MEMBERS] = { "idle", "writer", "guarded" };

static struct shared *shared; /* for signal handlers, which get no argument */

static void need(long good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static void count_signal(int sig)
{
	atomic_fetch_add(&shared->signals[atomic_load(&shared->window)][sig], 1);
}

void family_count_signals(struct shared *s)
{
	struct sigaction sa = { .sa_handler = count_signal, .sa_flags = SA_RESTART };
	int sig;

	shared = s;
	for (sig = 1; sig < 65; sig++)
		if (sig != SIGKILL && sig != SIGSTOP && (sig < 32 || sig > 33))
			sigaction(sig, &sa, NULL);
}

static void make_file(const char *name, size_t size)
{
	static char block[PAGE];
	size_t n;
	int fd;

	memset(block, 'x', sizeof(block));
	fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	need(fd >= 0, name);
	for (n = 0; n < size; n += PAGE)
		need(write(fd, block, PAGE) == PAGE, name);
	need(fsync(fd) == 0, name);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
}

void family_files(void)
{
	mkdir("/tells", 0700);
	need(mkdir(DATA, 0700) == 0 || errno == EEXIST, DATA);
	make_file(DATA "/mapped", 64 * PAGE);
	make_file(DATA "/open", PAGE);
	make_file(DATA "/plain", PAGE);
	make_file(DATA "/first-name", PAGE);
	need(link(DATA "/first-name", DATA "/second-name") == 0, "link");
	make_file(DATA "/gone", PAGE);
}

/* Ready-made data waiting in a pipe, a socket and a queue. */
static void idle_channels(void)
{
	int ends[2];

	need(pipe(ends) == 0 && write(ends[1], "pipe", 4) == 4, "pipe");
	need(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && write(ends[0], "sock", 4) == 4,
	     "socketpair");
	need(eventfd(7, 0) >= 0, "eventfd");
}

static void run_idle(void)
{
	struct itimerspec hour = { .it_value.tv_sec = 3600 };
	void *mapped;
	int fd;

	fd = open(DATA "/mapped", O_RDWR | O_CLOEXEC);
	mapped = mmap(NULL, 64 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	need(mapped != MAP_FAILED, "mmap");
	close(fd);
	need(open(DATA "/open", O_RDONLY | O_NOATIME) >= 0, "open");
	need(open(DATA "/first-name", O_RDWR) >= 0 && unlink(DATA "/first-name") == 0, "link");
	need(open(DATA "/gone", O_RDWR) >= 0 && unlink(DATA "/gone") == 0, "gone");
	fd = open(DATA "/plain", O_RDONLY | O_NOATIME);
	need(fd >= 0 && flock(fd, LOCK_SH) == 0, "flock");
	fd = memfd_create("tells", 0);
	need(fd >= 0 && write(fd, "memfd", 5) == 5, "memfd");
	fd = timerfd_create(CLOCK_MONOTONIC, 0);
	need(fd >= 0 && timerfd_settime(fd, 0, &hour, NULL) == 0, "timerfd");
	fd = shmget(IPC_PRIVATE, PAGE, 0600);
	need(fd >= 0 && shmat(fd, NULL, 0) != (void *)-1, "shmat");
	idle_channels();
	for (;;)
		pause();
}

static long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

/* The vector registers hold what they held, across something that takes a while. */
static void check_registers(struct shared *s)
{
	static const uint8_t pattern[16] = {
		1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
	};
	uint8_t seen[16];

	/* A loop of a few microseconds; nothing else of this process runs in between. */
	__asm__ volatile("movdqu (%1), %%xmm7\n\t"
			 "movdqu (%1), %%xmm15\n\t"
			 "mov $20000, %%rcx\n"
			 "1:\tdec %%rcx\n\t"
			 "jnz 1b\n\t"
			 "pand %%xmm15, %%xmm7\n\t"
			 "movdqu %%xmm7, (%0)\n\t"
			 :
			 : "r"(seen), "r"(pattern)
			 : "rcx", "xmm7", "xmm15", "memory", "cc");
	if (memcmp(seen, pattern, sizeof(seen)))
		atomic_fetch_add(&s->wrong[atomic_load(&s->window)], 1);
}

static void run_writer(struct shared *s)
{
	char *base, *huge, *p;
	unsigned long turn;
	size_t i = 0;
	long start, took;
	int w;

	base = mmap(NULL, WRITER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	huge = mmap(NULL, HUGE_BYTES * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	need(base != MAP_FAILED && huge != MAP_FAILED, "mmap");
	huge = (char *)(((uintptr_t)huge + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1));
	madvise(base, WRITER_BYTES, MADV_NOHUGEPAGE);
	madvise(huge, HUGE_BYTES, MADV_HUGEPAGE);
	memset(base, 1, WRITER_BYTES);
	memset(huge, 1, HUGE_BYTES);
	for (turn = 1; !atomic_load(&s->over); turn++) {
		for (w = 0; w < 256; w++, i++) {
			p = base + i * PAGE % WRITER_BYTES;
			start = now_ns();
			*(volatile unsigned long *)p = turn;
			took = now_ns() - start;
			if (took > atomic_load(&s->write_max_ns[s->window]))
				atomic_store(&s->write_max_ns[s->window], took);
			if (took > SLOW_NS)
				atomic_fetch_add(&s->slow_writes[s->window], 1);
			if (*(volatile unsigned long *)p != turn)
				atomic_fetch_add(&s->wrong[s->window], 1);
		}
		atomic_fetch_add(&s->writes[s->window], 256);
		check_registers(s);
		huge[turn % HUGE_BYTES] = 1;
		usleep(1000);
	}
	for (;;)
		pause(); /* an end would be seen, too */
}

static void trap(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	atomic_store(&shared->trapped_nr, info->si_syscall);
	atomic_fetch_add(&shared->trapped[atomic_load(&shared->window)], 1);
}

static void run_guarded(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pause, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };
	struct sigaction sa = { .sa_sigaction = trap, .sa_flags = SA_SIGINFO };

	sigaction(SIGSYS, &sa, NULL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	need(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
	for (;;)
		pause();
}

static pid_t start(struct shared *s, enum member member)
{
	pid_t pid = fork();

	need(pid >= 0, "fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, member_names[member]);
	if (member == IDLE)
		run_idle();
	else if (member == WRITER)
		run_writer(s);
	else
		run_guarded();
	_exit(1);
}

void family_start(struct shared *s, pid_t pids[MEMBERS])
{
	int i;

	for (i = 0; i < MEMBERS; i++)
		pids[i] = start(s, i);
	usleep(500000);
}
