// SPDX-License-Identifier: Apache-2.0
/*
 * ipcns: an IPC namespace into images: System V memory, semaphores and message queues, and the
 * limits.
 *
 * A visit to the namespace reads everything in one go and hands it back as plain records; then they
 * become messages. Nothing is taken out of a queue (MSG_COPY). A segment is read through a mapping
 * of a task that has it attached; only one that nobody has attached must be attached to be read,
 * which leaves its last-attach time and its last pid changed: the one trace of this file.
 * ipcns-restore.c is the other direction.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "object/ipc-var.h"
#include "object/look.h"
#include "object/mount.h"
#include "object/namespace-kinds.h"
#include "object/ns-visit.h"

#define SHM_MAX ((uint64_t)256 << 20) /* content of one segment */

enum record_type { RECORD_VAR, RECORD_SHM, RECORD_SEM, RECORD_MSG, RECORD_MSG_BODY, RECORD_GAP };

/* What the thread found out about one object; len bytes follow. */
struct record {
	enum record_type type;
	int32_t id, key;
	uint32_t uid, gid, cuid, cgid, mode;
	uint64_t size;	/* of a segment, a set, a queue's limit; the type of a message */
	uint64_t count; /* of messages */
	uint64_t len;
};

static int record_add(struct buf *out, const struct record *rec, const void *data,
		      struct error *err)
{
	int r = buf_append(out, rec, sizeof(*rec), err);

	return r < 0 || !rec->len ? r : buf_append(out, data, rec->len, err);
}

static void record_perm(struct record *rec, int id, const struct ipc_perm *perm)
{
	rec->id = id;
	rec->key = perm->__key;
	rec->uid = perm->uid;
	rec->gid = perm->gid;
	rec->cuid = perm->cuid;
	rec->cgid = perm->cgid;
	rec->mode = perm->mode & 0777;
}

static int gap_record(struct buf *out, enum record_type what, int id, const char *text,
		      struct error *err)
{
	struct record rec = {
		.type = RECORD_GAP, .id = id, .count = what, .len = strlen(text) + 1
	};

	return record_add(out, &rec, text, err);
}

/* A segment by way of a task that had it attached before the stop: its inode has its number. -1 =
 * there is none, or not any more. */
static int open_attached(const struct look *look, int id)
{
	const struct proc_vma *vma;
	const struct look_task *task;
	struct stat st;
	char link[80];
	size_t i, k;
	int fd;

	for (i = 0; look && i < look->n_tasks; i++) {
		task = look->tasks[i];
		for (k = 0; k < task->maps.n_vmas; k++) {
			vma = &task->maps.vmas[k];
			if (!vma->shared || vma->ino != (uint64_t)id ||
			    vma->kind != PROC_VMA_FILE || strncmp(vma->path, "/SYSV", 5) != 0)
				continue;
			snprintf(link, sizeof(link), "/proc/%d/map_files/%llx-%llx", task->pid,
				 (unsigned long long)vma->start, (unsigned long long)vma->end);
			fd = open(link, O_RDONLY | O_NOATIME | O_CLOEXEC);
			if (fd >= 0 && fstat(fd, &st) == 0 && st.st_ino == (ino_t)id)
				return fd;
			if (fd >= 0)
				close(fd);
		}
	}
	return -1;
}

/*
 * What is in a segment; the caller frees it. By read(), for a look through a mapping would make its
 * holes pages. Returns NULL when it cannot be known.
 */
static void *copy_segment(const struct look *look, int id, uint64_t size)
{
	_cleanup_close_ int fd = open_attached(look, id);
	void *data = malloc(size ? size : 1), *attached;

	if (!data || (fd >= 0 && fd_pread_all(fd, data, size, 0, NULL) == 0))
		return data;
	attached = shmat(id, NULL, SHM_RDONLY);
	if (attached == (void *)-1) {
		free(data);
		return NULL;
	}
	memcpy(data, attached, size);
	(void)shmdt(attached);
	return data;
}

