// SPDX-License-Identifier: Apache-2.0
/*
 * test-tree: trees that go through a tar unchanged, and tars that must not get out of their
 * directory.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "object/tree.h"

struct fixture {
	char base[64];
	int a, b; /* directories in it */
	struct buf tar;
	size_t notes;
	char last[512];
};

static int sink_buf(void *ctx, const void *data, size_t len, struct error *err)
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

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int top;

	strcpy(f->base, "/tmp/test-tree-XXXXXX");
	assert_non_null(mkdtemp(f->base));
	top = open(f->base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(top, "a", 0755), 0);
	assert_int_equal(mkdirat(top, "b", 0755), 0);
	f->a = openat(top, "a", O_PATH | O_DIRECTORY | O_CLOEXEC);
	f->b = openat(top, "b", O_PATH | O_DIRECTORY | O_CLOEXEC);
	close(top);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(tree_empty(f->a), 0);
	assert_int_equal(tree_empty(f->b), 0);
	close(f->a);
	close(f->b);
	chdir(f->base);
	rmdir("a");
	rmdir("b");
	assert_int_equal(rmdir(f->base), 0); /* nothing was left beside a and b */
	buf_deinit(&f->tar);
	free(f);
	return 0;
}

static void put(int dir, const char *name, const void *data, size_t len)
{
	_cleanup_close_ int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0640);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
}

