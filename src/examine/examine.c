// SPDX-License-Identifier: Apache-2.0
/*
 * examine: see examine.h. Opening and metadata are here; images and tables are in tables.c.
 */
#include "examine/examine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"

#define METADATA_MAX ((size_t)JSON_BYTES_MAX)

int examine_problem(struct examine *x, const char *name, struct error *err, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return image_problem_add(&x->set, name, text) < 0 ? error_nomem(err) : 0;
}

bool examine_tell(struct examine *x, uint64_t bytes)
{
	if (x->cut || bytes > EXAMINE_TELL_MAX - x->told) {
		x->cut = true;
		return false;
	}
	x->told += bytes;
	return true;
}

/* One of the JSON members. What is not there is left NULL, what is damaged is a problem. */
static int read_metadata(struct examine *x, const char *name, json_object **ret, struct error *err)
{
	const struct tar_member *m = archive_member_find(&x->archive, name);
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct error why = ERROR_INIT;
	struct bytes bytes = { 0 };
	int r;

	if (m) {
		bytes = archive_member_data(&x->archive, m);
	} else if (x->dir_fd >= 0) {
		r = fd_read_file(x->dir_fd, name, METADATA_MAX, &text, &why);
		if (r == -ENOENT)
			return 0;
		if (r < 0)
			return examine_problem(x, name, err, "%s", why.text);
		bytes = (struct bytes){ text.data, text.len };
	} else {
		return 0;
	}
	r = json_parse(bytes, name, ret, &why);
	if (r == -ENOMEM)
		return error_nomem(err);
	return r < 0 ? examine_problem(x, name, err, "%s", why.text) : 0;
}

static int read_all_metadata(struct examine *x, struct error *err)
{
	int r;

	r = read_metadata(x, "config.dump", &x->config, err);
	if (r == 0)
		r = read_metadata(x, "spec.dump", &x->spec, err);
	if (r == 0)
		r = read_metadata(x, "status", &x->status, err);
	if (r == 0)
		r = read_metadata(x, "amber.json", &x->record, err);
	return r;
}

int examine_parse(struct examine *x, struct bytes data, struct error *err)
{
	int r;

	*x = EXAMINE_INIT;
	x->path = "(memory)";
	r = archive_reader_parse(&x->archive, data, err);
	return r < 0 ? r : read_all_metadata(x, err);
}

int examine_open(struct examine *x, const char *path, struct error *err)
{
	struct stat st;
	int r;

	*x = EXAMINE_INIT;
	x->path = path;
	if (stat(path, &st) < 0)
		return error_errno(err, errno, "cannot open %s", path);
	if (S_ISDIR(st.st_mode)) {
		x->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (x->dir_fd < 0)
			return error_errno(err, errno, "cannot open the directory %s", path);
		return read_all_metadata(x, err);
	}
	r = archive_reader_open(&x->archive, path, err);
	if (r < 0)
		return r;
	if (!x->archive.n_members)
		return error_hint(err,
				  error_set(err, ERROR_INPUT, EINVAL, "%s holds no files", path),
				  "is this a checkpoint archive (a tar file)?");
	return read_all_metadata(x, err);
}

void examine_deinit(struct examine *x)
{
	json_object_put(x->config);
	json_object_put(x->spec);
	json_object_put(x->status);
	json_object_put(x->record);
	image_set_deinit(&x->set);
	image_map_free(x->map);
	archive_reader_deinit(&x->archive);
	if (x->dir_fd >= 0)
		close(x->dir_fd);
	arena_deinit(&x->arena);
	*x = EXAMINE_INIT;
}
