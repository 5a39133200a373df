// SPDX-License-Identifier: Apache-2.0
/*
 * proc-status: /proc/PID/status. Lines that a newer kernel adds are skipped, never an error.
 */
#include "kernel/proc-status.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kernel/proc.h"
#include "kernel/scan.h"

#define REREAD_SIZE 4096

/* How the value of a line becomes a field. Ids that must be there are told by required. */
enum status_type {
	NAME,	/* escaped text */
	STATE,	/* one letter */
	OCT,	/* uint32_t */
	I32,	/* int32_t */
	U32,	/* uint32_t */
	U64,	/* uint64_t */
	HEX,	/* uint64_t */
	KIB,	/* uint64_t in bytes */
	BOOL,	/* bool */
	IDS,	/* four uint32_t */
	GROUPS, /* any number of uint32_t */
	NS,	/* pid_t[PROC_STATUS_NS_MAX] */
	QUEUE,	/* "used/limit": two uint64_t */
};

struct status_line {
	const char *name;
	enum status_type type;
	size_t offset;
	bool required;
};

#define LINE(name, type, field)                                                                    \
	{                                                                                          \
		name ":", type, offsetof(struct proc_status, field), false                         \
	}
#define REQUIRED(name, type, field)                                                                \
	{                                                                                          \
		name ":", type, offsetof(struct proc_status, field), true                          \
	}

static const struct status_line status_lines[] = {
	REQUIRED("Name", NAME, name),
	LINE("Umask", OCT, umask),
	REQUIRED("State", STATE, state),
	LINE("Tgid", I32, tgid),
	REQUIRED("Pid", I32, pid),
	LINE("PPid", I32, ppid),
	LINE("TracerPid", I32, tracer_pid),
	REQUIRED("Uid", IDS, uid),
	REQUIRED("Gid", IDS, gid),
	LINE("FDSize", U32, fd_size),
	LINE("Groups", GROUPS, groups),
	LINE("NStgid", NS, ns_tgid),
	LINE("NSpid", NS, ns_pid),
	LINE("NSpgid", NS, ns_pgid),
	LINE("NSsid", NS, ns_sid),
	LINE("Kthread", BOOL, kthread),
	LINE("VmSize", KIB, vm_size),
	LINE("VmLck", KIB, vm_lck),
	LINE("VmPin", KIB, vm_pin),
	LINE("VmRSS", KIB, vm_rss),
	LINE("RssAnon", KIB, rss_anon),
	LINE("RssFile", KIB, rss_file),
	LINE("RssShmem", KIB, rss_shmem),
	LINE("VmSwap", KIB, vm_swap),
	LINE("THP_enabled", BOOL, thp_enabled),
	LINE("Threads", U32, threads),
	LINE("SigQ", QUEUE, sig_q),
	LINE("SigPnd", HEX, sig_pnd),
	LINE("ShdPnd", HEX, shd_pnd),
	LINE("SigBlk", HEX, sig_blk),
	LINE("SigIgn", HEX, sig_ign),
	LINE("SigCgt", HEX, sig_cgt),
	LINE("CapInh", HEX, cap_inh),
	LINE("CapPrm", HEX, cap_prm),
	LINE("CapEff", HEX, cap_eff),
	LINE("CapBnd", HEX, cap_bnd),
	LINE("CapAmb", HEX, cap_amb),
	LINE("NoNewPrivs", BOOL, no_new_privs),
	LINE("Seccomp", U32, seccomp),
	LINE("Seccomp_filters", U32, seccomp_filters),
	LINE("voluntary_ctxt_switches", U64, voluntary_switches),
	LINE("nonvoluntary_ctxt_switches", U64, nonvoluntary_switches),
};

/* The kernel escapes two bytes here: a backslash as two, a newline as \n. */
static void take_name(struct scan s, struct proc_status *status)
{
	size_t n = 0;

	while (!scan_done(&s) && n < sizeof(status->name) - 1) {
		char c = *s.at++;

		if (c == '\\' && !scan_done(&s)) {
			c = *s.at++;
			if (c == 'n')
				c = '\n';
		}
		status->name[n++] = c;
	}
	status->name[n] = '\0';
}

static int take_groups(struct scan s, struct proc_status *status, struct arena *arena,
		       struct error *err)
{
	uint32_t gid;

	status->groups = NULL;
	status->n_groups = 0;
	while (scan_u32(&s, 10, &gid)) {
		if (status->n_groups >= PROC_STATUS_GROUPS_MAX)
			return proc_too_many(err, "groups", PROC_STATUS_GROUPS_MAX);
		status->groups = arena_grow(arena, status->groups, status->n_groups, sizeof(gid));
		if (!status->groups)
			return error_nomem(err);
		status->groups[status->n_groups++] = gid;
	}
	return 0;
}

