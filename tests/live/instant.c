// SPDX-License-Identifier: Apache-2.0
/*
 * One instant: two processes write one growing number to many places at full speed, in one strict
 * order. Whatever stopped them, what all the places hold together must be a beginning of that
 * order: a place may lag behind another by what the order allows, and by nothing else.
 *
 * Every place is read before it is written and must hold what was written to it last, so that a
 * copy in which one place is of another instant finds that out by itself within a few hundred
 * rounds. tests/instant judges the same from the archive, and knows the order, the addresses and
 * the sizes below.
 *
 * A round: the first process writes a register, 1,000 private pages, shared anonymous memory, a
 * memfd, a System V segment, a file, the end of a log, and a name; then the second writes 250
 * private pages, a mapped file, a file on tmpfs, the same mapped, a pipe and a socket queue.
 */
#ifdef __clang__
static unsigned long now; /* it reserves no register */
#else
/* The round, in a register that nothing called while places are written touches: the archive shows
 * it. */
register unsigned long now asm("r15");
#endif

#include <sys/ipc.h>
#include <sys/shm.h>

#include "subject.h"

#define PAGE  4096UL
#define SLOTS 64UL /* pages that a place has; round n goes to the n-th of them, in turn */

#define FIRST_AREA    0x200000000000UL
#define FIRST_PAGES   16384UL
#define FIRST_WRITES  1000UL
#define SECOND_AREA   0x210000000000UL
#define SECOND_PAGES  4096UL
#define SECOND_WRITES 250UL
#define STRIDE	      7919UL /* odd: each page comes once in as many writes as there are pages */

#define SHARED_AREA 0x220000000000UL /* anonymous; behind the slots a page each for the turns */
#define MEMFD_AREA  0x230000000000UL
#define SYSV_AREA   0x240000000000UL
#define MAPPED_AREA 0x250000000000UL
#define TMPFS_AREA  0x260000000000UL

#define QUEUED	   16UL	       /* numbers that wait in the pipe and in the socket */
#define LOG_ROUNDS (1UL << 17) /* then the log begins anew */
#define SETTLED	   512UL       /* rounds after which every place was written and read again */

struct places {
	bool contained; /* in namespaces of our own: System V memory and tmpfs take part */
	int file, log, tmpfs;
	int pipe[2], socket[2];
	char *log_path;
	char *names[SLOTS]; /* exactly one of them exists: that of the round */
};

static volatile uint64_t *slot(uint64_t area, uint64_t n)
{
	return (volatile uint64_t *)(area + n % SLOTS * PAGE);
}

static uint64_t before(uint64_t n, uint64_t back)
{
	return n > back ? n - back : 0;
}

/* Whose turn it is: the round that the first, or the second process has ended. */
static volatile uint64_t *turn(unsigned int who)
{
	return (volatile uint64_t *)(SHARED_AREA + (SLOTS + who) * PAGE);
}

static void wait_for(unsigned int who, uint64_t n)
{
	unsigned int i;

	while (*turn(who) != n) {
		for (i = 0; i < 200 && *turn(who) != n; i++)
			__builtin_ia32_pause();
		if (*turn(who) != n)
			sched_yield();
	}
}

static void write_slot(uint64_t area, uint64_t n)
{
	CHECK(*slot(area, n) == before(n, SLOTS));
	*slot(area, n) = n;
}

static void write_file(int fd, uint64_t n)
{
	off_t at = (off_t)(n % SLOTS * PAGE);
	uint64_t was = 0;

	CHECK(pread(fd, &was, sizeof(was), at) == sizeof(was));
	CHECK(was == before(n, SLOTS));
	CHECK(pwrite(fd, &n, sizeof(n), at) == sizeof(n));
}

/* Pages far apart, other ones in each round: each holds the count of writes when it was written. */
static void write_pages(uint64_t area, uint64_t pages, uint64_t writes, uint64_t n)
{
	uint64_t count, first = (n - 1) * writes + 1;

	for (count = first; count < first + writes; count++) {
		volatile uint64_t *page =
			(volatile uint64_t *)(area + count * STRIDE % pages * PAGE);

		if (*page != before(count, pages))
			subject_fail(__FILE__, __LINE__, "a private page is not as it was left");
		*page = count;
	}
}

static void write_log(const struct places *p, uint64_t n)
{
	uint64_t at = (n - 1) % LOG_ROUNDS, last;

	if (at == 0) {
		CHECK(ftruncate(p->log, 0) == 0);
	} else {
		CHECK(pread(p->log, &last, sizeof(last), (off_t)((at - 1) * sizeof(last))) ==
		      sizeof(last));
		CHECK(last == n - 1);
	}
	CHECK(write(p->log, &n, sizeof(n)) == sizeof(n));
	CHECK(lseek(p->log, 0, SEEK_CUR) == (off_t)((at + 1) * sizeof(n)));
}

static void write_name(const struct places *p, uint64_t n)
{
	CHECK(rename(p->names[(n - 1) % SLOTS], p->names[n % SLOTS]) == 0);
}