static int read_shm(const struct look *look, struct buf *out, struct error *err)
{
	struct shm_info info;
	int i, id, max = shmctl(0, SHM_INFO, (struct shmid_ds *)&info), r = 0;

	for (i = 0; i <= max && r >= 0; i++) {
		struct record rec = { .type = RECORD_SHM };
		struct shmid_ds ds;
		_cleanup_free_ void *data = NULL;

		id = shmctl(i, SHM_STAT, &ds);
		if (id < 0)
			continue;
		record_perm(&rec, id, &ds.shm_perm);
		rec.size = ds.shm_segsz;
		if (rec.size <= SHM_MAX)
			data = copy_segment(look, id, rec.size);
		if (!data) {
			r = gap_record(out, RECORD_SHM, id,
				       rec.size > SHM_MAX ? "too large: restored as zeros"
							  : "cannot be attached: restored as zeros",
				       err);
			if (r >= 0)
				r = record_add(out, &rec, NULL, err);
			continue;
		}
		rec.len = rec.size;
		r = record_add(out, &rec, data, err);
		if (r >= 0 && (ds.shm_perm.mode & SHM_DEST))
			r = gap_record(out, RECORD_SHM, id,
				       "marked for removal: it stays when its last user is gone",
				       err);
	}
	return r;
}

static int read_sem(struct buf *out, struct error *err)
{
	struct seminfo info;
	int i, id, max = semctl(0, 0, SEM_INFO, &info), r = 0;

	for (i = 0; i <= max && r >= 0; i++) {
		struct record rec = { .type = RECORD_SEM };
		_cleanup_free_ unsigned short *values = NULL;
		struct semid_ds ds;

		id = semctl(i, 0, SEM_STAT, &ds);
		if (id < 0)
			continue;
		record_perm(&rec, id, &ds.sem_perm);
		rec.size = ds.sem_nsems;
		rec.len = rec.size * sizeof(*values);
		values = malloc(rec.len + 1);
		if (!values)
			return error_nomem(err);
		if (semctl(id, 0, GETALL, values) < 0)
			memset(values, 0, rec.len);
		r = record_add(out, &rec, values, err);
	}
	return r;
}

static int read_messages(int id, uint64_t n, struct buf *out, struct error *err)
{
	struct {
		long type;
		char text[];
	} * msg;
	_cleanup_free_ void *space = NULL;
	size_t max = 64 << 10;
	ssize_t len;
	uint64_t i;
	int r = 0;

	for (i = 0; i < n && r >= 0; i++) {
		struct record rec = { .type = RECORD_MSG_BODY, .id = id };
		void *more = realloc(space, sizeof(*msg) + max);

		if (!more)
			return error_nomem(err);
		space = msg = more;
		len = msgrcv(id, msg, max, (long)i, IPC_NOWAIT | MSG_COPY);
		if (len < 0 && errno == E2BIG && max < (64U << 20)) {
			max *= 8;
			i--;
			continue;
		}
		if (len < 0)
			return gap_record(out, RECORD_MSG, id,
					  "not all of its messages can be read", err);
		rec.size = (uint64_t)msg->type;
		rec.len = (uint64_t)len;
		r = record_add(out, &rec, msg->text, err);
	}
	return r;
}

static int read_msg(struct buf *out, struct error *err)
{
	struct msginfo info;
	int i, id, max = msgctl(0, MSG_INFO, (struct msqid_ds *)&info), r = 0;

	for (i = 0; i <= max && r >= 0; i++) {
		struct record rec = { .type = RECORD_MSG };
		struct msqid_ds ds;

		id = msgctl(i, MSG_STAT, &ds);
		if (id < 0)
			continue;
		record_perm(&rec, id, &ds.msg_perm);
		rec.size = ds.msg_qbytes;
		rec.count = ds.msg_qnum;
		r = record_add(out, &rec, NULL, err);
		if (r >= 0)
			r = read_messages(id, rec.count, out, err);
	}
	return r;
}

