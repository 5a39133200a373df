// SPDX-License-Identifier: Apache-2.0
/*
 * test-rounds: a tree that changes while it is copied in rounds: the tar must hold what the tree
 * was in the last round, whether the kernel told of the changes or they were looked for.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "object/tree-rounds.h"
#include "object/tree-watch.h"

#define LARGE_SIZE ((size_t)20 << 20)

struct fixture {
	char base[64];
	int a, b; /* what is copied, and what comes out */
	bool watch;
	struct buf tar;
	struct tree_rounds *rounds;
	size_t notes;
	char last[512];
};

static int to_buf(void *ctx, const void *data, size_t len, struct error *err)
{
	struct fixture *f = ctx;

	return buf_append(&f->tar, data, len, err);
}

static void count_note(void *ctx, const char *path, const char *text)
{
	struct fixture *f = ctx;

	f->notes++;
	snprintf(f->last, sizeof(f->last), "%s: %s", path, text);
}

static int make_fixture(void **state, bool watch)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct tree_rounds_options opt = { .prefix = "", .watch = watch, .spill_dir = -1 };
	int top;

	f->watch = watch;
	strcpy(f->base, "/tmp/test-rounds-XXXXXX");
	assert_non_null(mkdtemp(f->base));
	top = open(f->base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(top, "a", 0755), 0);
	assert_int_equal(mkdirat(top, "b", 0755), 0);
	f->a = openat(top, "a", O_PATH | O_DIRECTORY | O_CLOEXEC);
	f->b = openat(top, "b", O_PATH | O_DIRECTORY | O_CLOEXEC);
	close(top);
	opt.dirfd = f->a;
	assert_int_equal(tree_rounds_new(&opt, &f->rounds, NULL), 0);
	*state = f;
	return 0;
}

static int setup_watched(void **state)
{
	return make_fixture(state, true);
}

static int setup_walked(void **state)
{
	return make_fixture(state, false);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	tree_rounds_free(f->rounds);
	assert_int_equal(tree_empty(f->a), 0);
	assert_int_equal(tree_empty(f->b), 0);
	close(f->a);
	close(f->b);
	assert_int_equal(chdir(f->base), 0);
	rmdir("a");
	rmdir("b");
	assert_int_equal(rmdir(f->base), 0);
	buf_deinit(&f->tar);
	free(f);
	return 0;
}

