// SPDX-License-Identifier: Apache-2.0
/*
 * creds: credentials of every thread, both directions: ids, groups, capabilities, securebits,
 * no_new_privs.
 *
 * /proc/<pid>/task/<tid>/status tells all but the securebits. In a restored thread the order of the
 * calls matters and is explained at each step; nothing that needs a privilege may come after this
 * kind.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "kernel/proc.h"
#include "object/task-kinds.h"

#define CAP_WORDS 2
#define CAP_COUNT 64

struct creds_state {
	int securebits;
};

static int creds_ask(struct capture *cap, struct task_capture *tc, size_t thread, struct script *s,
		     void **state, struct error *err)
{
	struct creds_state *st = arena_new(&cap->set->arena, struct creds_state);

	(void)tc, (void)thread;
	if (!st)
		return error_nomem(err);
	st->securebits = script_call(s, SYS_prctl, PR_GET_SECUREBITS);
	*state = st;
	return 0;
}

static uint32_t *words(struct arena *arena, uint64_t set, size_t *ret_n)
{
	uint32_t *w = arena_array(arena, uint32_t, CAP_WORDS);

	if (w) {
		w[0] = (uint32_t)set;
		w[1] = (uint32_t)(set >> 32);
		*ret_n = CAP_WORDS;
	}
	return w;
}

static int fill(struct arena *arena, const struct proc_status *status, Img__Creds *creds,
		struct error *err)
{
	creds->uid = status->uid[PROC_ID_REAL];
	creds->euid = status->uid[PROC_ID_EFFECTIVE];
	creds->suid = status->uid[PROC_ID_SAVED];
	creds->fsuid = status->uid[PROC_ID_FS];
	creds->gid = status->gid[PROC_ID_REAL];
	creds->egid = status->gid[PROC_ID_EFFECTIVE];
	creds->sgid = status->gid[PROC_ID_SAVED];
	creds->fsgid = status->gid[PROC_ID_FS];
	creds->groups = status->groups;
	creds->n_groups = status->n_groups;
	creds->cap_inh = words(arena, status->cap_inh, &creds->n_cap_inh);
	creds->cap_prm = words(arena, status->cap_prm, &creds->n_cap_prm);
	creds->cap_eff = words(arena, status->cap_eff, &creds->n_cap_eff);
	creds->cap_bnd = words(arena, status->cap_bnd, &creds->n_cap_bnd);
	creds->cap_amb = words(arena, status->cap_amb, &creds->n_cap_amb);
	if (!creds->cap_inh || !creds->cap_prm || !creds->cap_eff || !creds->cap_bnd ||
	    !creds->cap_amb)
		return error_nomem(err);
	creds->has_no_new_privs = status->no_new_privs;
	creds->no_new_privs = status->no_new_privs;
	return 0;
}

static int creds_take(struct capture *cap, struct task_capture *tc, size_t thread, struct script *s,
		      void *state, struct error *err)
{
	Img__Creds *creds = img_new(cap->set, Img__Creds, creds);
	const struct creds_state *st = state;
	int r;

	if (!creds)
		return error_nomem(err);
	if (script_result(s, st->securebits) < 0)
		return script_failed(s, st->securebits, tc, "PR_GET_SECUREBITS", err);
	r = fill(&cap->set->arena, tc->task->threads[thread].status, creds, err);
	if (r < 0)
		return r;
	creds->secbits = (uint32_t)script_result(s, st->securebits);
	tc->thread_cores[thread]->thread_core->creds = creds;
	return 0;
}

static uint64_t set_of(const uint32_t *w, size_t n)
{
	return (n > 0 ? w[0] : 0) | (n > 1 ? (uint64_t)w[1] << 32 : 0);
}

static int put_ids(struct script *s, const Img__Creds *creds, struct error *err)
{
	uint64_t at = script_data(s, creds->groups, creds->n_groups * sizeof(*creds->groups));

	if (!at && creds->n_groups)
		return error_nomem(err);
	script_need(s, SYS_setgroups, creds->n_groups, creds->n_groups ? at : 0);
	script_need(s, SYS_setresgid, creds->gid, creds->egid, creds->sgid);
	script_need(s, SYS_setresuid, creds->uid, creds->euid, creds->suid);
	/* These two return the previous id, never an error. */
	script_call(s, SYS_setfsgid, creds->fsgid);
	script_call(s, SYS_setfsuid, creds->fsuid);
	return 0;
}

