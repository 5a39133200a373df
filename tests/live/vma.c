// SPDX-License-Identifier: Apache-2.0
/* Mappings of every kind keep place, protection, advice and content: compared as smaps tells them.
 */
#include "subject.h"

#include <sys/resource.h>

#define PAGE 4096

static char *maps[16];
static int count;

static char *map(size_t pages, int prot, int flags, int fd)
{
	char *p = mmap(NULL, (pages + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	/* A hole on both sides keeps neighbours from being merged. */
	CHECK(p != MAP_FAILED);
	munmap(p, (pages + 2) * PAGE);
	p = mmap(p + PAGE, pages * PAGE, prot, flags | MAP_FIXED, fd, 0);
	CHECK(p != MAP_FAILED);
	maps[count++] = p;
	return p;
}

/* The address line and the flags of each mapping of ours. "sd" and the like come and go by
 * themselves. */
static void describe(char *out, size_t size)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long start, end;
	bool ours = false;
	char line[512], perm[8];
	size_t n = 0;

	CHECK(f);
	out[0] = 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %4s", &start, &end, perm) == 3) {
			ours = false;
			for (int i = 0; i < count; i++)
				ours |= (unsigned long)maps[i] == start;
			if (ours)
				n += snprintf(out + n, size - n, "%lx-%lx %s", start, end, perm);
		} else if (ours && strncmp(line, "VmFlags:", 8) == 0) {
			char *sd = strstr(line, " sd");

			if (sd)
				memmove(sd, sd + 3, strlen(sd + 3) + 1);
			n += snprintf(out + n, size - n, "%s", line + 8);
		}
		CHECK(n < size);
	}
	fclose(f);
}

int main(int argc, char **argv)
{
	static char before[16384], after[16384];
	char *rw, *none, *ro, *advised, *stack, *locked, *priv, *shared, *holes, *brk0;
	char *path;
	int fd;

	subject_init(argc, argv);
	path = subject_path("mapped");
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0 && ftruncate(fd, 4 * PAGE) == 0 && pwrite(fd, "file", 4, 0) == 4);
	rw = map(3, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	none = map(3, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	ro = map(2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	advised = map(4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	stack = map(4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1);
	locked = map(1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	priv = map(4, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
	shared = map(4, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	holes = map(256, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	strcpy(rw + PAGE, "middle page only");
	strcpy(none, "behind PROT_NONE");
	strcpy(ro, "read only now");
	strcpy(advised, "advised");
	strcpy(stack + 3 * PAGE, "stack");
	strcpy(locked, "locked");
	strcpy(priv + PAGE, "private copy");
	strcpy(shared + 2 * PAGE, "through to the file");
	for (int i = 0; i < 256; i += 7)
		holes[i * PAGE] = i;
	CHECK(mprotect(none, 3 * PAGE, PROT_NONE) == 0 && mprotect(ro, 2 * PAGE, PROT_READ) == 0);
	CHECK(madvise(advised, 4 * PAGE, MADV_DONTFORK) == 0 &&
	      madvise(advised, 4 * PAGE, MADV_DONTDUMP) == 0);
	CHECK(mlock(locked, PAGE) == 0);
	close(fd);
	brk0 = sbrk(0);
	CHECK(sbrk(5 * PAGE) == brk0);
	strcpy(brk0 + 4 * PAGE, "heap end");
	describe(before, sizeof(before));

	subject_ready();
	subject_wait();

	describe(after, sizeof(after));
	if (strcmp(before, after))
		subject_fail(before, 0, after);
	CHECK(strcmp(rw + PAGE, "middle page only") == 0 && rw[0] == 0 && rw[2 * PAGE] == 0);
	CHECK(mprotect(none, 3 * PAGE, PROT_READ) == 0 && strcmp(none, "behind PROT_NONE") == 0);
	CHECK(strcmp(ro, "read only now") == 0 && strcmp(advised, "advised") == 0);
	CHECK(strcmp(stack + 3 * PAGE, "stack") == 0 && strcmp(locked, "locked") == 0);
	CHECK(strcmp(priv, "file") == 0 && strcmp(priv + PAGE, "private copy") == 0);
	CHECK(strcmp(shared + 2 * PAGE, "through to the file") == 0 && shared[PAGE] == 0);
	CHECK(strcmp(priv + 2 * PAGE, "through to the file") == 0);
	for (int i = 0; i < 256; i++)
		CHECK(holes[i * PAGE] == (i % 7 ? 0 : (char)i));
	CHECK(sbrk(0) == brk0 + 5 * PAGE && strcmp(brk0 + 4 * PAGE, "heap end") == 0);
	CHECK(sbrk(PAGE) == brk0 + 5 * PAGE);
	stack[-64] = 1; /* still grows */
	unlink(path);
	subject_pass();
}
