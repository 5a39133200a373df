// SPDX-License-Identifier: Apache-2.0
/* 64 MiB with holes, written to all the time by a thread; every page carries its own address. */
#include "subject.h"

#include <pthread.h>

#define PAGE  4096UL
#define PAGES 16384UL

static char *area;
static volatile uint64_t rounds;

static void *writer(void *arg)
{
	uint64_t x = 88172645463325252ULL;

	while (!subject_told()) {
		uint64_t *page;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		page = (uint64_t *)(area + x % PAGES * PAGE);
		if (page[0]) { /* not a hole: two words that must always agree */
			page[1]++;
			page[2] = page[1] ^ page[0];
			rounds++;
		}
		if (x % 64 == 0)
			subject_sleep_ms(1);
	}
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t;

	subject_init(argc, argv);
	area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(area != MAP_FAILED);
	for (unsigned long i = 0; i < PAGES; i++)
		if (i % 5 && i / 1000 % 4) {
			uint64_t *page = (uint64_t *)(area + i * PAGE);

			page[0] = (uint64_t)page;
			page[2] = page[0];
		}
	CHECK(pthread_create(&t, NULL, writer, NULL) == 0);
	while (!__atomic_load_n(&rounds, __ATOMIC_RELAXED))
		subject_sleep_ms(1);

	subject_ready();
	subject_wait();

	pthread_join(t, NULL);
	CHECK(rounds > 0);
	for (unsigned long i = 0; i < PAGES; i++) {
		const uint64_t *page = (uint64_t *)(area + i * PAGE);
		bool hole = !(i % 5 && i / 1000 % 4);

		CHECK(page[0] == (hole ? 0 : (uint64_t)page));
		CHECK(page[2] == (page[1] ^ page[0]));
		CHECK(page[511] == 0);
	}
	subject_pass();
}