static int put_caps(struct script *s, const Img__Creds *creds, struct error *err)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[CAP_WORDS] = { 0 };
	uint64_t header_at, data_at;
	size_t i;

	for (i = 0; i < CAP_WORDS; i++) {
		data[i].inheritable = i < creds->n_cap_inh ? creds->cap_inh[i] : 0;
		data[i].permitted = i < creds->n_cap_prm ? creds->cap_prm[i] : 0;
		data[i].effective = i < creds->n_cap_eff ? creds->cap_eff[i] : 0;
	}
	header_at = script_data(s, &header, sizeof(header));
	data_at = script_data(s, data, sizeof(data));
	if (!header_at || !data_at)
		return error_nomem(err);
	script_need(s, SYS_capset, header_at, data_at);
	return 0;
}

/*
 * A thread that runs as root may be given capabilities that amber's bounding set lacks here: they
 * cannot come back, and must not be tried, or capset() would refuse the others too.
 */
static void limit_to(Img__Creds *creds, uint64_t have, struct restore *rst, pid_t pid)
{
	uint64_t lost = set_of(creds->cap_prm, creds->n_cap_prm) & ~have;
	size_t i;

	for (i = 0; i < CAP_WORDS; i++) {
		uint32_t mask = (uint32_t)(have >> (32 * i));

		if (i < creds->n_cap_inh)
			creds->cap_inh[i] &= mask;
		if (i < creds->n_cap_prm)
			creds->cap_prm[i] &= mask;
		if (i < creds->n_cap_eff)
			creds->cap_eff[i] &= mask;
		if (i < creds->n_cap_amb)
			creds->cap_amb[i] &= mask;
	}
	if (lost)
		restore_gap(rst, GAP_COSMETIC, "creds", pid, "capabilities",
			    "0x%llx are not to be had on this node", (unsigned long long)lost);
}

static uint64_t own_bounding_set(void)
{
	uint64_t set = 0;
	int i;

	for (i = 0; i < CAP_COUNT; i++)
		if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
			set |= 1ULL << i;
	return set;
}

static int creds_revive(struct restore *rst, struct restore_task *task, size_t thread,
			struct script *s, struct error *err)
{
	Img__Creds *creds = task->threads[thread].core->thread_core->creds;
	uint64_t have = own_bounding_set(), bounding, ambient;
	int i, r;

	if (!creds)
		return error_set(err, ERROR_INPUT, EINVAL,
				 "thread %d has no credentials in the image",
				 task->threads[thread].tid);
	bounding = set_of(creds->cap_bnd, creds->n_cap_bnd);
	ambient = set_of(creds->cap_amb, creds->n_cap_amb);
	limit_to(creds, have, rst, task->pid);

	/* Without the fixup a change of uid leaves capabilities alone. */
	script_need(s, SYS_prctl, PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS);
	r = put_ids(s, creds, err);
	if (r < 0)
		return r;
	/* Dropping from the bounding set needs CAP_SETPCAP, so it comes before capset(). */
	for (i = 0; i < CAP_COUNT; i++)
		if ((have & 1ULL << i) && !(bounding & 1ULL << i))
			script_need(s, SYS_prctl, PR_CAPBSET_DROP, i);
	/* Securebits need it too; the ambient bit forbids raising, so it waits. */
	if (ambient & have) {
		/* Ambient capabilities must be permitted and inheritable first; capset() with the
		 * final sets does that, and CAP_SETPCAP may be gone then: raise before dropping. */
		Img__Creds full = *creds;
		uint32_t all[CAP_WORDS] = { (uint32_t)have, (uint32_t)(have >> 32) };

		full.cap_prm = full.cap_eff = all;
		full.n_cap_prm = full.n_cap_eff = CAP_WORDS;
		r = put_caps(s, &full, err);
		if (r < 0)
			return r;
		for (i = 0; i < CAP_COUNT; i++)
			if (ambient & have & 1ULL << i)
				script_need(s, SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i);
	}
	script_need(s, SYS_prctl, PR_SET_SECUREBITS, creds->secbits);
	r = put_caps(s, creds, err);
	if (r < 0)
		return r;
	if (creds->has_no_new_privs && creds->no_new_privs)
		script_need(s, SYS_prctl, PR_SET_NO_NEW_PRIVS, 1);
	return 0;
}

const struct task_kind creds_kind = {
	.name = "creds",
	.ask_thread = creds_ask,
	.take_thread = creds_take,
	.revive_thread = creds_revive,
};
