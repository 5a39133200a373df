// SPDX-License-Identifier: Apache-2.0
/*
 * subject: a process of a chosen shape that measures its own standstill. The benchmarks checkpoint
 * it.
 *
 * The main thread looks at the clock, naps for 50 us and looks again; a look that comes late is a
 * gap, and every gap of 0.2 ms or more goes to a ring in the file named by argv[1], which the bench
 * maps too (it lies on a tmpfs: no write-back of the kernel's stops us at it). It never asks
 * whether it was checkpointed, so it must do nothing that waits for anybody else. Whoever starts it
 * may give the main thread a real-time priority: then its gaps are standstills, not turns on the
 * processor given to others.
 *
 * usage: subject FILE [mib=N] [write=PAGES_PER_SECOND | write=max] [read=1] [threads=N]
 *                     [fds=N] [processes=N] [mappings=N]
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define PAGE	    4096
#define GAP_NS	    200000 /* worth telling */
#define NAP_NS	    50000
#define RING	    32768
#define PUBLISH	    256		/* operations between two updates of the shared counter */
#define CHILD_BYTES (1UL << 20) /* of each process */
#define BATCHES	    1000	/* a second, of a writer with a rate */

/* What the bench reads; tests/bench/meter.py knows this layout. */
struct meter {
	uint64_t ready;
	uint64_t looks;
	uint64_t operations; /* pages written or read */
	uint64_t n_gaps;     /* ever; the ring holds the last RING of them */
	struct {
		uint64_t end; /* ns of CLOCK_MONOTONIC */
		uint64_t length;
	} gaps[RING];
};

struct shape {
	unsigned long mib, write, read, threads, fds, processes, mappings;
};

