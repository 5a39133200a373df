// SPDX-License-Identifier: Apache-2.0
/*
 * One thread in each kind of blocking system call. None may see EINTR, return early or late, or
 * miss what it waits for: nothing but the checkpoint has happened to it.
 */
#include "subject.h"

#include <arpa/inet.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>

static atomic_int about, done;
static int ep, sems, msgs, wake[8][2], udp, futex_word;
static struct sockaddr_in udp_addr = { .sin_family = AF_INET };

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void do_epoll(void)
{
	struct epoll_event ev;

	CHECK(epoll_wait(ep, &ev, 1, 60000) == 1);
}

static void do_poll(void)
{
	struct pollfd p = { .fd = wake[1][0], .events = POLLIN };

	CHECK(poll(&p, 1, 60000) == 1);
}

static void do_select(void)
{
	struct timeval limit = { .tv_sec = 60 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(wake[2][0], &set);
	CHECK(select(wake[2][0] + 1, &set, NULL, NULL, &limit) == 1);
}

static void do_read(void)
{
	char c;

	CHECK(read(wake[3][0], &c, 1) == 1);
}

static void do_semop(void)
{
	CHECK(semop(sems, &(struct sembuf){ 0, -1, 0 }, 1) == 0);
}

static void do_semtimedop(void)
{
	CHECK(semtimedop(sems, &(struct sembuf){ 1, -1, 0 }, 1,
			 &(struct timespec){ .tv_sec = 60 }) == 0);
}

static void do_msgrcv(void)
{
	struct {
		long type;
		char text[8];
	} m;

	CHECK(msgrcv(msgs, &m, 8, 0, 0) == 4);
}

static void do_recv_timeout(void)
{
	struct timeval limit = { .tv_sec = 60 };
	char c;

	CHECK(setsockopt(udp, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
	CHECK(recv(udp, &c, 1, 0) == 1);
}

static void do_sigtimedwait(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 5);
	CHECK(sigtimedwait(&set, NULL, &(struct timespec){ .tv_sec = 60 }) == SIGRTMIN + 5);
}

static void do_futex(void)
{
	struct timespec limit = { .tv_sec = 60 };

	CHECK(syscall(SYS_futex, &futex_word, FUTEX_WAIT, 0, &limit, NULL, 0) == 0);
}

static void do_nanosleep(void)
{
	struct timespec t = { .tv_sec = 1, .tv_nsec = 500000000 };
	double start = now();

	CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL) == 0);
	CHECK(now() - start >= 1.499);
}

static void do_sigsuspend(void)
{
	struct timespec limit = { .tv_sec = 1, .tv_nsec = 500000000 };

	CHECK(ppoll(NULL, 0, &limit, NULL) == 0);
}

static void (*const calls[])(void) = { do_epoll,  do_poll,	   do_select,
				       do_read,	  do_semop,	   do_semtimedop,
				       do_msgrcv, do_recv_timeout, do_sigtimedwait,
				       do_futex,  do_nanosleep,	   do_sigsuspend };
#define N (sizeof(calls) / sizeof(calls[0]))

static void *thread(void *arg)
{
	about++;
	calls[(long)arg]();
	done++;
	return arg;
}

int main(int argc, char **argv)
{
	struct {
		long type;
		char text[8];
	} m = { 1, "msg" };
	struct epoll_event ev = { .events = EPOLLIN };
	socklen_t len = sizeof(udp_addr);
	pthread_t t[N];
	sigset_t set;

	subject_init(argc, argv);
	for (int i = 0; i < 8; i++)
		CHECK(pipe(wake[i]) == 0);
	ep = epoll_create1(0);
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, wake[0][0], &ev) == 0);
	sems = semget(IPC_PRIVATE, 2, 0600);
	msgs = msgget(IPC_PRIVATE, 0600);
	CHECK(sems >= 0 && msgs >= 0);
	udp_addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK(bind(udp, (void *)&udp_addr, len) == 0 &&
	      getsockname(udp, (void *)&udp_addr, &len) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 5);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (size_t i = 0; i < N; i++)
		CHECK(pthread_create(&t[i], NULL, thread, (void *)i) == 0);
	sigdelset(&set, SIGRTMIN + 5);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	while (about < (int)N)
		subject_sleep_ms(1);
	subject_sleep_ms(30);

	subject_ready();
	subject_wait();

	CHECK(done <= 2); /* the two sleepers may be done, nobody else */
	for (int i = 0; i < 4; i++)
		CHECK(write(wake[i][1], "x", 1) == 1);
	CHECK(semop(sems, (struct sembuf[]){ { 0, 1, 0 }, { 1, 1, 0 } }, 2) == 0);
	CHECK(msgsnd(msgs, &m, 4, 0) == 0);
	CHECK(sendto(udp, "x", 1, 0, (void *)&udp_addr, len) == 1);
	CHECK(kill(getpid(), SIGRTMIN + 5) == 0);
	futex_word = 1;
	CHECK(syscall(SYS_futex, &futex_word, FUTEX_WAKE, 1, NULL, NULL, 0) == 1);
	for (size_t i = 0; i < N; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	semctl(sems, 0, IPC_RMID);
	msgctl(msgs, IPC_RMID, NULL);
	subject_pass();
}