/* A file system of our own shows the namespace's POSIX queues, whether the container mounts them or
 * not. -1 when it cannot be had. */
static int mount_mqueues(void)
{
	_cleanup_close_ int fsfd = fsopen("mqueue", FSOPEN_CLOEXEC);

	if (fsfd < 0 || fsconfig(fsfd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return fsmount(fsfd, FSMOUNT_CLOEXEC, 0);
}

static int read_mqueues(int mnt, struct buf *out, struct error *err)
{
	int fd = mnt < 0 ? -1 : openat(mnt, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOATIME);
	_cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	int r = 0;

	while (dir && r >= 0 && (de = readdir(dir)))
		if (de->d_name[0] != '.')
			r = gap_record(out, RECORD_GAP, 0, de->d_name, err);
	return r;
}

/* Ready before the stop. */
struct ipc_look {
	struct buf vars; /* the limits: sysctls that the container's administrator sets */
	int mqueues;	 /* a mount that nobody else sees */
};

void ipc_look_free(struct ipc_look *look)
{
	if (!look)
		return;
	buf_deinit(&look->vars);
	if (look->mqueues >= 0)
		close(look->mqueues);
	free(look);
}

static int look_inside(void *arg, struct error *err)
{
	struct ipc_look *look = arg;

	look->mqueues = mount_mqueues();
	return ipc_var_read(&look->vars, err);
}

static int ipc_look_new(struct capture *cap, int proc_fd, struct error *err)
{
	struct ipc_look *look = calloc(1, sizeof(*look));

	if (!look)
		return error_nomem(err);
	look->mqueues = -1;
	cap->ipc = look;
	return ns_visit_at(proc_fd, 1U << NS_IPC, look_inside, look, err);
}

struct reading {
	struct ipc_look *look;
	const struct look *tasks; /* NULL = nobody was looked at */
	struct buf out;
};

static int read_all(void *arg, struct error *err)
{
	struct record rec = { .type = RECORD_VAR };
	struct reading *reading = arg;
	struct buf *out = &reading->out;
	int r;

	rec.len = reading->look->vars.len;
	r = record_add(out, &rec, reading->look->vars.data, err);
	if (r >= 0)
		r = read_shm(reading->tasks, out, err);
	if (r >= 0)
		r = read_sem(out, err);
	if (r >= 0)
		r = read_msg(out, err);
	return r < 0 ? r : read_mqueues(reading->look->mqueues, out, err);
}

static Img__IpcDesc *desc_of(struct capture *cap, const struct record *rec)
{
	Img__IpcDesc *desc = img_new(cap->set, Img__IpcDesc, ipc_desc);

	if (desc) {
		desc->id = (uint32_t)rec->id;
		desc->key = (uint32_t)rec->key;
		desc->uid = rec->uid;
		desc->gid = rec->gid;
		desc->cuid = rec->cuid;
		desc->cgid = rec->cgid;
		desc->mode = rec->mode;
	}
	return desc;
}

static int take_shm(struct capture *cap, uint32_t id, const struct record *rec, struct bytes data,
		    struct error *err)
{
	Img__IpcShm *e = img_new(cap->set, Img__IpcShm, ipc_shm);

	if (!e || !(e->desc = desc_of(cap, rec)))
		return error_nomem(err);
	e->size = rec->size;
	/* one that could not be read is said to be in pagemaps, of which there is none: zeros */
	e->has_in_pagemaps = true;
	e->in_pagemaps = data.len != rec->size;
	return image_add(cap->set, IMAGE_IPC_SHM, id, &e->base, data, err);
}

static int take_gap(struct capture *cap, const struct record *rec, const char *text,
		    struct error *err)
{
	static const char *const names[] = {
		[RECORD_SHM] = "System V memory",
		[RECORD_SEM] = "semaphore set",
		[RECORD_MSG] = "message queue",
	};
	char subject[300];
	int r;

	if (rec->count == RECORD_GAP) {
		snprintf(subject, sizeof(subject), "POSIX message queue /%s", text);
		text = "POSIX message queues are not captured";
	} else {
		snprintf(subject, sizeof(subject), "%s %d", names[rec->count], rec->id);
	}
	r = gap_add(cap->gaps, GAP_DEGRADED, "ipc", 0, subject, "%s", text);
	return r < 0 ? error_nomem(err) : 0;
}

static int take(struct capture *cap, uint32_t id, const struct record *rec,
		const unsigned char *data, struct error *err)
{
	struct bytes kept = { arena_memdup(&cap->set->arena, data, rec->len), rec->len };
	Img__IpcMsgBody *body;
	Img__IpcMsg *msg;
	Img__IpcSem *sem;

	if (!kept.data)
		return error_nomem(err);
	switch (rec->type) {
	case RECORD_VAR:
		return ipc_var_take(cap, id, kept, err);
	case RECORD_SHM:
		return take_shm(cap, id, rec, kept, err);
	case RECORD_SEM:
		sem = img_new(cap->set, Img__IpcSem, ipc_sem);
		if (!sem || !(sem->desc = desc_of(cap, rec)))
			return error_nomem(err);
		sem->nsems = (uint32_t)rec->size;
		return image_add(cap->set, IMAGE_IPC_SEM, id, &sem->base, kept, err);
	case RECORD_MSG:
		msg = img_new(cap->set, Img__IpcMsg, ipc_msg);
		if (!msg || !(msg->desc = desc_of(cap, rec)))
			return error_nomem(err);
		msg->qbytes = (uint32_t)rec->size;
		msg->qnum = (uint32_t)rec->count;
		return image_add(cap->set, IMAGE_IPC_MSG, id, &msg->base, (struct bytes){ 0 }, err);
	case RECORD_MSG_BODY:
		body = img_new(cap->set, Img__IpcMsgBody, ipc_msg_body);
		if (!body)
			return error_nomem(err);
		body->mtype = rec->size;
		body->msize = (uint32_t)rec->len;
		return image_add(cap->set, IMAGE_IPC_MSG, id, &body->base, kept, err);
	case RECORD_GAP:
		return take_gap(cap, rec, (const char *)kept.data, err);
	}
	return 0;
}

static int take_all(struct capture *cap, uint32_t id, struct bytes records, struct error *err)
{
	struct record rec;
	size_t at;
	int r = 0;

	for (at = 0; r >= 0 && at + sizeof(rec) <= records.len; at += sizeof(rec) + rec.len) {
		memcpy(&rec, records.data + at, sizeof(rec));
		r = take(cap, id, &rec, records.data + at + sizeof(rec), err);
	}
	return MIN(r, 0);
}

static int ipc_capture(struct capture *cap, const struct capture_ns *ns, struct error *err)
{
	static const enum image_kind kinds[] = { IMAGE_IPC_SHM, IMAGE_IPC_SEM, IMAGE_IPC_MSG };
	struct reading reading = { .tasks = cap->look, .out = BUF_INIT };
	size_t i;
	int r = 0;

	if (!cap->ipc)
		r = ipc_look_new(cap, cap->root->proc_fd, err);
	reading.look = cap->ipc;
	if (r >= 0)
		r = ns_visit(cap, 1U << NS_IPC, read_all, &reading, err);
	for (i = 0; i < ARRAY_SIZE(kinds) && r >= 0; i++)
		r = image_touch(cap->set, kinds[i], ns->id, err);
	if (r >= 0)
		r = take_all(cap, ns->id, (struct bytes){ reading.out.data, reading.out.len }, err);
	buf_deinit(&reading.out);
	return r;
}

static int ipc_look(struct capture *cap, const struct capture_ns *ns, int proc_fd,
		    struct error *err)
{
	return ipc_look_new(cap, proc_fd, err);
}

const struct namespace_kind ipc_namespace_kind = {
	.name = "ipc",
	.kind = NS_IPC,
	.clone_flag = CLONE_NEWIPC,
	.look = ipc_look,
	.capture = ipc_capture,
	.restore = ipc_restore,
};