/* The four lines have equally many numbers; the shortest decides how many are told. */
static bool take_ns(struct scan s, struct proc_status *status, pid_t *pids)
{
	size_t n = 0;

	while (n < PROC_STATUS_NS_MAX && scan_i32(&s, &pids[n]))
		n++;
	if (pids == status->ns_tgid || n < status->n_ns)
		status->n_ns = n;
	return n > 0;
}

static bool take_ids(struct scan s, uint32_t *ids)
{
	for (size_t i = 0; i < PROC_ID_COUNT; i++)
		if (!scan_u32(&s, 10, &ids[i]))
			return false;
	return true;
}

static bool take_simple(struct scan s, enum status_type type, void *to)
{
	uint32_t word;
	uint64_t *number = to;

	switch (type) {
	case STATE:
		scan_blanks(&s);
		if (scan_done(&s))
			return false;
		*(char *)to = *s.at;
		return true;
	case OCT:
		return scan_u32(&s, 8, to);
	case I32:
		return scan_i32(&s, to);
	case U32:
		return scan_u32(&s, 10, to);
	case U64:
		return scan_u64(&s, 10, number);
	case HEX:
		return scan_u64(&s, 16, number);
	case KIB:
		if (!scan_u64(&s, 10, number) || *number > UINT64_MAX >> 10)
			return false;
		*number <<= 10;
		return true;
	case BOOL:
		if (!scan_u32(&s, 10, &word))
			return false;
		*(bool *)to = word != 0;
		return true;
	case QUEUE:
		return scan_u64(&s, 10, number) && scan_lit(&s, "/") &&
		       scan_u64(&s, 10, number + 1);
	default:
		return false;
	}
}

static int take_line(const struct status_line *line, struct scan s, struct proc_status *status,
		     struct arena *arena, struct error *err)
{
	void *to = (char *)status + line->offset;
	bool ok = true;

	if (line->type == GROUPS)
		return take_groups(s, status, arena, err);
	if (line->type == NAME)
		take_name(s, status);
	else if (line->type == NS)
		ok = take_ns(s, status, to);
	else if (line->type == IDS)
		ok = take_ids(s, to);
	else
		ok = take_simple(s, line->type, to);
	if (!ok)
		return proc_malformed(err, "status", line->name);
	if (line->offset == offsetof(struct proc_status, umask))
		status->has_umask = true;
	if (line->offset == offsetof(struct proc_status, vm_size))
		status->has_mm = true;
	if (line->offset == offsetof(struct proc_status, thp_enabled))
		status->has_thp_enabled = true;
	return 0;
}

int proc_status_parse(struct bytes text, struct arena *arena, struct proc_status *ret,
		      struct error *err)
{
	struct scan s = scan_of(text), line;
	struct proc_status status = { 0 };
	uint64_t seen = 0;
	size_t next = 0;
	int r;

	_Static_assert(ARRAY_SIZE(status_lines) <= 64, "seen is a bit set");
	while (scan_line(&s, &line)) {
		/* Lines stand in the table in the kernel's order: the next one is the first guess.
		 */
		for (size_t k = 0; k < ARRAY_SIZE(status_lines); k++) {
			size_t i = (next + k) % ARRAY_SIZE(status_lines);

			if (!scan_lit(&line, status_lines[i].name))
				continue;
			next = i + 1;
			/* Only the tab is the kernel's: a name may begin with blanks. */
			if (!scan_lit(&line, "\t"))
				scan_blanks(&line);
			r = take_line(&status_lines[i], line, &status, arena, err);
			if (r < 0)
				return r;
			seen |= (uint64_t)1 << i;
			break;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(status_lines); i++)
		if (status_lines[i].required && !(seen & (uint64_t)1 << i))
			return proc_malformed(err, "status", status_lines[i].name);
	*ret = status;
	return 0;
}

int proc_status_reread(int status_fd, struct arena *arena, struct proc_status *ret,
		       struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	char page[REREAD_SIZE];
	size_t len = 0;
	ssize_t n;
	int r;

	do {
		n = pread(status_fd, page, sizeof(page), (off_t)len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, errno, "reading the status of a thread");
		len += (size_t)n;
		/* As a rule the first read is all: less than a buffer is the end. */
		if (len == (size_t)n && n < (ssize_t)sizeof(page))
			return proc_status_parse((struct bytes){ (unsigned char *)page, len },
						 arena, ret, err);
		if (len > PROC_STATUS_MAX_BYTES)
			return proc_too_many(err, "bytes of status", PROC_STATUS_MAX_BYTES);
		r = buf_append(&text, page, (size_t)n, err);
		if (r < 0)
			return r;
	} while (n);
	return proc_status_parse((struct bytes){ text.data, text.len }, arena, ret, err);
}

int proc_status_read(int proc_fd, struct arena *arena, struct proc_status *ret, struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	int r;

	r = proc_read(proc_fd, "status", PROC_STATUS_MAX_BYTES, &text, err);
	if (r < 0)
		return r;
	return proc_status_parse((struct bytes){ text.data, text.len }, arena, ret, err);
}
