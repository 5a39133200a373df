// SPDX-License-Identifier: Apache-2.0
/*
 * ipcns-restore: the System V objects of an IPC namespace again, with their ids; see ipcns.c.
 *
 * In the sandbox's root task, whose namespace is new and empty, while the host's /proc is still
 * mounted: its sysctls show the namespace of the task that opens them. What a program holds by id
 * must have that id: an object that cannot get it is left out, with a note.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "memory/fill.h"
#include "object/ipc-var.h"
#include "object/namespace-kinds.h"

#define SHM_SIZE_MAX ((uint64_t)1 << 40)

union semun_arg {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
};

static void lost(struct restore *rst, const char *what, const Img__IpcDesc *desc, const char *why,
		 int errnum)
{
	char subject[64];

	snprintf(subject, sizeof(subject), "%s %u (key 0x%08x)", what, desc->id, desc->key);
	restore_gap(rst, GAP_DEGRADED, "ipc", 0, subject, "%s%s%s", why, errnum ? ": " : "",
		    errnum ? strerror(errnum) : "");
}

static void set_perm(struct ipc_perm *perm, const Img__IpcDesc *desc)
{
	perm->uid = desc->uid;
	perm->gid = desc->gid;
	perm->mode = desc->mode & 0777;
}

/* Images of stock CRIU keep the content in a pagemap of the segment's own, where we may find none.
 */
static void shm_fill(struct restore *rst, const Img__IpcShm *e, struct bytes content,
		     unsigned char *data)
{
	const struct image *pagemap = image_find(rst->set, IMAGE_PAGEMAP_SHMEM, e->desc->id);
	struct error err = ERROR_INIT;
	struct fill_plan plan;
	struct fill_run run;
	size_t from = 0;
	uint64_t at = 0;
	int r;

	if (!e->has_in_pagemaps || !e->in_pagemaps) {
		memcpy(data, content.data, MIN(content.len, e->size));
		return;
	}
	if (!pagemap) {
		lost(rst, "System V memory", e->desc,
		     "its content is not in the images: it is zeros", 0);
		return;
	}
	r = fill_plan_make(pagemap, rst->pages, rst->n_pages, "System V memory", &rst->set->arena,
			   &plan, &err);
	while (r >= 0 && fill_plan_clip(&plan, 0, PAGE_ALIGN_UP(e->size), &from, &at, &run))
		r = fd_pread_all(plan.file->fd, data + run.vaddr, run.len, (off_t)run.offset, &err);
	if (r < 0)
		lost(rst, "System V memory", e->desc, err.text, 0);
}

static void shm_restore(struct restore *rst, const Img__IpcShm *e, struct bytes content)
{
	struct shmid_ds ds;
	void *data;
	int id;

	if (e->size > SHM_SIZE_MAX || ipc_next_id("shm", e->desc->id) < 0) {
		lost(rst, "System V memory", e->desc, "not made",
		     e->size > SHM_SIZE_MAX ? EFBIG : EPERM);
		return;
	}
	/* room is not reserved: the content of a hostile image must not decide over the host's
	 * memory */
	id = shmget((key_t)e->desc->key, e->size,
		    IPC_CREAT | IPC_EXCL | SHM_NORESERVE | (int)(e->desc->mode & 0777) |
			    (e->has_hugetlb_flag ? (int)e->hugetlb_flag : 0));
	if (id < 0 || (uint32_t)id != e->desc->id) {
		lost(rst, "System V memory", e->desc, "not made", id < 0 ? errno : EEXIST);
		if (id >= 0)
			(void)shmctl(id, IPC_RMID, NULL);
		return;
	}
	data = e->size ? shmat(id, NULL, 0) : NULL;
	if (data == (void *)-1) {
		lost(rst, "System V memory", e->desc, "its content is lost", errno);
	} else if (data) {
		shm_fill(rst, e, content, data);
		(void)shmdt(data);
	}
	if (shmctl(id, IPC_STAT, &ds) == 0) {
		set_perm(&ds.shm_perm, e->desc);
		if (shmctl(id, IPC_SET, &ds) < 0)
			lost(rst, "System V memory", e->desc, "its owner cannot be set", errno);
	}
}

