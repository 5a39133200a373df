// SPDX-License-Identifier: Apache-2.0
/*
 * reader: see reader.h.
 */
#include "archive/reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fd.h"

#define INFLATE_BLOCK (1U << 20)

static const char *plain_name(const char *name)
{
	while (name[0] == '.' && name[1] == '/')
		name += 2;
	return name;
}

int archive_reader_parse(struct archive_reader *a, struct bytes data, struct error *err)
{
	struct tar_member *grown, m;
	uint64_t pos = 0;
	int r;

	a->data = data;
	a->arena.limit = 1UL << 30;
	for (;;) {
		r = tar_next(data, &a->arena, &pos, &m, &a->problem);
		if (r > 0)
			return 0;
		if (r == -ENOMEM)
			return error_nomem(err);
		if (r < 0 && a->n_members == 0) {
			*err = a->problem;
			return error_hint(err, r, "is this a checkpoint archive (a tar file)?");
		}
		if (r < 0 || a->n_members >= ARCHIVE_MEMBERS_MAX) {
			a->damaged = true;
			return 0;
		}
		grown = arena_grow(&a->arena, a->members, a->n_members, sizeof(m));
		if (!grown)
			return error_nomem(err);
		a->members = grown;
		m.name = plain_name(m.name);
		a->members[a->n_members++] = m;
	}
}

static bool is_compressed(int fd)
{
	static const struct {
		unsigned char bytes[6];
		size_t len;
	} magics[] = {
		{ { 0x1f, 0x8b }, 2 },
		{ { 0x28, 0xb5, 0x2f, 0xfd }, 4 },
		{ { 0xfd, '7', 'z', 'X', 'Z', 0 }, 6 },
		{ { 'B', 'Z', 'h' }, 3 },
	};
	unsigned char head[6] = { 0 };
	size_t i;

	if (pread(fd, head, sizeof(head), 0) != sizeof(head))
		return false;
	for (i = 0; i < ARRAY_SIZE(magics); i++)
		if (memcmp(head, magics[i].bytes, magics[i].len) == 0)
			return true;
	return false;
}

static int inflate_stream(struct archive *in, int out, struct error *err)
{
	_cleanup_free_ char *block = malloc(INFLATE_BLOCK);
	uint64_t total = 0;
	la_ssize_t n;
	int r;

	if (!block)
		return error_nomem(err);
	for (;;) {
		n = archive_read_data(in, block, INFLATE_BLOCK);
		if (n < 0)
			return error_set(err, ERROR_INPUT, EINVAL, "cannot decompress: %s",
					 archive_error_string(in));
		if (n == 0)
			return 0;
		total += (uint64_t)n;
		if (total > ARCHIVE_INFLATED_MAX)
			return error_set(err, ERROR_INPUT, EFBIG,
					 "inflates to more than %llu bytes", ARCHIVE_INFLATED_MAX);
		r = fd_write_all(out, block, (size_t)n, err);
		if (r < 0)
			return r;
	}
}

/* An unnamed file with the inflated bytes of fd. */
static int inflate(int fd, int *ret_fd, struct error *err)
{
	_cleanup_close_ int out = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct archive_entry *entry;
	struct archive *in;
	int r;

	if (out < 0)
		return error_errno(err, errno, "cannot make a temporary file in /var/tmp");
	in = archive_read_new();
	if (!in)
		return error_nomem(err);
	archive_read_support_filter_all(in);
	archive_read_support_format_raw(in);
	if (archive_read_open_fd(in, fd, INFLATE_BLOCK) != ARCHIVE_OK ||
	    archive_read_next_header(in, &entry) != ARCHIVE_OK)
		r = error_set(err, ERROR_INPUT, EINVAL, "cannot decompress: %s",
			      archive_error_string(in));
	else
		r = inflate_stream(in, out, err);
	archive_read_free(in);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(out);
	return 0;
}

int archive_reader_open(struct archive_reader *a, const char *path, struct error *err)
{
	struct stat st;
	void *map;
	int fd = -1, r;

	*a = ARCHIVE_READER_INIT;
	a->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (a->fd < 0)
		return error_errno(err, errno, "cannot open the archive %s", path);
	if (fstat(a->fd, &st) < 0)
		return error_errno(err, errno, "cannot look at %s", path);
	if (!S_ISREG(st.st_mode))
		return error_hint(
			err, error_set(err, ERROR_USAGE, EINVAL, "%s is no regular file", path),
			"give the archive's file name");
	a->file_size = (uint64_t)st.st_size;
	if (is_compressed(a->fd)) {
		r = inflate(a->fd, &fd, err);
		if (r < 0)
			return error_while(err, r, "reading %s", path);
		close(a->fd);
		a->fd = fd;
		a->compressed = true;
		if (fstat(fd, &st) < 0)
			return error_errno(err, errno, "cannot look at the inflated %s", path);
	}
	if (st.st_size == 0)
		return error_set(err, ERROR_INPUT, EINVAL, "the archive %s is empty", path);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, a->fd, 0);
	if (map == MAP_FAILED)
		return error_errno(err, errno, "cannot map %s", path);
	a->data = (struct bytes){ map, (size_t)st.st_size };
	r = archive_reader_parse(a, a->data, err);
	if (r < 0)
		return error_while(err, r, "reading %s", path);
	return 0;
}

void archive_reader_deinit(struct archive_reader *a)
{
	if (a->fd >= 0) {
		if (a->data.data)
			munmap((void *)a->data.data, a->data.len);
		close(a->fd);
	}
	arena_deinit(&a->arena);
	*a = ARCHIVE_READER_INIT;
}

const struct tar_member *archive_member_find(const struct archive_reader *a, const char *name)
{
	size_t i;

	for (i = 0; i < a->n_members; i++)
		if (strcmp(a->members[i].name, name) == 0)
			return &a->members[i];
	return NULL;
}

struct bytes archive_member_data(const struct archive_reader *a, const struct tar_member *m)
{
	return (struct bytes){ a->data.data + m->offset, (size_t)m->size };
}

int archive_load_images(const struct archive_reader *a, struct image_set *set, struct error *err)
{
	static const char dir[] = "checkpoint/";
	struct error problem = ERROR_INIT;
	const struct tar_member *m;
	const char *name;
	size_t i;
	int r;

	for (i = 0; i < a->n_members; i++) {
		m = &a->members[i];
		if (m->type != '0')
			continue;
		if (strncmp(m->name, dir, strlen(dir)) == 0)
			name = m->name + strlen(dir);
		else if (strcmp(m->name, "stats-dump") == 0)
			name = m->name;
		else
			continue;
		r = image_parse(set, name, archive_member_data(a, m), &problem);
		if (r == -ENOMEM)
			return error_nomem(err);
		if (r < 0 && image_problem_add(set, name, problem.text) < 0)
			return error_nomem(err);
	}
	if (a->damaged && image_problem_add(set, "(archive)", a->problem.text) < 0)
		return error_nomem(err);
	return 0;
}
