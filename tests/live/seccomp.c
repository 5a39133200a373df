// SPDX-License-Identifier: Apache-2.0
/* Two stacked seccomp filters, the second on one thread only; both must go on judging. */
#include "subject.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/resource.h>

static volatile int go, ready;

static void refuse(int nr, int with)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | with),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(code[0]), code };

	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == 0);
}

static void judge(int getppid_errno)
{
	errno = 0;
	CHECK(syscall(SYS_getpriority, PRIO_PROCESS, 0) == -1 && errno == E2BIG);
	errno = 0;
	CHECK(getppid_errno ? syscall(SYS_getpgid, 0) == -1 && errno == getppid_errno
			    : syscall(SYS_getpgid, 0) > 0);
	CHECK(prctl(PR_GET_SECCOMP) == SECCOMP_MODE_FILTER);
}

static void *thread(void *arg)
{
	refuse(SYS_getpgid, ENOTTY);
	ready = 1;
	while (!go)
		subject_sleep_ms(2);
	judge(ENOTTY);
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t;

	subject_init(argc, argv);
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	refuse(SYS_getpriority, E2BIG);
	CHECK(pthread_create(&t, NULL, thread, NULL) == 0);
	while (!ready)
		subject_sleep_ms(1);
	judge(0);

	subject_ready();
	subject_wait();

	judge(0);
	go = 1;
	CHECK(pthread_join(t, NULL) == 0);
	subject_pass();
}
