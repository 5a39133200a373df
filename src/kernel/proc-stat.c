// SPDX-License-Identifier: Apache-2.0
/*
 * proc-stat: the one line of /proc/PID/stat. Never looks for the end of comm from the left.
 */
#include "kernel/proc-stat.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kernel/proc.h"
#include "kernel/scan.h"

#define LINE_SIZE 2048 /* 52 numbers and a name take half of it */

/* How a field of the line becomes a field of the struct. */
enum stat_type { I32, U32, I64, U64, SKIP };

struct stat_field {
	enum stat_type type;
	size_t offset;
};

#define FIELD(type, name)                                                                          \
	{                                                                                          \
		type, offsetof(struct proc_stat, name)                                             \
	}

/* From field 4 (ppid) on, as proc(5) numbers them. */
static const struct stat_field stat_fields[] = {
	FIELD(I32, ppid),
	FIELD(I32, pgrp),
	FIELD(I32, session),
	FIELD(I32, tty_nr),
	FIELD(I32, tpgid),
	FIELD(U32, flags),
	FIELD(U64, min_flt),
	FIELD(U64, cmin_flt),
	FIELD(U64, maj_flt),
	{ SKIP, 0 }, /* cmajflt */
	FIELD(U64, utime),
	FIELD(U64, stime),
	FIELD(I64, cutime),
	FIELD(I64, cstime),
	FIELD(I64, priority),
	FIELD(I64, nice),
	FIELD(I64, num_threads),
	{ SKIP, 0 }, /* itrealvalue */
	FIELD(U64, start_time),
	FIELD(U64, vsize),
	FIELD(I64, rss),
	{ SKIP, 0 }, /* rsslim */
	FIELD(U64, start_code),
	FIELD(U64, end_code),
	FIELD(U64, start_stack),
	{ SKIP, 0 }, /* kstkesp */
	{ SKIP, 0 }, /* kstkeip */
	{ SKIP, 0 }, /* signal */
	{ SKIP, 0 }, /* blocked */
	{ SKIP, 0 }, /* sigignore */
	{ SKIP, 0 }, /* sigcatch */
	{ SKIP, 0 }, /* wchan */
	{ SKIP, 0 }, /* nswap */
	{ SKIP, 0 }, /* cnswap */
	FIELD(I32, exit_signal),
	FIELD(I32, processor),
	FIELD(U32, rt_priority),
	FIELD(U32, policy),
	{ SKIP, 0 }, /* delayacct_blkio_ticks */
	{ SKIP, 0 }, /* guest_time */
	{ SKIP, 0 }, /* cguest_time */
	FIELD(U64, start_data),
	FIELD(U64, end_data),
	FIELD(U64, start_brk),
	FIELD(U64, arg_start),
	FIELD(U64, arg_end),
	FIELD(U64, env_start),
	FIELD(U64, env_end),
	FIELD(I32, exit_code),
};

static bool take_field(struct scan *s, const struct stat_field *field, struct proc_stat *stat)
{
	char *at = (char *)stat + field->offset;
	struct scan word;

	switch (field->type) {
	case I32:
		return scan_i32(s, (int32_t *)(void *)at);
	case U32:
		return scan_u32(s, 10, (uint32_t *)(void *)at);
	case I64:
		return scan_i64(s, (int64_t *)(void *)at);
	case U64:
		return scan_u64(s, 10, (uint64_t *)(void *)at);
	case SKIP:
		break;
	}
	return scan_word(s, &word);
}

int proc_stat_parse(struct bytes text, struct proc_stat *ret, struct error *err)
{
	struct scan s = scan_of(text), comm, word;
	struct proc_stat stat = { 0 };
	const char *close;
	size_t len;

	while (scan_left(&s) && s.end[-1] == '\n')
		s.end--;
	close = s.at == s.end ? NULL : memrchr(s.at, ')', scan_left(&s));
	if (!scan_i32(&s, &stat.pid) || !scan_lit(&s, " (") || !close || close < s.at)
		return proc_malformed(err, "stat", "pid and comm");
	comm = (struct scan){ s.at, close };
	len = MIN(scan_left(&comm), sizeof(stat.comm) - 1);
	memcpy(stat.comm, comm.at, len);
	s.at = close + 1;
	if (!scan_word(&s, &word) || scan_left(&word) != 1)
		return proc_malformed(err, "stat", "state");
	stat.state = *word.at;
	for (size_t i = 0; i < ARRAY_SIZE(stat_fields); i++)
		if (!take_field(&s, &stat_fields[i], &stat))
			return error_set(err, ERROR_INTERNAL, EBADMSG,
					 "stat is not as expected: field %zu", i + 4);
	*ret = stat;
	return 0;
}

int proc_stat_reread(int stat_fd, struct proc_stat *ret, struct error *err)
{
	unsigned char line[LINE_SIZE];
	ssize_t n;

	do
		n = pread(stat_fd, line, sizeof(line), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_errno(err, errno, "reading the stat of a process");
	return proc_stat_parse((struct bytes){ line, (size_t)n }, ret, err);
}

int proc_stat_read(int proc_fd, struct proc_stat *ret, struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	int r;

	r = proc_read(proc_fd, "stat", PROC_STAT_MAX_BYTES, &text, err);
	if (r < 0)
		return r;
	return proc_stat_parse((struct bytes){ text.data, text.len }, ret, err);
}