struct worker {
	struct meter *meter;
	unsigned char *memory;
	size_t pages;
	unsigned long rate; /* pages a second; 0: as fast as it goes */
	uint64_t random;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fail(const char *what)
{
	fprintf(stderr, "subject: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void *map(size_t bytes)
{
	void *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		fail("mmap");
	return memory;
}

/* Resident, and of a content that nobody can leave out or make smaller. */
static unsigned char *resident(size_t bytes, uint64_t seed)
{
	uint64_t *memory = map(bytes);
	size_t i;

	for (i = 0; i < bytes / sizeof(*memory); i++)
		memory[i] = next_random(&seed);
	return (unsigned char *)memory;
}

static void publish(struct worker *w, uint64_t operations)
{
	__atomic_store_n(&w->meter->operations, operations, __ATOMIC_RELAXED);
}

static void *write_pages(void *arg)
{
	const struct timespec nap = { .tv_nsec = 1000000000 / BATCHES };
	struct worker *w = arg;
	uint64_t done = 0, value;
	unsigned long i;

	for (;;) {
		/* What the rate says for now: a late batch is not made up for. */
		unsigned long batch = w->rate ? (w->rate + BATCHES - 1) / BATCHES : PUBLISH;

		for (i = 0; i < batch; i++) {
			value = next_random(&w->random);
			*(volatile uint64_t *)(w->memory + value % w->pages * PAGE) = value;
		}
		done += batch;
		publish(w, done);
		if (w->rate)
			nanosleep(&nap, NULL);
	}
	return NULL;
}

static void *read_pages(void *arg)
{
	struct worker *w = arg;
	uint64_t done = 0;
	unsigned int i;

	for (;;) {
		for (i = 0; i < PUBLISH; i++)
			(void)*(volatile uint64_t *)(w->memory +
						     next_random(&w->random) % w->pages * PAGE);
		done += PUBLISH;
		publish(w, done);
	}
	return NULL;
}

static void *wait_forever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void start_thread(void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	errno = pthread_create(&thread, &attr, run, arg);
	if (errno)
		fail("pthread_create");
	pthread_attr_destroy(&attr);
}

/* One more descriptor, or two, of the kind whose turn it is; returns how many, or -1. */
static int open_kind(unsigned int turn)
{
	sigset_t set;
	int pair[2];

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	switch (turn % 8) {
	case 0:
		return open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 ? -1 : 1;
	case 1:
		return pipe(pair) < 0 ? -1 : 2;
	case 2:
		return eventfd(turn, EFD_CLOEXEC) < 0 ? -1 : 1;
	case 3:
		return timerfd_create(CLOCK_MONOTONIC, 0) < 0 ? -1 : 1;
	case 4:
		return epoll_create1(0) < 0 ? -1 : 1;
	case 5:
		return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 ? -1 : 2;
	case 6:
		return socket(AF_INET, SOCK_DGRAM, 0) < 0 ? -1 : 1;
	default:
		return signalfd(-1, &set, 0) < 0 ? -1 : 1;
	}
}

static void open_descriptors(unsigned long count)
{
	struct rlimit limit;
	unsigned long have = 0;
	unsigned int turn = 0;
	int n;

	if (count && getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	while (have < count) {
		n = open_kind(turn++);
		if (n < 0)
			fail("opening a descriptor");
		have += n;
	}
}

static void start_process(unsigned long number)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		fail("fork");
	if (pid > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	resident(CHILD_BYTES, number + 1);
	wait_forever(NULL);
}

/* Every second page is read-only, so that the kernel keeps as many mappings as there are pages. */
static void make_mappings(unsigned long count)
{
	unsigned char *memory = resident((count + 1) * PAGE, 7);
	unsigned long i;

	for (i = 0; i < count; i += 2)
		if (mprotect(memory + i * PAGE, PAGE, PROT_READ) < 0)
			fail("mprotect");
}

static void look_at_the_clock(struct meter *m)
{
	const struct timespec nap = { .tv_nsec = NAP_NS };
	uint64_t last = now_ns(), now;

	for (;; last = now) {
		nanosleep(&nap, NULL);
		now = now_ns();
		m->looks++;
		if (now - last < GAP_NS)
			continue;
		m->gaps[m->n_gaps % RING].end = now;
		m->gaps[m->n_gaps % RING].length = now - last;
		__atomic_store_n(&m->n_gaps, m->n_gaps + 1, __ATOMIC_RELEASE);
	}
}

static void parse(struct shape *shape, const char *word)
{
	const struct {
		const char *name;
		unsigned long *value;
	} known[] = {
		{ "mib=", &shape->mib },
		{ "read=", &shape->read },
		{ "threads=", &shape->threads },
		{ "fds=", &shape->fds },
		{ "processes=", &shape->processes },
		{ "mappings=", &shape->mappings },
		{ "write=", &shape->write },
	};
	size_t i, n;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		n = strlen(known[i].name);
		if (strncmp(word, known[i].name, n) != 0)
			continue;
		*known[i].value = strcmp(word + n, "max") == 0 ? (unsigned long)-1
							       : strtoul(word + n, NULL, 10);
		return;
	}
	fprintf(stderr, "subject: what is %s?\n", word);
	exit(2);
}

static struct meter *open_meter(const char *path)
{
	struct meter *meter;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0 || ftruncate(fd, sizeof(*meter)) < 0)
		fail(path);
	meter = mmap(NULL, sizeof(*meter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (meter == MAP_FAILED)
		fail(path);
	close(fd);
	memset(meter, 0, sizeof(*meter));
	return meter;
}

int main(int argc, char **argv)
{
	struct shape shape = { 0 };
	static struct worker worker; /* outlives every thread */
	unsigned long i;
	int arg;

	if (argc < 2) {
		fprintf(stderr, "usage: %s FILE [KIND=N...]\n", argv[0]);
		return 2;
	}
	for (arg = 2; arg < argc; arg++)
		parse(&shape, argv[arg]);
	prctl(PR_SET_TIMERSLACK, 1000);
	open_descriptors(shape.fds);
	for (i = 0; i < shape.processes; i++)
		start_process(i);
	make_mappings(shape.mappings);
	worker.meter = open_meter(argv[1]);
	worker.random = 88172645463325252ULL;
	worker.pages = shape.mib << 20 >> 12;
	if (worker.pages)
		worker.memory = resident(worker.pages * PAGE, 1);
	worker.rate = shape.write == (unsigned long)-1 ? 0 : shape.write;
	if (worker.pages && shape.write)
		start_thread(write_pages, &worker);
	if (worker.pages && shape.read)
		start_thread(read_pages, &worker);
	for (i = 0; i < shape.threads; i++)
		start_thread(wait_forever, NULL);
	worker.meter->ready = 1;
	look_at_the_clock(worker.meter);
}
