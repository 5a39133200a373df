// SPDX-License-Identifier: Apache-2.0
/* Signal actions, the blocked mask, the alternate stack, and queued signals with what they carry.
 */
#include "subject.h"

static volatile int on_stack, seen_value, seen_code, order[4], count;
static char stack[65536];

static void handler(int sig, siginfo_t *si, void *ctx)
{
	char here;

	(void)ctx;
	on_stack = &here >= stack && &here < stack + sizeof(stack);
	seen_value = si->si_value.sival_int;
	seen_code = si->si_code;
	if (count < 4)
		order[count++] = sig == SIGRTMIN + 1 ? seen_value : -sig;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_sigaction = handler,
				.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART };
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) }, got;
	sigset_t set, now, pending;
	struct sigaction back;

	subject_init(argc, argv);
	CHECK(sigaltstack(&ss, NULL) == 0);
	sigaddset(&sa.sa_mask, SIGURG);
	CHECK(sigaction(SIGRTMIN + 1, &sa, NULL) == 0 && sigaction(SIGUSR2, &sa, NULL) == 0);
	CHECK(signal(SIGHUP, SIG_IGN) != SIG_ERR);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	sigaddset(&set, SIGUSR2);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	CHECK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 11 }) == 0);
	CHECK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 22 }) == 0);
	CHECK(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR2) == 0);

	subject_ready();
	subject_wait();

	CHECK(sigprocmask(SIG_SETMASK, NULL, &now) == 0);
	CHECK(sigismember(&now, SIGUSR2) && sigismember(&now, SIGRTMIN + 1) &&
	      !sigismember(&now, SIGTERM));
	CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR2) &&
	      sigismember(&pending, SIGRTMIN + 1));
	CHECK(sigaction(SIGRTMIN + 1, NULL, &back) == 0);
	CHECK((back.sa_flags & 0x58000004) == (sa.sa_flags & 0x58000004) &&
	      sigismember(&back.sa_mask, SIGURG));
	CHECK(sigaction(SIGHUP, NULL, &back) == 0 && back.sa_handler == SIG_IGN);
	CHECK(sigaltstack(NULL, &got) == 0 && got.ss_sp == stack && got.ss_size == sizeof(stack));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
	CHECK(count == 1 && order[0] == -SIGUSR2 && seen_code == SI_TKILL);
	sigaddset(&set, SIGRTMIN + 1);
	CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
	/* Both come at once: the handlers nest, so the one that was queued last runs first. */
	CHECK(count == 3 && order[1] + order[2] == 33 && seen_code == SI_QUEUE && on_stack);
	subject_pass();
}
