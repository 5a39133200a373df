// SPDX-License-Identifier: Apache-2.0
/*
 * pipe: unnamed pipes, both directions.
 *
 * A pipe is made once, by whichever of its ends is opened first; the other ends are opened through
 * /proc/self/fd. An end whose partner was outside of the container (a log reader, say) is marked
 * with an ExtFile in the same entry, which stock CRIU does not look at: its restored copy neither
 * reads an end of file nor breaks, and what it writes goes to the console.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "object/fd-capture.h"
#include "object/fd-kinds.h"
#include "object/fown.h"
#include "object/pipe-data.h"

static bool pipe_match(const struct fd_facts *facts)
{
	return S_ISFIFO(facts->st.st_mode) && strncmp(facts->link, "pipe:[", 6) == 0;
}

/* Is there anybody at the other end? */
static bool pipe_partner_lives(const struct fd_facts *facts)
{
	struct pollfd pfd = { .fd = facts->dup };

	return poll(&pfd, 1, 0) >= 0 && !(pfd.revents & (POLLHUP | POLLERR));
}

static int pipe_capture(struct capture *cap, const struct fd_facts *facts, Img__FileEntry *entry,
			struct error *err)
{
	Img__Pipe *pipe = img_new(cap->set, Img__Pipe, pipe);
	int r;

	if (!pipe)
		return error_nomem(err);
	pipe->id = facts->id;
	pipe->pipe_id = facts->st.st_ino;
	pipe->flags = facts->flags & ~O_CLOEXEC;
	r = fown_capture(cap, facts, &pipe->fown, err);
	if (r < 0)
		return r;
	entry->pipe = pipe;
	if ((facts->flags & O_ACCMODE) != O_RDWR && pipe_partner_lives(facts)) {
		/* To be taken back in pipe_capture_finish() when the partner is found. */
		entry->ext = img_new(cap->set, Img__ExtFile, ext_file);
		if (!entry->ext)
			return error_nomem(err);
		entry->ext->id = facts->id;
		entry->ext->fown = pipe->fown;
	}
	if ((facts->flags & O_ACCMODE) == O_WRONLY)
		return 0;
	return pipe_data_capture(cap, IMAGE_PIPES_DATA, facts, pipe->pipe_id, err);
}

/* One bit for each direction: 1 can be read, 2 can be written. */
static unsigned pipe_directions(uint32_t flags)
{
	switch (flags & O_ACCMODE) {
	case O_RDONLY:
		return 1;
	case O_WRONLY:
		return 2;
	default:
		return 3;
	}
}

struct pipe_seen {
	uint32_t pipe_id;
	unsigned directions;
};

static int pipe_seen_compare(const void *a, const void *b)
{
	const struct pipe_seen *x = a, *y = b;

	return x->pipe_id < y->pipe_id ? -1 : x->pipe_id > y->pipe_id;
}

/* All pipes of the images with the directions that descriptors lead to, sorted. */
static size_t pipes_see(const struct image *files, struct pipe_seen *seen)
{
	size_t i, n = 0, merged = 0;

	for (i = 0; i < files->n_entries; i++) {
		const Img__FileEntry *entry = image_message(files, i);

		if (entry->pipe)
			seen[n++] = (struct pipe_seen){ entry->pipe->pipe_id,
							pipe_directions(entry->pipe->flags) };
	}
	qsort(seen, n, sizeof(*seen), pipe_seen_compare);
	for (i = 0; i < n; i++) {
		if (merged && seen[merged - 1].pipe_id == seen[i].pipe_id)
			seen[merged - 1].directions |= seen[i].directions;
		else
			seen[merged++] = seen[i];
	}
	return merged;
}

int pipe_capture_finish(struct capture *cap, struct error *err)
{
	const struct image *files = image_find(cap->set, IMAGE_FILES, 0);
	_cleanup_free_ struct pipe_seen *seen = NULL;
	size_t i, n;

	if (!files)
		return 0;
	seen = calloc(files->n_entries + 1, sizeof(*seen));
	if (!seen)
		return error_nomem(err);
	n = pipes_see(files, seen);
	for (i = 0; i < files->n_entries; i++) {
		Img__FileEntry *entry = image_message(files, i);
		struct pipe_seen key, *found;
		char subject[64];

		if (!entry->pipe || !entry->ext)
			continue;
		key.pipe_id = entry->pipe->pipe_id;
		found = bsearch(&key, seen, n, sizeof(*seen), pipe_seen_compare);
		if (found && found->directions == 3) {
			entry->ext = NULL;
			continue;
		}
		(void)snprintf(subject, sizeof(subject), "pipe:[%u]", entry->pipe->pipe_id);
		if (gap_add(cap->gaps, GAP_COSMETIC, "pipe", 0, subject, "%s",
			    pipe_directions(entry->pipe->flags) == 1
				    ? "its writer is outside of the container; a restored copy "
				      "waits "
				      "in silence"
				    : "its reader is outside of the container; a restored copy "
				      "writes "
				      "to the sandbox's console") < 0)
			return error_nomem(err);
	}
	return 0;
}

