// SPDX-License-Identifier: Apache-2.0
/* Anonymous shared memory between parent and children: one counter, many writers, no copy of it. */
#include "subject.h"

#include <stdatomic.h>

#define CHILDREN 3

int main(int argc, char **argv)
{
	struct shared {
		atomic_ulong count;
		atomic_int stop;
		char far[1 << 20];
		char last;
	} * s;
	unsigned long before;
	int status;
	pid_t pids[CHILDREN];

	subject_init(argc, argv);
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(s != MAP_FAILED);
	s->last = 'z';
	for (int i = 0; i < CHILDREN; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			while (!s->stop) {
				s->count++;
				subject_sleep_ms(1);
			}
			_exit(s->last == 'y' ? 0 : 9);
		}
	}
	subject_sleep_ms(20);

	subject_ready();
	subject_wait();

	before = s->count;
	CHECK(before > 0 && s->last == 'z');
	subject_sleep_ms(50);
	CHECK(s->count > before);
	s->last = 'y';
	s->stop = 1;
	for (int i = 0; i < CHILDREN; i++)
		CHECK(waitpid(pids[i], &status, 0) == pids[i] && status == 0);
	subject_pass();
}