static void put(int dir, const char *name, const char *text)
{
	_cleanup_close_ int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* The content of a file that came out; NULL: there is none. In a static buffer: for asserts. */
static const char *got(struct fixture *f, const char *name)
{
	static char text[256];
	_cleanup_close_ int fd = openat(f->b, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return NULL;
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static void assert_file(struct fixture *f, const char *name, const char *text)
{
	const char *was = got(f, name);

	if (!was || strcmp(was, text) != 0)
		fail_msg("%s is \"%s\", not \"%s\"", name, was ?: "(not there)", text);
}

static void copy(struct fixture *f)
{
	assert_int_equal(tree_rounds_copy(f->rounds, NULL), 0);
}

/* File times lag behind the clock: what a walk must tell apart lies further apart than that. */
static void settle(const struct fixture *f)
{
	if (!f->watch)
		usleep(60000);
}

static void last(struct fixture *f, const struct tree_written *written, size_t n)
{
	assert_int_equal(tree_rounds_last(f->rounds, written, n, NULL), 0);
}

static void finish(struct fixture *f)
{
	struct tree_extract_options eo = { .devices = true, .note = count_note, .ctx = f };
	struct tree_sink sink = { to_buf, f };
	struct error err = ERROR_INIT;

	if (tree_rounds_write(f->rounds, &sink, &err) < 0)
		fail_msg("%s", err.text);
	tree_rounds_notes(f->rounds, count_note, f);
	if (tree_extract_bytes(f->b, &eo, (struct bytes){ f->tar.data, f->tar.len }, &err) < 0)
		fail_msg("%s", err.text);
}

static void test_changes(void **state)
{
	struct fixture *f = *state;

	put(f->a, "stays", "same");
	put(f->a, "changes", "old");
	put(f->a, "goes", "old");
	put(f->a, "goes and comes", "old");
	assert_int_equal(mkdirat(f->a, "dir", 0755), 0);
	put(f->a, "dir/stays", "same");
	settle(f);
	copy(f);
	settle(f);
	put(f->a, "changes", "between");
	put(f->a, "dir/new", "between");
	copy(f);
	put(f->a, "changes", "new");
	assert_int_equal(unlinkat(f->a, "goes", 0), 0);
	assert_int_equal(unlinkat(f->a, "goes and comes", 0), 0);
	put(f->a, "goes and comes", "new");
	assert_int_equal(mkdirat(f->a, "dir/deep", 0755), 0);
	put(f->a, "dir/deep/new", "new");
	assert_int_equal(symlinkat("stays", f->a, "link"), 0);
	last(f, NULL, 0);
	put(f->a, "changes", "too late");
	put(f->a, "too late", "");
	finish(f);
	assert_file(f, "stays", "same");
	assert_file(f, "changes", "new");
	assert_null(got(f, "goes"));
	assert_file(f, "goes and comes", "new");
	assert_file(f, "dir/stays", "same");
	assert_file(f, "dir/new", "between");
	assert_file(f, "dir/deep/new", "new");
	assert_null(got(f, "too late"));
	assert_int_equal(f->notes, 0);
}

/* What is below a renamed directory keeps its times. */
static void test_renames(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdirat(f->a, "from", 0755), 0);
	assert_int_equal(mkdirat(f->a, "from/deep", 0755), 0);
	put(f->a, "from/deep/file", "moved");
	assert_int_equal(mkdirat(f->a, "over", 0755), 0);
	put(f->a, "over/file", "of the old one");
	assert_int_equal(mkdirat(f->a, "other", 0755), 0);
	put(f->a, "other/file", "of the other");
	put(f->a, "from-side", "beside");
	settle(f);
	copy(f);
	settle(f);
	assert_int_equal(renameat(f->a, "from", f->a, "to"), 0);
	assert_int_equal(unlinkat(f->a, "over/file", 0), 0);
	assert_int_equal(renameat(f->a, "other", f->a, "over"), 0);
	last(f, NULL, 0);
	finish(f);
	assert_null(got(f, "from/deep/file"));
	assert_null(got(f, "other/file"));
	assert_file(f, "to/deep/file", "moved");
	assert_file(f, "over/file", "of the other");
	assert_file(f, "from-side", "beside");
}

static void test_hard_links(void **state)
{
	struct fixture *f = *state;
	struct stat one, two;

	put(f->a, "one", "old");
	assert_int_equal(linkat(f->a, "one", f->a, "two", 0), 0);
	put(f->a, "three", "old");
	put(f->a, "five", "kept");
	assert_int_equal(linkat(f->a, "five", f->a, "six", 0), 0);
	settle(f);
	copy(f);
	settle(f);
	put(f->a, "two", "new");
	assert_int_equal(linkat(f->a, "three", f->a, "four", 0), 0);
	put(f->a, "four", "new");
	assert_int_equal(unlinkat(f->a, "five", 0), 0);
	last(f, NULL, 0);
	finish(f);
	assert_file(f, "one", "new");
	assert_file(f, "two", "new");
	assert_file(f, "three", "new");
	assert_file(f, "four", "new");
	assert_file(f, "six", "kept");
	assert_null(got(f, "five"));
	assert_int_equal(fstatat(f->b, "one", &one, 0), 0);
	assert_int_equal(fstatat(f->b, "two", &two, 0), 0);
	assert_int_equal(one.st_ino, two.st_ino);
}

/* A file that is written through a mapping: no event, and its times do not change again. */
static void test_mapped(void **state)
{
	struct fixture *f = *state;
	struct tree_written written[] = { { "mapped", true }, { "gone", true }, { "open", false } };
	_cleanup_close_ int fd = -1;
	char *map;

	put(f->a, "mapped", "old");
	put(f->a, "open", "same");
	fd = openat(f->a, "mapped", O_RDWR | O_CLOEXEC);
	map = mmap(NULL, 3, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	memcpy(map, "mid", 3);
	settle(f);
	copy(f);
	settle(f);
	memcpy(map, "new", 3);
	last(f, written, 3);
	munmap(map, 3);
	finish(f);
	assert_file(f, "mapped", "new");
	assert_file(f, "open", "same");
}

static int large_file(struct fixture *f, const char *name, unsigned char byte)
{
	int fd = openat(f->a, name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	unsigned char *block = malloc(LARGE_SIZE);

	assert_true(fd >= 0);
	assert_non_null(block);
	memset(block, byte, LARGE_SIZE);
	assert_int_equal(write(fd, block, LARGE_SIZE), LARGE_SIZE);
	free(block);
	return fd;
}

static void assert_large(struct fixture *f, const char *name, off_t off, const char *text)
{
	_cleanup_close_ int fd = openat(f->b, name, O_RDONLY | O_CLOEXEC);
	char was[64] = "";

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, was, strlen(text), off), strlen(text));
	assert_string_equal(was, text);
}

/* Of a log only the end is copied in the stop; what is before it is compared afterwards. */
static void test_large_grows(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int log = large_file(f, "log", 'l');
	_cleanup_close_ int liar = large_file(f, "liar", 'l');
	struct stat st;

	settle(f);
	copy(f);
	settle(f);
	assert_int_equal(write(log, "one", 3), 3);
	assert_int_equal(write(liar, "one", 3), 3);
	copy(f);
	settle(f);
	assert_int_equal(write(log, "two", 3), 3);
	assert_int_equal(pwrite(liar, "x", 1, 5), 1);
	last(f, NULL, 0);
	assert_true(f->rounds->stop.len < LARGE_SIZE);
	assert_int_equal(write(log, "too late", 8), 8);
	finish(f);
	assert_int_equal(fstatat(f->b, "log", &st, 0), 0);
	assert_int_equal(st.st_size, LARGE_SIZE + 6);
	assert_large(f, "log", LARGE_SIZE - 2, "llonetwo");
	assert_int_equal(f->notes, 1);
	assert_non_null(strstr(f->last, "liar: changed while it was copied"));
}

/* A file that is written anywhere is copied in the stop, as long as the budget lasts. */
static void test_large_rewritten(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int fits = large_file(f, "fits", 'f');
	_cleanup_close_ int not = large_file(f, "not", 'n');

	settle(f);
	copy(f);
	settle(f);
	copy(f); /* that the files were made was told, too */
	settle(f);
	f->rounds->budget = LARGE_SIZE + (LARGE_SIZE >> 1);
	assert_int_equal(pwrite(fits, "new", 3, 4096), 3);
	last(f, NULL, 0);
	assert_int_equal(pwrite(fits, "too late", 8, 4096), 8);
	finish(f);
	assert_large(f, "fits", 4095, "fnewf");
	assert_int_equal(f->notes, 0);
	(void)not ;
}

static void test_large_beyond_budget(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int fd = large_file(f, "db", 'd');

	settle(f);
	copy(f);
	settle(f);
	f->rounds->budget = LARGE_SIZE >> 1;
	assert_int_equal(pwrite(fd, "new", 3, 4096), 3);
	last(f, NULL, 0);
	assert_true(f->rounds->stop.len < LARGE_SIZE);
	assert_int_equal(unlinkat(f->a, "db", 0), 0); /* it is held open */
	finish(f);
	assert_large(f, "db", 4095, "dnewd");
	assert_int_equal(f->notes, 1);
	assert_non_null(strstr(f->last, "db: was written to, and is too large"));
}

/* The kernel's queue is bounded. */
static void test_overflow(void **state)
{
	struct fixture *f = *state;
	char name[32];
	int i;

	put(f->a, "file", "old");
	settle(f);
	copy(f);
	settle(f);
	for (i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(mknodat(f->a, name, S_IFREG | 0600, 0), 0);
		assert_int_equal(unlinkat(f->a, name, 0), 0);
	}
	put(f->a, "file", "new");
	put(f->a, "other", "new");
	last(f, NULL, 0);
	assert_true(f->rounds->walking);
	finish(f);
	assert_file(f, "file", "new");
	assert_file(f, "other", "new");
}

static void test_paths(void **state)
{
	assert_true(tree_path_compare("a/b", "a-b") < 0);
	assert_true(tree_path_compare("a", "a/b") < 0);
	assert_true(tree_path_compare("a-b", "a") > 0);
	assert_int_equal(tree_path_compare("a/b", "a/b"), 0);
	assert_true(tree_path_below("a/b", "a"));
	assert_false(tree_path_below("ab", "a"));
	assert_false(tree_path_below("a", "a"));
	assert_true(tree_path_below("a", ""));
	assert_false(tree_path_below("", ""));
}

#define BOTH(test)                                                                                 \
	{ #test "_watched", test, setup_watched, teardown, NULL },                                 \
	{                                                                                          \
#test "_walked", test, setup_walked, teardown, NULL                                \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_changes),
		BOTH(test_renames),
		BOTH(test_hard_links),
		BOTH(test_mapped),
		BOTH(test_large_grows),
		BOTH(test_large_rewritten),
		BOTH(test_large_beyond_budget),
		BOTH(test_overflow),
		cmocka_unit_test(test_paths),
	};
	struct tree_watch *watch = NULL;
	int dir = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC), r;

	r = tree_watch_new(dir, &watch);
	close(dir);
	tree_watch_free(watch);
	if (r < 0)
		return 77; /* not root, or a kernel or file system that does not tell */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