/* Does any writer write packets? Then what lies in the pipe is packets. */
static bool pipe_has_packets(struct restore *rst, uint32_t pipe_id)
{
	size_t i;

	for (i = 0; i < rst->n_files; i++) {
		const Img__Pipe *pipe = rst->files[i].entry->pipe;

		if (pipe && pipe->pipe_id == pipe_id && pipe->flags & O_DIRECT &&
		    pipe_directions(pipe->flags) & 2)
			return true;
	}
	return false;
}

/* An end of the same pipe that is open already, or -1. *ret_directions: all that the images have.
 */
static int pipe_find_open(struct restore *rst, const Img__Pipe *pipe, unsigned *ret_directions)
{
	int found = -1;
	size_t i;

	*ret_directions = 0;
	for (i = 0; i < rst->n_files; i++) {
		const struct restore_file *file = &rst->files[i];

		if (!file->entry->pipe || file->entry->pipe->pipe_id != pipe->pipe_id)
			continue;
		*ret_directions |= pipe_directions(file->entry->pipe->flags);
		if (file->entry->pipe != pipe && file->fd >= 0)
			found = file->fd;
	}
	return found;
}

/* Standard input, output or error of some task? */
static bool pipe_is_standard(struct restore *rst, uint32_t pipe_id)
{
	size_t i, k;

	for (i = 0; i < rst->n_tasks; i++) {
		const struct image *fdinfo = rst->tasks[i].fdinfo;

		for (k = 0; fdinfo && k < fdinfo->n_entries; k++) {
			const Img__Fdinfo *info = image_message(fdinfo, k);
			const struct restore_file *file;

			if (!info || info->fd > STDERR_FILENO)
				continue;
			file = restore_file_find(rst, info->id);
			if (file && file->entry->pipe && file->entry->pipe->pipe_id == pipe_id)
				return true;
		}
	}
	return false;
}

static int pipe_reopen(int fd, uint32_t flags, struct error *err)
{
	char path[32];
	int new;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	new = open(path, (flags & (O_ACCMODE | O_NONBLOCK)) | O_CLOEXEC);
	if (new < 0)
		return error_errno(err, errno, "cannot open an end of a pipe again");
	return new;
}

/* What goes outside: to the console if there is one, else away. */
static int pipe_open_console(struct restore *rst, struct error *err)
{
	char path[32];
	int fd;

	if (rst->console_fd >= 0) {
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", rst->console_fd);
		fd = open(path, O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC);
		if (fd < 0)
			fd = fcntl(rst->console_fd, F_DUPFD_CLOEXEC, 0);
	} else {
		fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	}
	if (fd < 0)
		return error_errno(err, errno, "cannot open the console of the sandbox");
	return fd;
}

static int pipe_make(struct restore *rst, const Img__Pipe *pipe, bool outside, struct error *err)
{
	_cleanup_close_ int in = -1, out = -1;
	int pair[2], r;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return error_errno(err, errno, "cannot make a pipe");
	in = pair[0];
	out = pair[1];
	r = pipe_data_restore(rst, IMAGE_PIPES_DATA, out, pipe->pipe_id,
			      pipe_has_packets(rst, pipe->pipe_id), err);
	if (r < 0)
		return r;
	switch (pipe->flags & O_ACCMODE) {
	case O_RDONLY:
		/* Its own writer, so that it waits for ever for one that is not here. */
		if (outside)
			return pipe_reopen(in, O_RDWR, err);
		return TAKE_FD(in);
	case O_WRONLY:
		return TAKE_FD(out);
	default:
		return pipe_reopen(in, O_RDWR, err);
	}
}

static int pipe_open(struct restore *rst, Img__FileEntry *entry, int *ret_fd, struct error *err)
{
	const Img__Pipe *pipe = entry->pipe;
	_cleanup_close_ int fd = -1;
	unsigned directions;
	bool outside;
	int other, r;

	if (!pipe)
		return error_set(err, ERROR_INPUT, EBADMSG, "pipe %u has no content", entry->id);
	other = pipe_find_open(rst, pipe, &directions);
	outside = directions != 3 && (entry->ext || pipe_is_standard(rst, pipe->pipe_id));
	if (outside && directions == 2)
		r = pipe_open_console(rst, err);
	else if (other >= 0)
		r = pipe_reopen(other, outside ? (uint32_t)O_RDWR : pipe->flags, err);
	else
		r = pipe_make(rst, pipe, outside, err);
	if (r < 0)
		return r;
	fd = r;
	/* A console that is a file keeps O_APPEND: several may write to it. */
	if (!(outside && directions == 2)) {
		r = file_params_restore(fd, pipe->flags, pipe->fown, err);
		if (r < 0)
			return r;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int pipe_attach(struct restore *rst, struct restore_task *task, Img__FileEntry *entry,
		       int fd, struct error *err)
{
	return fown_attach(rst, task, entry->pipe->fown, fd, err);
}

const struct fd_kind pipe_kind = {
	.name = "pipe",
	.type = IMG__FD_TYPES__PIPE,
	.match = pipe_match,
	.capture = pipe_capture,
	.open = pipe_open,
	.attach = pipe_attach,
};
