// SPDX-License-Identifier: Apache-2.0
/*
 * ipc-var: see ipc-var.h. One table says where each number lives, in /proc/sys and in the message.
 */
#include "object/ipc-var.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "kernel/scan.h"

#define NONE SIZE_MAX

static const struct {
	const char *path; /* below /proc/sys */
	size_t offset;	  /* in Img__IpcVar */
	size_t has;	  /* of the presence flag, NONE for required fields */
	bool wide;	  /* 64 bit */
} vars[] = {
#define VAR(path, field, wide)                                                                     \
	{                                                                                          \
		path, offsetof(Img__IpcVar, field), NONE, wide                                     \
	}
#define OPTIONAL_VAR(path, field)                                                                  \
	{                                                                                          \
		path, offsetof(Img__IpcVar, field), offsetof(Img__IpcVar, has_##field), false      \
	}
	VAR("kernel/msgmax", msg_ctlmax, false),
	VAR("kernel/msgmnb", msg_ctlmnb, false),
	VAR("kernel/msgmni", msg_ctlmni, false),
	VAR("kernel/auto_msgmni", auto_msgmni, false),
	VAR("kernel/shmmax", shm_ctlmax, true),
	VAR("kernel/shmall", shm_ctlall, true),
	VAR("kernel/shmmni", shm_ctlmni, false),
	VAR("kernel/shm_rmid_forced", shm_rmid_forced, false),
	VAR("fs/mqueue/queues_max", mq_queues_max, false),
	VAR("fs/mqueue/msg_max", mq_msg_max, false),
	VAR("fs/mqueue/msgsize_max", mq_msgsize_max, false),
	OPTIONAL_VAR("fs/mqueue/msg_default", mq_msg_default),
	OPTIONAL_VAR("fs/mqueue/msgsize_default", mq_msgsize_default),
#undef OPTIONAL_VAR
#undef VAR
};

#define N_SEM 4 /* numbers in kernel/sem */

struct values {
	bool have[ARRAY_SIZE(vars)];
	uint64_t values[ARRAY_SIZE(vars)];
	uint32_t sem[N_SEM];
};

static int value_read(const char *name, uint64_t *ret, size_t n)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	char path[96];
	struct scan s;
	size_t i;

	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	if (fd_read_file(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return -ENOENT;
	s = scan_of((struct bytes){ text.data, text.len });
	for (i = 0; i < n; i++)
		if (!scan_u64(&s, 10, &ret[i]))
			return -EBADMSG;
	return 0;
}

static int value_write(const char *name, const char *text)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	return fd_write_file(AT_FDCWD, path, 0, 0, text, strlen(text), NULL);
}

int ipc_var_read(struct buf *out, struct error *err)
{
	struct values v = { 0 };
	uint64_t sem[N_SEM];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(vars); i++)
		v.have[i] = value_read(vars[i].path, &v.values[i], 1) == 0;
	if (value_read("kernel/sem", sem, N_SEM) == 0)
		for (i = 0; i < N_SEM; i++)
			v.sem[i] = (uint32_t)sem[i];
	return buf_append(out, &v, sizeof(v), err);
}

int ipc_var_take(struct capture *cap, uint32_t id, struct bytes values, struct error *err)
{
	Img__IpcVar *e = img_new(cap->set, Img__IpcVar, ipc_var);
	struct values v;
	char *at;
	size_t i;

	if (!e)
		return error_nomem(err);
	if (values.len != sizeof(v))
		return error_set(err, ERROR_INTERNAL, EPROTO,
				 "the IPC limits got lost on their way");
	memcpy(&v, values.data, sizeof(v));
	for (i = 0; i < ARRAY_SIZE(vars); i++) {
		at = (char *)e;
		if (vars[i].wide)
			*(uint64_t *)(at + vars[i].offset) = v.values[i];
		else
			*(uint32_t *)(at + vars[i].offset) = (uint32_t)v.values[i];
		if (vars[i].has != NONE)
			*(protobuf_c_boolean *)(at + vars[i].has) = v.have[i];
	}
	e->sem_ctls = arena_memdup(&cap->set->arena, v.sem, sizeof(v.sem));
	if (!e->sem_ctls)
		return error_nomem(err);
	e->n_sem_ctls = N_SEM;
	return image_add(cap->set, IMAGE_IPC_VAR, id, &e->base, (struct bytes){ 0 }, err);
}

void ipc_var_restore(struct restore *rst, const Img__IpcVar *var)
{
	char text[128];
	uint64_t now, value;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(vars); i++) {
		const char *at = (const char *)var;

		if (vars[i].has != NONE && !*(const protobuf_c_boolean *)(at + vars[i].has))
			continue;
		value = vars[i].wide ? *(const uint64_t *)(at + vars[i].offset)
				     : *(const uint32_t *)(at + vars[i].offset);
		if (value_read(vars[i].path, &now, 1) < 0 || now == value)
			continue; /* this kernel has it not, or it is so already */
		snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
		if (value_write(vars[i].path, text) < 0)
			restore_gap(rst, GAP_COSMETIC, "ipc", 0, vars[i].path,
				    "cannot be set to %s", text);
	}
	if (var->n_sem_ctls != N_SEM)
		return;
	snprintf(text, sizeof(text), "%u %u %u %u", var->sem_ctls[0], var->sem_ctls[1],
		 var->sem_ctls[2], var->sem_ctls[3]);
	if (value_write("kernel/sem", text) < 0)
		restore_gap(rst, GAP_COSMETIC, "ipc", 0, "kernel/sem", "cannot be set to %s", text);
}

int ipc_next_id(const char *type, uint32_t id)
{
	char name[32], text[16];

	snprintf(name, sizeof(name), "kernel/%s_next_id", type);
	snprintf(text, sizeof(text), "%u", id);
	return value_write(name, text);
}
