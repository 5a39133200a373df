// SPDX-License-Identifier: Apache-2.0
/*
 * pipe-data: the bytes in pipes, copied with tee(2) and written back.
 *
 * Nothing is ever read from the captured pipe: tee() lets a pipe of ours share its buffers.
 */
#include "object/pipe-data.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "object/fd-capture.h"

#define PIPE_SIZE_MAX (1U << 30)

static bool data_known(const struct image *image, uint32_t pipe_id)
{
	size_t i;

	/* The newest are asked for most. */
	for (i = image ? image->n_entries : 0; i > 0; i--) {
		const Img__PipeData *data = image_message(image, i - 1);

		if (data->pipe_id == pipe_id)
			return true;
	}
	return false;
}

static int data_add(struct capture *cap, enum image_kind kind, uint32_t pipe_id, uint32_t size,
		    const void *bytes, size_t len, struct error *err)
{
	Img__PipeData *data = img_new(cap->set, Img__PipeData, pipe_data);
	struct bytes extra = { .len = len };

	if (!data)
		return error_nomem(err);
	if (len) {
		extra.data = arena_memdup(&cap->set->arena, bytes, len);
		if (!extra.data)
			return error_nomem(err);
	}
	data->pipe_id = pipe_id;
	data->bytes = len;
	data->has_size = true;
	data->size = size;
	return image_add(cap->set, kind, 0, &data->base, extra, err);
}

/* A pipe of ours that shares the content. Returns its bytes, or -errno. */
static ssize_t data_tee(int from, uint32_t size, int to[2])
{
	ssize_t n;

	if (pipe2(to, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	if (fcntl(to[1], F_SETPIPE_SZ, size) < 0 && size > 65536) {
		/* Above the limit for those without CAP_SYS_RESOURCE: as much as fits. */
		int limit = 1 << 20;

		(void)fcntl(to[1], F_SETPIPE_SZ, limit);
	}
	n = tee(from, to[1], size, SPLICE_F_NONBLOCK);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return n;
}

/*
 * A read stops behind a packet, and nowhere else before all is taken: one entry for each read.
 * (Only the writing end knows of packet mode, and it may be somebody else's.)
 */
static int data_take(struct capture *cap, enum image_kind kind, uint32_t pipe_id, uint32_t size,
		     int from, size_t total, struct error *err)
{
	_cleanup_free_ char *bytes = malloc(total);
	size_t done = 0;
	int r = 0;

	if (!bytes)
		return error_nomem(err);
	while (r == 0 && done < total) {
		ssize_t n = read(from, bytes, total - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		r = data_add(cap, kind, pipe_id, size, bytes, n, err);
		done += n;
	}
	return r;
}

int pipe_data_capture(struct capture *cap, enum image_kind kind, const struct fd_facts *facts,
		      uint32_t pipe_id, struct error *err)
{
	_cleanup_close_ int in = -1, out = -1;
	int size, unread = 0, pair[2] = { -1, -1 };
	ssize_t n;
	int r;

	if (data_known(image_find(cap->set, kind, 0), pipe_id))
		return 0;
	size = fcntl(facts->dup, F_GETPIPE_SZ);
	if (size < 0)
		return fd_gap(cap, facts, GAP_COSMETIC, "pipe", 0, err,
			      "its capacity cannot be read: %s", strerror(errno));

	n = data_tee(facts->dup, size, pair);
	in = pair[0];
	out = pair[1];
	if (n < 0)
		return fd_gap(cap, facts, GAP_DEGRADED, "pipe", 0, err,
			      "what lies in it cannot be copied: %s", strerror(-n));
	if (n == 0)
		return data_add(cap, kind, pipe_id, size, NULL, 0, err);
	r = data_take(cap, kind, pipe_id, size, in, n, err);
	if (r < 0)
		return r;
	if (ioctl(facts->dup, FIONREAD, &unread) == 0 && unread > n)
		return fd_gap(cap, facts, GAP_DEGRADED, "pipe", 0, err,
			      "only %zd of the %d bytes in it could be copied", n, unread);
	return 0;
}

static int data_write(int fd, const Img__PipeData *data, struct bytes bytes, struct error *err)
{
	size_t done = 0;

	while (done < bytes.len) {
		ssize_t n = write(fd, bytes.data + done, bytes.len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, errno, "cannot fill pipe %u (%zu of %zu bytes)",
					   data->pipe_id, done, bytes.len);
		done += n;
	}
	return 0;
}

int pipe_data_restore(struct restore *rst, enum image_kind kind, int fd, uint32_t pipe_id,
		      bool packets, struct error *err)
{
	const struct image *image = image_find(rst->set, kind, 0);
	int flags, r = 0;
	size_t i;

	/* Never wait for a reader: a pipe that cannot take its content is an error. */
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK | (packets ? O_DIRECT : 0)) < 0)
		return error_errno(err, errno, "cannot set flags of a pipe");
	for (i = 0; image && r == 0 && i < image->n_entries; i++) {
		const Img__PipeData *data = image_message(image, i);

		if (!data || data->pipe_id != pipe_id)
			continue;
		if (data->has_size && data->size && data->size <= PIPE_SIZE_MAX &&
		    fcntl(fd, F_SETPIPE_SZ, data->size) < 0) {
			char subject[32];

			(void)snprintf(subject, sizeof(subject), "pipe %u", pipe_id);
			restore_gap(rst, GAP_COSMETIC, "pipe", 0, subject,
				    "its capacity of %u bytes cannot be set: %s", data->size,
				    strerror(errno));
		}
		r = data_write(fd, data, image->entries[i].extra, err);
	}
	if (r == 0 && fcntl(fd, F_SETFL, flags) < 0)
		return error_errno(err, errno, "cannot set flags of a pipe");
	return r;
}