static void sem_restore(struct restore *rst, const Img__IpcSem *e, struct bytes values)
{
	_cleanup_free_ unsigned short *copy = NULL;
	union semun_arg arg;
	struct semid_ds ds;
	int id;

	if (values.len < e->nsems * sizeof(*copy) || ipc_next_id("sem", e->desc->id) < 0) {
		lost(rst, "semaphore set", e->desc, "not made", EINVAL);
		return;
	}
	id = semget((key_t)e->desc->key, (int)e->nsems,
		    IPC_CREAT | IPC_EXCL | (int)(e->desc->mode & 0777));
	if (id < 0 || (uint32_t)id != e->desc->id) {
		lost(rst, "semaphore set", e->desc, "not made", id < 0 ? errno : EEXIST);
		if (id >= 0)
			(void)semctl(id, 0, IPC_RMID);
		return;
	}
	copy = malloc(e->nsems * sizeof(*copy) + 1); /* the image's bytes need not be aligned */
	if (copy)
		memcpy(copy, values.data, e->nsems * sizeof(*copy));
	arg.array = copy;
	if (!copy || semctl(id, 0, SETALL, arg) < 0)
		lost(rst, "semaphore set", e->desc, "its values cannot be set", errno);
	arg.buf = &ds;
	if (semctl(id, 0, IPC_STAT, arg) == 0) {
		set_perm(&ds.sem_perm, e->desc);
		if (semctl(id, 0, IPC_SET, arg) < 0)
			lost(rst, "semaphore set", e->desc, "its owner cannot be set", errno);
	}
}

/* Returns the queue's id, -1 when it is lost. */
static int msg_restore(struct restore *rst, const Img__IpcMsg *e)
{
	struct msqid_ds ds;
	int id;

	if (ipc_next_id("msg", e->desc->id) < 0) {
		lost(rst, "message queue", e->desc, "not made", EPERM);
		return -1;
	}
	id = msgget((key_t)e->desc->key, IPC_CREAT | IPC_EXCL | (int)(e->desc->mode & 0777));
	if (id < 0 || (uint32_t)id != e->desc->id) {
		lost(rst, "message queue", e->desc, "not made", id < 0 ? errno : EEXIST);
		if (id >= 0)
			(void)msgctl(id, IPC_RMID, NULL);
		return -1;
	}
	if (msgctl(id, IPC_STAT, &ds) == 0) {
		set_perm(&ds.msg_perm, e->desc);
		ds.msg_qbytes = e->qbytes ?: ds.msg_qbytes;
		if (msgctl(id, IPC_SET, &ds) < 0)
			lost(rst, "message queue", e->desc, "its owner and limit cannot be set",
			     errno);
	}
	return id;
}

static void body_restore(struct restore *rst, int id, const Img__IpcMsg *queue,
			 const Img__IpcMsgBody *e, struct bytes text)
{
	struct {
		long type;
		char text[];
	} *msg = malloc(sizeof(*msg) + text.len);
	size_t len = MIN((size_t)e->msize, text.len);

	if (!msg)
		return lost(rst, "message queue", queue->desc, "a message is lost", ENOMEM);
	msg->type = (long)e->mtype;
	memcpy(msg->text, text.data, len);
	if (msgsnd(id, msg, len, IPC_NOWAIT) < 0)
		lost(rst, "message queue", queue->desc, "a message is lost", errno);
	free(msg);
}

static void queues_restore(struct restore *rst, const struct image *image)
{
	const Img__IpcMsg *queue = NULL;
	size_t i;
	int id = -1;

	for (i = 0; i < image->n_entries; i++) {
		const struct image_entry *entry = &image->entries[i];

		if (entry->msg->descriptor == &img__ipc_msg__descriptor) {
			queue = (const Img__IpcMsg *)entry->msg;
			id = msg_restore(rst, queue);
		} else if (id >= 0) {
			body_restore(rst, id, queue, (const Img__IpcMsgBody *)entry->msg,
				     entry->extra);
		}
	}
}

int ipc_restore(struct restore *rst, const struct sandbox_spec *spec, uint32_t id,
		struct error *err)
{
	const Img__IpcVar *var = id ? image_single(rst->set, IMAGE_IPC_VAR, id) : NULL;
	const struct image *image;
	size_t i;

	if (!id)
		return 0;
	/* The limits come first, or objects beyond the usual ones could not be made. */
	if (var)
		ipc_var_restore(rst, var);
	image = image_find(rst->set, IMAGE_IPC_SHM, id);
	for (i = 0; image && i < image->n_entries; i++)
		shm_restore(rst, image_message(image, i), image->entries[i].extra);
	image = image_find(rst->set, IMAGE_IPC_SEM, id);
	for (i = 0; image && i < image->n_entries; i++)
		sem_restore(rst, image_message(image, i), image->entries[i].extra);
	image = image_find(rst->set, IMAGE_IPC_MSG, id);
	if (image)
		queues_restore(rst, image);
	return 0;
}
