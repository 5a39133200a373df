// SPDX-License-Identifier: Apache-2.0
/*
 * fifo: named pipes, both directions. The name is a RegFile entry of its own, as CRIU has it.
 *
 * Opening a FIFO waits for a partner; so the restore holds one open for both directions meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "object/fd-capture.h"
#include "object/fd-kinds.h"
#include "object/fown.h"
#include "object/pipe-data.h"
#include "object/reg-file.h"

static bool fifo_match(const struct fd_facts *facts)
{
	return S_ISFIFO(facts->st.st_mode) && facts->link[0] == '/' && !(facts->flags & O_PATH);
}

static int fifo_capture(struct capture *cap, const struct fd_facts *facts, Img__FileEntry *entry,
			struct error *err)
{
	Img__Fifo *fifo = img_new(cap->set, Img__Fifo, fifo);
	int r;

	if (!fifo)
		return error_nomem(err);
	fifo->id = facts->id;
	fifo->pipe_id = facts->st.st_ino;
	fifo->has_regf_id = true;
	r = reg_file_capture_facts(cap, facts, &fifo->regf_id, err);
	if (r)
		return r;
	entry->fifo = fifo;
	if ((facts->flags & O_ACCMODE) == O_WRONLY)
		return 0;
	return pipe_data_capture(cap, IMAGE_FIFO_DATA, facts, fifo->pipe_id, err);
}

static const Img__RegFile *fifo_name(struct restore *rst, const Img__FileEntry *entry)
{
	const struct restore_file *file;
	uint32_t id = entry->fifo->has_regf_id ? entry->fifo->regf_id : entry->id;

	file = restore_file_find(rst, id);
	return file ? file->entry->reg : NULL;
}

/* Is this the first description of its FIFO? Then it brings the content along. */
static bool fifo_first(struct restore *rst, const Img__FileEntry *entry)
{
	size_t i;

	for (i = 0; i < rst->n_files; i++) {
		const Img__FileEntry *other = rst->files[i].entry;

		if (other != entry && other->fifo && rst->files[i].fd >= 0 &&
		    other->fifo->pipe_id == entry->fifo->pipe_id)
			return false;
	}
	return true;
}

static int fifo_open(struct restore *rst, Img__FileEntry *entry, int *ret_fd, struct error *err)
{
	_cleanup_close_ int partner = -1, fd = -1;
	const Img__RegFile *name;
	Img__RegFile both;
	char path[32];
	int r;

	name = entry->fifo ? fifo_name(rst, entry) : NULL;
	if (!name)
		return error_set(err, ERROR_INPUT, EBADMSG, "FIFO %u has no name", entry->id);
	both = *name;
	both.flags = (name->flags & ~(O_ACCMODE | O_NONBLOCK | O_DIRECT)) | O_RDWR;
	both.pos = 0;
	r = reg_file_open(rst, &both, &partner, err);
	if (r)
		return r;
	if (fifo_first(rst, entry)) {
		r = pipe_data_restore(rst, IMAGE_FIFO_DATA, partner, entry->fifo->pipe_id, false,
				      err);
		if (r < 0)
			return error_while(err, r, "filling %s", name->name);
	}
	/* Through the partner: the inode is the same even when the name was a ghost's. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", partner);
	fd = open(path, (name->flags & (O_ACCMODE | O_NONBLOCK)) | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "cannot open the FIFO %s", name->name);
	r = file_params_restore(fd, name->flags, name->fown, err);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int fifo_attach(struct restore *rst, struct restore_task *task, Img__FileEntry *entry,
		       int fd, struct error *err)
{
	const Img__RegFile *name = fifo_name(rst, entry);

	return name ? fown_attach(rst, task, name->fown, fd, err) : 0;
}

const struct fd_kind fifo_kind = {
	.name = "fifo",
	.type = IMG__FD_TYPES__FIFO,
	.match = fifo_match,
	.capture = fifo_capture,
	.open = fifo_open,
	.attach = fifo_attach,
};
