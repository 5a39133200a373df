// SPDX-License-Identifier: Apache-2.0
/*
 * test-archive: what the writer writes the reader reads; every changed byte is found; nothing is
 * left of an archive that was not finished.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "archive/reader.h"
#include "archive/verify.h"
#include "archive/writer.h"
#include "base/fd.h"

#define PAGES "checkpoint/pages-1.img"

struct fixture {
	char dir[64];
	char path[128];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/amber-test-archive-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/a.tar", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	unlink(f->path);
	if (rmdir(f->dir) < 0) /* fails when anything was left behind */
		return -1;
	free(f);
	return 0;
}

static char record[512];

static int write_archive_how(const char *path, bool hashed, struct error *err)
{
	_cleanup_(archive_writer_deinit) struct archive_writer w = ARCHIVE_WRITER_INIT;
	unsigned char pages[3 * 4096];
	struct op op = OP_INIT;
	uint64_t offset = 0;
	int r;

	memset(pages, 0x5a, sizeof(pages));
	r = archive_writer_open(&w, path, err);
	w.no_digest = w.no_sync = !hashed;
	if (r == 0)
		r = archive_add_dir(&w, "checkpoint", err);
	if (r == 0)
		r = archive_reserve(&w, PAGES, sizeof(pages), &offset, err);
	if (r == 0)
		r = fd_pwrite_all(w.fd, pages, sizeof(pages), (off_t)offset, err);
	if (r == 0)
		r = archive_hash_start(&w, &op, err); /* the next member is added meanwhile */
	if (r == 0)
		r = archive_add(&w, "config.dump", "{\"id\":\"x\"}", 10, err);
	if (r == 0)
		r = archive_hash_reserved(&w, &op, err);
	if (r < 0)
		return r;
	if (!hashed)
		snprintf(record, sizeof(record),
			 "{\"digests\":false,\"members\":[{\"name\":\"" PAGES "\"}]}");
	else
		snprintf(record, sizeof(record),
			 "{\"members\":[{\"name\":\"" PAGES "\",\"sha256\":\"%s\"},"
			 "{\"name\":\"config.dump\",\"sha256\":\"%s\"}]}",
			 w.members[0].sha256, w.members[1].sha256);
	r = archive_add(&w, "amber.json", record, strlen(record), err);
	return r < 0 ? r : archive_finish(&w, err);
}

static int write_archive(const char *path, struct error *err)
{
	return write_archive_how(path, true, err);
}

static void what_is_written_is_read(void **state)
{
	_cleanup_(archive_verdict_deinit) struct archive_verdict verdict = ARCHIVE_VERDICT_INIT;
	_cleanup_(archive_reader_deinit) struct archive_reader a = ARCHIVE_READER_INIT;
	struct fixture *f = *state;
	const struct tar_member *m;
	struct error err = ERROR_INIT;
	struct op op = OP_INIT;
	struct stat st;

	assert_int_equal(write_archive(f->path, &err), 0);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(archive_reader_open(&a, f->path, &err), 0);
	assert_false(a.damaged);
	m = archive_member_find(&a, PAGES);
	assert_non_null(m);
	assert_int_equal(m->offset % 4096, 0);
	assert_int_equal(m->size, 3 * 4096);
	assert_int_equal(archive_member_data(&a, m).data[4096], 0x5a);
	m = archive_member_find(&a, "config.dump");
	assert_non_null(m);
	assert_memory_equal(archive_member_data(&a, m).data, "{\"id\":\"x\"}", 10);
	assert_int_equal(archive_verify(&op, &a, &verdict, &err), 0);
	assert_true(verdict.digests);
	assert_int_equal(verdict.n_faults, 0);
	assert_int_equal(verdict.n_members, 3);
}

static void evidence_is_never_overwritten(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;

	assert_int_equal(write_archive(f->path, &err), 0);
	assert_int_equal(write_archive(f->path, &err), -EEXIST);
	assert_non_null(strstr(err.hint, "-o"));
}

static void an_unfinished_archive_leaves_nothing(void **state)
{
	_cleanup_(archive_writer_deinit) struct archive_writer w = ARCHIVE_WRITER_INIT;
	struct fixture *f = *state;
	struct error err = ERROR_INIT;

	assert_int_equal(archive_writer_open(&w, f->path, &err), 0);
	assert_int_equal(archive_add(&w, "x", "y", 1, &err), 0);
	archive_writer_deinit(&w);
	assert_int_equal(access(f->path, F_OK), -1);
	/* teardown's rmdir() proves that nothing else is there */
}

