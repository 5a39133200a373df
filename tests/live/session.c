// SPDX-License-Identifier: Apache-2.0
/* A tree of processes with sessions and groups of its own, and a grandchild whose parent has died.
 */
#include "subject.h"

struct row {
	volatile pid_t pid, ppid, pgid, sid;
};

static struct row *table;
static volatile int *stop;

static void fill(struct row *r)
{
	r->ppid = getppid();
	r->pgid = getpgid(0);
	r->sid = getsid(0);
	r->pid = getpid();
}

static void live(int slot, int again)
{
	fill(&table[slot]);
	while (!*stop)
		subject_sleep_ms(5);
	fill(&table[again]);
	_exit(0);
}

int main(int argc, char **argv)
{
	struct row me_before = { 0 }, me_after = { 0 };
	pid_t child;

	subject_init(argc, argv);
	table = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	stop = (volatile int *)(table + 100);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (fork() == 0) { /* its own group, with a child in that group */
		setpgid(0, 0);
		if (fork() == 0)
			live(0, 10);
		live(1, 11);
	}
	if (fork() == 0) { /* a session, with a group beside the leader's */
		setsid();
		child = fork();
		if (child == 0) {
			setpgid(0, 0);
			live(2, 12);
		}
		live(3, 13);
	}
	child = fork();
	if (child == 0) { /* a session whose leader dies, its member is adopted by us */
		setsid();
		if (fork() == 0) {
			while (getppid() == table[20].pid || !table[20].pid)
				subject_sleep_ms(1);
			live(4, 14);
		}
		table[20].pid = getpid();
		_exit(0);
	}
	CHECK(waitpid(child, NULL, 0) == child);
	for (int i = 0; i < 5; i++)
		while (!table[i].pid)
			subject_sleep_ms(1);
	fill(&me_before);

	subject_ready();
	subject_wait();

	fill(&me_after);
	me_before.ppid = me_after.ppid = 0; /* our own parent is no part of the checkpoint */
	/* Not the parent: that is another one's process, and the copy's is not the same. */
	CHECK(me_before.pid == me_after.pid && me_before.pgid == me_after.pgid &&
	      me_before.sid == me_after.sid);
	*stop = 1;
	for (int i = 0; i < 5; i++) {
		while (!table[i + 10].pid)
			subject_sleep_ms(1);
		/* The first two may see their parent end before they look. */
		CHECK(table[i].pid == table[i + 10].pid && table[i].pgid == table[i + 10].pgid);
		CHECK(table[i].sid == table[i + 10].sid);
	}
	CHECK(table[1].ppid == table[11].ppid && table[3].ppid == table[13].ppid &&
	      table[4].ppid == table[14].ppid);
	while (waitpid(-1, NULL, 0) > 0)
		;
	subject_pass();
}
