// SPDX-License-Identifier: Apache-2.0
/*
 * test-rootfs: a real overlay is changed, its difference is taken and put into a second overlay of
 * the same base: both must then look the same.
 *
 * Needs root (exit 77 without). The mounts live in a namespace of the test's own.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "rootfs/rootfs.h"

struct fixture {
	char base[64];
	struct op op;
	struct buf tar;
	struct gap_list gaps;
	size_t notes;
	char last[512];
};

static int sink(void *ctx, const void *data, size_t len, struct error *err)
{
	return buf_append(ctx, data, len, err);
}

static void note(void *ctx, const char *path, const char *text)
{
	struct fixture *f = ctx;

	f->notes++;
	snprintf(f->last, sizeof(f->last), "%s: %s", path, text);
}

static ssize_t source(void *ctx, const void **ret, struct error *err)
{
	struct bytes *left = ctx;
	size_t n = MIN(left->len, (size_t)7777); /* in odd pieces */

	*ret = left->data;
	left->data += n;
	left->len -= n;
	return (ssize_t)n;
}

static void put(const char *path, const char *text)
{
	assert_int_equal(
		fd_write_file(AT_FDCWD, path, O_CREAT | O_TRUNC, 0644, text, strlen(text), NULL),
		0);
}

static void overlay(const char *upper, const char *work, const char *merged)
{
	char options[256];

	assert_int_equal(mkdir(upper, 0755), 0);
	assert_int_equal(mkdir(work, 0755), 0);
	assert_int_equal(mkdir(merged, 0755), 0);
	snprintf(options, sizeof(options), "lowerdir=low\\:er:lower2,upperdir=%s,workdir=%s", upper,
		 work);
	assert_int_equal(mount("overlay", merged, "overlay", 0, options), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	umask(022);
	f->op = OP_INIT;
	strcpy(f->base, "/tmp/test-rootfs-XXXXXX");
	assert_non_null(mkdtemp(f->base));
	assert_int_equal(chmod(f->base, 0755), 0);
	/* a file system of its own: the upper of an overlay cannot be on an overlay */
	assert_int_equal(mount("tmpfs", f->base, "tmpfs", 0, "mode=755"), 0);
	assert_int_equal(chdir(f->base), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	chdir("/");
	umount2(f->base, MNT_DETACH);
	rmdir(f->base);
	buf_deinit(&f->tar);
	gap_list_deinit(&f->gaps);
	free(f);
	return 0;
}

static void lowers(void)
{
	static const char *const dirs[] = { "low:er",	   "low:er/etc",     "low:er/gone",
					    "low:er/anew", "low:er/kind",    "lower2",
					    "lower2/anew", "lower2/anew/sub" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(dirs); i++)
		assert_int_equal(mkdir(dirs[i], 0755), 0);
	put("low:er/etc/passwd", "root");
	put("low:er/etc/shadow", "secret");
	put("low:er/etc/stays", "stays");
	put("low:er/gone/x", "x");
	put("low:er/anew/old", "old");
	put("low:er/kind/file", "x");
	put("lower2/anew/older", "older");
	put("lower2/anew/sub/a", "a");
	put("lower2/anew/sub/b", "b");
	put("lower2/deep", "deep");
}

static void change(const char *root)
{
	char name[300];

	assert_int_equal(chdir(root), 0);
	put("etc/passwd", "root and more");
	put("etc/new", "new");
	assert_int_equal(unlink("etc/shadow"), 0);
	assert_int_equal(unlink("gone/x"), 0);
	assert_int_equal(rmdir("gone"), 0);
	assert_int_equal(unlink("deep"), 0);
	assert_int_equal(unlink("anew/old"), 0);
	assert_int_equal(unlink("anew/older"), 0);
	assert_int_equal(unlink("anew/sub/a"), 0);
	assert_int_equal(unlink("anew/sub/b"), 0);
	assert_int_equal(rmdir("anew/sub"), 0);
	assert_int_equal(rmdir("anew"), 0);
	assert_int_equal(mkdir("anew", 0700), 0);
	assert_int_equal(mkdir("anew/sub", 0755), 0);
	put("anew/sub/a", "a again");
	put("anew/fresh", "fresh");
	assert_int_equal(unlink("kind/file"), 0);
	assert_int_equal(rmdir("kind"), 0);
	put("kind", "a file where a directory was");
	assert_int_equal(symlink("/etc/passwd", "link"), 0);
	assert_int_equal(link("etc/new", "etc/newer"), 0);
	assert_int_equal(mknod("fifo", S_IFIFO | 0600, 0), 0);
	snprintf(name, sizeof(name), "etc/%0200d\303\251", 1);
	put(name, "long");
	assert_int_equal(chown("etc/new", 12, 34), 0);
	assert_int_equal(chmod("etc/new", 04755), 0);
	assert_int_equal(chdir(".."), 0);
}

/* The tree as text: all that must be the same. */
static void describe(int dirfd, const char *path, struct buf *out)
{
	struct dirent **names;
	int n = scandirat(dirfd, path, &names, NULL, alphasort), i;

	for (i = 0; i < n; i++) {
		_cleanup_buf_ struct buf text = BUF_INIT;
		char full[1024], target[256] = "";
		struct stat st;

		if (names[i]->d_name[0] != '.') {
			snprintf(full, sizeof(full), "%s/%s", path, names[i]->d_name);
			assert_int_equal(fstatat(dirfd, full, &st, AT_SYMLINK_NOFOLLOW), 0);
			if (S_ISREG(st.st_mode))
				assert_int_equal(fd_read_file(dirfd, full, 1 << 20, &text, NULL),
						 0);
			if (S_ISLNK(st.st_mode))
				assert_true(readlinkat(dirfd, full, target, sizeof(target) - 1) >
					    0);
			assert_int_equal(buf_printf(out, NULL, "%s %o %u:%u %lu %s%s\n", full,
						    st.st_mode, st.st_uid, st.st_gid,
						    S_ISDIR(st.st_mode) ? 0 : st.st_nlink,
						    text.data ? (char *)text.data : "", target),
					 0);
			if (S_ISDIR(st.st_mode))
				describe(dirfd, full, out);
		}
		free(names[i]);
	}
	free(names);
}

/* A process whose root is a directory; its pid. Ends when *ret_done is closed. */
static pid_t rooted(const char *root, int *ret_done)
{
	int ready[2], done[2];
	char c = 0;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(done), 0);
	pid = fork();
	if (!pid) {
		close(done[1]);
		if (unshare(CLONE_NEWNS) < 0 ||
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount(root, root, NULL, MS_BIND, NULL) < 0 || chroot(root) < 0 ||
		    chdir("/") < 0)
			_exit(1);
		(void)!write(ready[1], &c, 1);
		(void)!read(done[0], &c, 1);
		_exit(0);
	}
	close(ready[1]);
	close(done[0]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	*ret_done = done[1];
	return pid;
}

static void diff_of(struct fixture *f, pid_t pid, enum rootfs_kind kind,
		    struct rootfs_removed *removed)
{
	struct tree_sink to = { sink, &f->tar };
	struct error err = ERROR_INIT;
	struct rootfs *rootfs = NULL;

	if (rootfs_find(&f->op, pid, &rootfs, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(rootfs->kind, kind);
	if (kind == ROOTFS_OVERLAY) {
		assert_int_equal(rootfs->n_lowers, 2);
		assert_non_null(rootfs->upper);
	}
	if (rootfs_diff_write(&f->op, rootfs, &to, removed, &f->gaps, &err) < 0)
		fail_msg("%s", err.text);
	rootfs_free(rootfs);
}

static void apply_to(struct fixture *f, const char *root, const struct rootfs_removed *removed)
{
	_cleanup_close_ int dir = open(root, O_PATH | O_DIRECTORY);
	struct bytes left = { f->tar.data, f->tar.len };
	struct tree_source from = { source, &left };
	struct error err = ERROR_INIT;

	if (rootfs_apply(&f->op, dir, &from, removed, note, f, &err) < 0)
		fail_msg("%s", err.text);
	if (f->notes)
		fail_msg("%s", f->last);
}

static void same_trees(const char *a, const char *b)
{
	_cleanup_close_ int one = open(a, O_PATH | O_DIRECTORY),
			    two = open(b, O_PATH | O_DIRECTORY);
	_cleanup_buf_ struct buf left = BUF_INIT, right = BUF_INIT;

	describe(one, ".", &left);
	describe(two, ".", &right);
	assert_string_equal(left.data, right.data);
}

static void test_overlay(void **state)
{
	struct rootfs_removed removed = ROOTFS_REMOVED_INIT, parsed = ROOTFS_REMOVED_INIT;
	_cleanup_buf_ struct buf json = BUF_INIT;
	struct fixture *f = *state;
	int done, stat;
	pid_t pid;

	lowers();
	overlay("upper", "work", "merged");
	change("merged");
	pid = rooted("merged", &done);
	diff_of(f, pid, ROOTFS_OVERLAY, &removed);
	assert_int_equal(f->gaps.n, 0);
	assert_int_equal(rootfs_removed_json(&removed, &json, NULL), 0);
	assert_non_null(strstr((char *)json.data, "\"/etc/shadow\""));
	assert_non_null(strstr((char *)json.data, "\"/anew/old\""));
	assert_non_null(strstr((char *)json.data, "\"/anew/sub/b\""));
	assert_null(strstr((char *)json.data, "\"/anew/sub/a\""));
	assert_non_null(strstr((char *)json.data, "\"/deep\""));
	assert_int_equal(rootfs_removed_parse((struct bytes){ json.data, json.len }, &parsed, NULL),
			 0);
	assert_int_equal(parsed.n_deleted, removed.n_deleted);
	overlay("upper2", "work2", "merged2");
	apply_to(f, "merged2", &parsed);
	same_trees("merged", "merged2");
	close(done);
	waitpid(pid, &stat, 0);
	assert_int_equal(stat, 0);
	rootfs_removed_deinit(&removed);
	rootfs_removed_deinit(&parsed);
}

/* An overlay that was mounted from inside of the engine's store. */
static void test_relative(void **state)
{
	struct rootfs_removed removed = ROOTFS_REMOVED_INIT;
	struct fixture *f = *state;
	struct rootfs *rootfs = NULL;
	struct error err = ERROR_INIT;
	char path[128];
	int done, stat;
	pid_t pid;

	mkdir("store", 0755);
	mkdir("store/1", 0755);
	mkdir("store/1/diff", 0755);
	mkdir("store/2", 0755);
	mkdir("store/2/diff", 0755);
	mkdir("store/2/work", 0755);
	mkdir("store/2/merged", 0755);
	put("store/1/diff/gone", "x");
	assert_int_equal(chdir("store"), 0);
	assert_int_equal(mount("overlay", "2/merged", "overlay", 0,
			       "lowerdir=1/diff,upperdir=2/diff,workdir=2/work"),
			 0);
	put("2/merged/new", "new");
	assert_int_equal(unlink("2/merged/gone"), 0);
	assert_int_equal(chdir(".."), 0);
	pid = rooted("store/2/merged", &done);
	if (rootfs_find(&f->op, pid, &rootfs, &err) < 0)
		fail_msg("%s", err.text);
	snprintf(path, sizeof(path), "%s/store/2/diff", f->base);
	assert_string_equal(rootfs->upper, path);
	snprintf(path, sizeof(path), "%s/store/1/diff", f->base);
	assert_string_equal(rootfs->lowers[0], path);
	rootfs_free(rootfs);
	close(done);
	waitpid(pid, &stat, 0);
	rootfs_removed_deinit(&removed);
}

static void test_plain(void **state)
{
	struct rootfs_removed removed = ROOTFS_REMOVED_INIT;
	struct fixture *f = *state;
	struct stat st;
	int done, stat;
	pid_t pid;

	mkdir("root", 0755);
	mkdir("root/dir", 0755);
	put("root/old", "old");
	put("root/dir/touched", "before");
	mkdir("copy", 0755);
	mkdir("copy/dir", 0755);
	usleep(100000);
	pid = rooted("root", &done);
	usleep(20000);
	put("root/dir/touched", "after");
	put("root/new", "new");
	diff_of(f, pid, ROOTFS_PLAIN, &removed);
	apply_to(f, "copy", NULL);
	assert_int_equal(stat = lstat("copy/old", &st), -1);
	assert_int_equal(lstat("copy/new", &st), 0);
	assert_int_equal(lstat("copy/dir/touched", &st), 0);
	assert_int_equal(st.st_size, 5);
	close(done);
	waitpid(pid, &stat, 0);
	rootfs_removed_deinit(&removed);
}

static void test_host(void **state)
{
	struct rootfs_removed removed = ROOTFS_REMOVED_INIT;
	struct fixture *f = *state;

	diff_of(f, getpid(), ROOTFS_HOST, &removed);
	assert_int_equal(f->tar.len, 1024);
	mkdir("copy", 0755);
	apply_to(f, "copy", NULL);
}

/* containerd's way to say that something is gone. */
static void test_whiteouts(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int dir = -1;
	struct tree_sink to = { sink, &f->tar };
	struct tree_write_options opt = { .prefix = "", .gzip = 6 };
	struct stat st;

	mkdir("layer", 0755);
	mkdir("layer/dir", 0755);
	put("layer/dir/.wh..wh..opq", "");
	put("layer/.wh.file", "");
	mkdir("copy", 0755);
	mkdir("copy/dir", 0755);
	put("copy/dir/hidden", "x");
	put("copy/file", "x");
	put("copy/stays", "x");
	dir = open("layer", O_PATH | O_DIRECTORY);
	assert_int_equal(tree_write(dir, &opt, &to, NULL), 0);
	apply_to(f, "copy", NULL);
	assert_int_equal(lstat("copy/dir/hidden", &st), -1);
	assert_int_equal(lstat("copy/file", &st), -1);
	assert_int_equal(lstat("copy/stays", &st), 0);
	assert_int_equal(lstat("copy/dir/.wh..wh..opq", &st), -1);
}

static void test_removed_hostile(void **state)
{
	static const char text[] =
		"[\"/../etc\", \"..\", \"/\", \"\", \"/ok\", 7, null, \"a//b\", \"./fine\"]";
	struct rootfs_removed removed = ROOTFS_REMOVED_INIT;
	struct fixture *f = *state;

	assert_int_equal(rootfs_removed_parse((struct bytes){ (const void *)text, strlen(text) },
					      &removed, NULL),
			 0);
	assert_int_equal(removed.n_deleted, 2);
	assert_string_equal(removed.deleted[0], "ok");
	assert_string_equal(removed.deleted[1], "fine");
	rootfs_removed_deinit(&removed);
	assert_int_equal(
		rootfs_removed_parse((struct bytes){ (const void *)"{}", 2 }, &removed, NULL),
		-EBADMSG);
	assert_int_equal(
		rootfs_removed_parse((struct bytes){ (const void *)"[[[", 3 }, &removed, NULL),
		-EBADMSG);
	assert_int_equal(f->notes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_overlay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_relative, setup, teardown),
		cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whiteouts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed_hostile, setup, teardown),
	};

	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