static void same_file(struct fixture *f, const char *name, struct stat *ret)
{
	struct stat a, b;

	assert_int_equal(fstatat(f->a, name, &a, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(fstatat(f->b, name, &b, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(a.st_mode, b.st_mode);
	assert_int_equal(a.st_uid, b.st_uid);
	assert_int_equal(a.st_gid, b.st_gid);
	assert_int_equal(a.st_mtim.tv_sec, b.st_mtim.tv_sec);
	assert_int_equal(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec);
	if (!S_ISDIR(a.st_mode))
		assert_int_equal(a.st_size, b.st_size);
	*ret = b;
}

static void round_trip(struct fixture *f, int gzip, const char *prefix)
{
	struct tree_write_options wo = {
		.prefix = prefix, .gzip = gzip, .note = count_note, .ctx = f
	};
	struct tree_extract_options eo = { .devices = true, .note = count_note, .ctx = f };
	struct tree_sink sink = { sink_buf, f };
	struct error err = ERROR_INIT;

	if (tree_write(f->a, &wo, &sink, &err) < 0)
		fail_msg("%s", err.text);
	if (tree_extract_bytes(f->b, &eo, (struct bytes){ f->tar.data, f->tar.len }, &err) < 0)
		fail_msg("%s", err.text);
}

static void test_round_trip(void **state)
{
	struct fixture *f = *state;
	char *big = malloc(3 << 20), path[512], got[16];
	struct stat st, st2;
	int fd;

	memset(big, 'x', 3 << 20);
	assert_int_equal(mkdirat(f->a, "d", 0711), 0);
	put(f->a, "d/file", "hello", 5);
	put(f->a, "d/big", big, 3 << 20);
	put(f->a, "caf\303\251 \377 \n x", "odd", 3);
	put(f->a, "empty", "", 0);
	snprintf(path, sizeof(path), "d/%0240d", 7);
	put(f->a, path, "long", 4);
	assert_int_equal(linkat(f->a, "d/file", f->a, "hard", 0), 0);
	assert_int_equal(symlinkat("../../../../etc/passwd", f->a, "link"), 0);
	assert_int_equal(mknodat(f->a, "fifo", S_IFIFO | 0600, 0), 0);
	if (geteuid() == 0) {
		assert_int_equal(mknodat(f->a, "null", S_IFCHR | 0666, makedev(1, 3)), 0);
		assert_int_equal(fchownat(f->a, "d/file", 70000, 3000000, 0), 0);
		assert_int_equal(fchmodat(f->a, "d/file", 04755, 0), 0);
	}
	snprintf(path, sizeof(path), "%s/a/d/file", f->base);
	setxattr(path, "user.note", "v\0w", 3, 0);
	fd = openat(f->a, "sparse", O_RDWR | O_CREAT, 0600);
	assert_int_equal(pwrite(fd, "tail", 4, (8 << 20) - 4), 4);
	assert_int_equal(pwrite(fd, "mid", 3, 4 << 20), 3);
	assert_int_equal(ftruncate(fd, (16 << 20) + 17), 0);
	close(fd);
	fd = openat(f->a, "hole", O_RDWR | O_CREAT, 0600);
	assert_int_equal(ftruncate(fd, 1 << 30), 0);
	close(fd);
	free(big);

	round_trip(f, -1, "");
	if (f->notes)
		fail_msg("%s", f->last);
	same_file(f, "d", &st);
	same_file(f, "d/file", &st);
	same_file(f, "d/big", &st2);
	same_file(f, "caf\303\251 \377 \n x", &st2);
	same_file(f, "empty", &st2);
	same_file(f, "hard", &st2);
	assert_int_equal(st.st_ino, st2.st_ino);
	same_file(f, "link", &st2);
	same_file(f, "fifo", &st2);
	if (geteuid() == 0) {
		same_file(f, "null", &st2);
		assert_int_equal(st2.st_rdev, makedev(1, 3));
	}
	same_file(f, "sparse", &st2);
	assert_true(st2.st_blocks < 2048);
	same_file(f, "hole", &st2);
	assert_true(st2.st_blocks < 64);
	fd = openat(f->b, "sparse", O_RDONLY);
	assert_int_equal(pread(fd, got, 3, 4 << 20), 3);
	assert_memory_equal(got, "mid", 3);
	assert_int_equal(pread(fd, got, 4, (8 << 20) - 4), 4);
	assert_memory_equal(got, "tail", 4);
	close(fd);
	snprintf(path, sizeof(path), "%s/b/d/file", f->base);
	assert_int_equal(getxattr(path, "user.note", got, sizeof(got)), 3);
}

static void test_gzip_twice(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	put(f->a, "x", "1", 1);
	assert_int_equal(fchmodat(f->a, "x", 0444, 0), 0);
	round_trip(f, 0, "./");
	f->tar.len = 0;
	round_trip(f, 6, "./"); /* over what is there */
	assert_int_equal(f->notes, 0);
	same_file(f, "x", &st);
	same_file(f, ".", &st);
}

static int vanish(void *ctx, const char *path, int dirfd, const char *name, const struct stat *st,
		  enum tree_choice *ret, struct error *err)
{
	if (!strcmp(path, "shrinks"))
		assert_int_equal(unlinkat(dirfd, name, 0), 0);
	*ret = !strcmp(path, "skip") ? TREE_SKIP : !strcmp(path, "only") ? TREE_DESCEND : TREE_TAKE;
	return 0;
}

static void test_choose(void **state)
{
	struct fixture *f = *state;
	struct tree_write_options wo = {
		.prefix = "", .gzip = -1, .choose = vanish, .note = count_note, .ctx = f
	};
	struct tree_extract_options eo = { .note = count_note, .ctx = f };
	struct tree_sink sink = { sink_buf, f };
	struct stat st;

	put(f->a, "shrinks", "1", 1);
	mkdirat(f->a, "skip", 0700);
	put(f->a, "skip/x", "1", 1);
	mkdirat(f->a, "only", 0700);
	put(f->a, "only/x", "1", 1);
	assert_int_equal(tree_write(f->a, &wo, &sink, NULL), 0);
	assert_int_equal(f->notes, 1);
	assert_int_equal(
		tree_extract_bytes(f->b, &eo, (struct bytes){ f->tar.data, f->tar.len }, NULL), 0);
	assert_int_equal(fstatat(f->b, "skip", &st, 0), -1);
	same_file(f, "only/x", &st);
}

/* A hostile tar, entry by entry. */
static void hostile(struct fixture *f, const char *name, mode_t type, const char *target, bool hard)
{
	struct archive *a = archive_write_new();
	struct archive_entry *e = archive_entry_new();
	char *mem = malloc(1 << 16);
	struct tree_extract_options eo = { .note = count_note, .ctx = f, .whiteouts = true };
	struct error err = ERROR_INIT;
	size_t used = 0;

	archive_write_set_format_gnutar(a);
	archive_write_open_memory(a, mem, 1 << 16, &used);
	archive_entry_set_pathname(e, name);
	archive_entry_set_mode(e, type | 0755);
	if (hard)
		archive_entry_set_hardlink(e, target);
	else if (target)
		archive_entry_set_symlink(e, target);
	archive_entry_set_size(e, type == S_IFREG && !hard ? 4 : 0);
	assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
	if (type == S_IFREG && !hard)
		archive_write_data(a, "evil", 4);
	archive_entry_free(e);
	archive_write_free(a);
	if (tree_extract_bytes(f->b, &eo, (struct bytes){ (void *)mem, used }, &err) < 0)
		fail_msg("%s: %s", name, err.text);
	free(mem);
}

static void test_hostile(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	size_t n = 0;

	hostile(f, "up", S_IFLNK, "../a", false);
	hostile(f, "root", S_IFLNK, "/tmp", false);
	assert_int_equal(f->notes, n);
	hostile(f, "up/x", S_IFREG, NULL, false);
	assert_int_equal(f->notes, ++n);
	hostile(f, "root/amber-evil", S_IFDIR, NULL, false);
	assert_int_equal(f->notes, ++n);
	hostile(f, "../a/x", S_IFREG, NULL, false);
	assert_int_equal(f->notes, ++n);
	hostile(f, "d/../../a/x", S_IFREG, NULL, false);
	assert_int_equal(f->notes, ++n);
	hostile(f, "/tmp/amber-evil", S_IFREG, NULL, false);
	assert_int_equal(f->notes, ++n);
	hostile(f, "pw", S_IFREG, "../../etc/passwd", true);
	assert_int_equal(f->notes, ++n);
	hostile(f, "pw", S_IFREG, "root/passwd", true);
	assert_int_equal(f->notes, ++n);
	hostile(f, "dev", S_IFCHR, NULL, false);
	assert_int_equal(f->notes, ++n);
	hostile(f, ".", S_IFREG, NULL, false);
	assert_int_equal(f->notes, ++n);
	hostile(f, ".wh...", S_IFREG, NULL, false);
	assert_int_equal(f->notes, ++n);
	hostile(f, "up", S_IFREG, NULL, false); /* replaces the link itself */
	assert_int_equal(f->notes, n);
	assert_int_equal(fstatat(f->b, "up", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(fstatat(f->a, "x", &st, 0), -1);
	hostile(f, "dir/sub", S_IFREG, NULL, false);
	hostile(f, "dir", S_IFREG, NULL, false); /* a file where a full directory was */
	assert_int_equal(f->notes, n);
	hostile(f, ".wh.dir", S_IFREG, NULL, false);
	assert_int_equal(fstatat(f->b, "dir", &st, 0), -1);
	assert_int_equal(access("/tmp/amber-evil", F_OK), -1);
}

static void test_damaged(void **state)
{
	struct fixture *f = *state;
	struct tree_extract_options eo = { .note = count_note, .ctx = f };
	struct error err = ERROR_INIT;
	char data[5000];
	size_t cut;
	int r;

	memset(data, 'y', sizeof(data));
	put(f->a, "one", data, sizeof(data));
	put(f->a, "two", data, sizeof(data));
	round_trip(f, -1, "");
	for (cut = 1; cut < f->tar.len; cut += 97) {
		r = tree_extract_bytes(f->b, &eo, (struct bytes){ f->tar.data, cut }, &err);
		assert_true(r == 0 || r == -EBADMSG);
	}
	eo.max_bytes = 6000;
	assert_int_equal(
		tree_extract_bytes(f->b, &eo, (struct bytes){ f->tar.data, f->tar.len }, &err),
		-EFBIG);
	eo.max_bytes = 0;
	eo.max_entries = 1;
	assert_int_equal(
		tree_extract_bytes(f->b, &eo, (struct bytes){ f->tar.data, f->tar.len }, &err),
		-E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gzip_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_choose, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