/* Is a changed copy of the archive found out? */
static bool found_out(unsigned char *bytes, size_t len)
{
	_cleanup_(archive_verdict_deinit) struct archive_verdict verdict = ARCHIVE_VERDICT_INIT;
	_cleanup_(archive_reader_deinit) struct archive_reader a = ARCHIVE_READER_INIT;
	struct error err = ERROR_INIT;
	struct op op = OP_INIT;

	if (archive_reader_parse(&a, (struct bytes){ bytes, len }, &err) < 0)
		return true;
	assert_int_equal(archive_verify(&op, &a, &verdict, &err), 0);
	return verdict.n_faults > 0 || !verdict.digests;
}

static void every_changed_byte_is_found(void **state)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT;
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	size_t i, step;

	assert_int_equal(write_archive(f->path, &err), 0);
	assert_int_equal(fd_read_file(AT_FDCWD, f->path, 1 << 20, &bytes, &err), 0);
	assert_false(found_out(bytes.data, bytes.len));
	for (i = 0; i < bytes.len; i++) {
		bytes.data[i] ^= (unsigned char)(1U << i % 8);
		if (!found_out(bytes.data, bytes.len))
			fail_msg("a changed bit at offset %zu was not found", i);
		bytes.data[i] ^= (unsigned char)(1U << i % 8);
	}
	for (step = 1; step < bytes.len; step += 37)
		if (!found_out(bytes.data, bytes.len - step))
			fail_msg("%zu missing bytes at the end were not found", step);
}

static void verify_bytes(const struct buf *bytes, struct archive_verdict *ret)
{
	_cleanup_(archive_reader_deinit) struct archive_reader a = ARCHIVE_READER_INIT;
	struct error err = ERROR_INIT;
	struct op op = OP_INIT;

	assert_int_equal(archive_reader_parse(&a, (struct bytes){ bytes->data, bytes->len }, &err),
			 0);
	assert_int_equal(archive_verify(&op, &a, ret, &err), 0);
}

/* Never taken for intact, and what frames its members is looked at all the same. */
static void an_archive_without_digests_says_so(void **state)
{
	_cleanup_(archive_verdict_deinit) struct archive_verdict whole = ARCHIVE_VERDICT_INIT;
	_cleanup_(archive_verdict_deinit) struct archive_verdict changed = ARCHIVE_VERDICT_INIT;
	_cleanup_buf_ struct buf bytes = BUF_INIT;
	struct fixture *f = *state;
	struct error err = ERROR_INIT;

	assert_int_equal(write_archive_how(f->path, false, &err), 0);
	assert_int_equal(fd_read_file(AT_FDCWD, f->path, 1 << 20, &bytes, &err), 0);
	verify_bytes(&bytes, &whole);
	assert_true(whole.unhashed);
	assert_false(whole.digests);
	assert_int_equal(whole.n_faults, 0);
	bytes.data[bytes.len - 1] ^= 1;
	verify_bytes(&bytes, &changed);
	assert_int_equal(changed.n_faults, 1);
}

/* Whoever takes SHA256SUMS away from an archive that has digests is found out. */
static void lost_digests_are_no_missing_digests(void **state)
{
	_cleanup_(archive_verdict_deinit) struct archive_verdict verdict = ARCHIVE_VERDICT_INIT;
	_cleanup_buf_ struct buf bytes = BUF_INIT;
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	unsigned char *sums;

	assert_int_equal(write_archive(f->path, &err), 0);
	assert_int_equal(fd_read_file(AT_FDCWD, f->path, 1 << 20, &bytes, &err), 0);
	sums = memmem(bytes.data, bytes.len, "SHA256SUMS", 10);
	assert_non_null(sums);
	bytes.len = (size_t)(sums - bytes.data);
	assert_int_equal(buf_reserve(&bytes, 1024, &err), 0);
	memset(bytes.data + bytes.len, 0, 1024);
	bytes.len += 1024;
	verify_bytes(&bytes, &verdict);
	assert_false(verdict.unhashed);
	assert_int_equal(verdict.n_faults, 1);
	assert_string_equal(verdict.faults[0].member, "SHA256SUMS");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_written_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(evidence_is_never_overwritten, setup, teardown),
		cmocka_unit_test_setup_teardown(an_unfinished_archive_leaves_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(every_changed_byte_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(an_archive_without_digests_says_so, setup,
						teardown),
		cmocka_unit_test_setup_teardown(lost_digests_are_no_missing_digests, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