/* One in, and one out behind it: QUEUED of them wait between rounds. */
static void write_queue(int in, int out, uint64_t n)
{
	uint64_t was;

	CHECK(write(in, &n, sizeof(n)) == sizeof(n));
	if (n <= QUEUED)
		return;
	CHECK(read(out, &was, sizeof(was)) == sizeof(was));
	CHECK(was == n - QUEUED);
}

static void first_places(const struct places *p, uint64_t n)
{
	write_pages(FIRST_AREA, FIRST_PAGES, FIRST_WRITES, n);
	write_slot(SHARED_AREA, n);
	write_slot(MEMFD_AREA, n);
	if (p->contained)
		write_slot(SYSV_AREA, n);
	write_file(p->file, n);
	write_log(p, n);
	write_name(p, n);
}

static void second_places(const struct places *p, uint64_t n)
{
	write_pages(SECOND_AREA, SECOND_PAGES, SECOND_WRITES, n);
	write_slot(MAPPED_AREA, n);
	write_file(p->tmpfs, n);
	write_slot(TMPFS_AREA, n);
	write_queue(p->pipe[1], p->pipe[0], n);
	write_queue(p->socket[1], p->socket[0], n);
}

static void check_log(const struct places *p, uint64_t n)
{
	uint64_t rounds = (n - 1) % LOG_ROUNDS + 1, i, was;
	FILE *log = fopen(p->log_path, "r");

	CHECK(log);
	for (i = 0; i < rounds; i++) {
		CHECK(fread(&was, sizeof(was), 1, log) == 1);
		CHECK(was == n - rounds + 1 + i);
	}
	CHECK(fgetc(log) == EOF);
	fclose(log);
}

static void map_at(uint64_t area, size_t pages, int flags, int fd)
{
	void *at = mmap((void *)area, pages * PAGE, PROT_READ | PROT_WRITE,
			flags | MAP_FIXED_NOREPLACE, fd, 0);

	CHECK(at == (void *)area);
}

static int file_open(const char *path, size_t pages)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CHECK(fd >= 0);
	CHECK(ftruncate(fd, (off_t)(pages * PAGE)) == 0);
	return fd;
}

/* Without a descriptor: only the mapping says that it is being written. */
static void map_file(uint64_t area, const char *path)
{
	int fd = file_open(path, SLOTS);

	map_at(area, SLOTS, MAP_SHARED, fd);
	close(fd);
}

static void places_make(struct places *p)
{
	unsigned long i;
	int fd;

	p->contained = getpid() == 1;
	map_at(SHARED_AREA, SLOTS + 2, MAP_SHARED | MAP_ANONYMOUS, -1);
	fd = memfd_create("instant", MFD_CLOEXEC);
	CHECK(fd >= 0 && ftruncate(fd, (off_t)(SLOTS * PAGE)) == 0);
	map_at(MEMFD_AREA, SLOTS, MAP_SHARED, fd);
	if (p->contained) {
		fd = shmget(IPC_PRIVATE, SLOTS * PAGE, 0600);
		CHECK(fd >= 0);
		CHECK(shmat(fd, (void *)SYSV_AREA, 0) == (void *)SYSV_AREA);
	}
	p->file = file_open(subject_path("file"), SLOTS);
	map_file(MAPPED_AREA, subject_path("mapped"));
	p->tmpfs =
		file_open(p->contained ? "/dev/shm/instant-file" : subject_path("file-2"), SLOTS);
	map_file(TMPFS_AREA, p->contained ? "/dev/shm/instant-mapped" : subject_path("mapped-2"));
	p->log_path = subject_path("log");
	p->log = open(p->log_path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	CHECK(p->log >= 0);
	for (i = 0; i < SLOTS; i++)
		CHECK(asprintf(&p->names[i], "%s-name.%lu", p->log_path, i) > 0);
	close(file_open(p->names[0], 0));
	CHECK(pipe2(p->pipe, O_CLOEXEC) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, p->socket) == 0);
}

static void second_process(const struct places *p)
{
	uint64_t n;

	map_at(SECOND_AREA, SECOND_PAGES, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	for (n = 1;; n++) {
		wait_for(0, n);
		second_places(p, n);
		*turn(1) = n;
	}
}

int main(int argc, char **argv)
{
	uint64_t end = 0;
	struct places p;
	pid_t second;

	subject_init(argc, argv);
	places_make(&p);
	second = fork();
	CHECK(second >= 0);
	if (second == 0)
		second_process(&p);
	map_at(FIRST_AREA, FIRST_PAGES, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	for (now = 1; !end || now < end; now++) {
		first_places(&p, now);
		*turn(0) = now;
		wait_for(1, now);
		CHECK(*turn(0) == now);
		if (now == SETTLED)
			subject_ready();
		if (now >= SETTLED && !end && subject_told())
			end = now + SETTLED;
	}
	check_log(&p, now - 1);
	kill(second, SIGKILL);
	CHECK(waitpid(second, NULL, 0) == second);
	subject_pass();
}
