// SPDX-License-Identifier: Apache-2.0
/*
 * proc-limits: /proc/PID/limits. Never depends on the order or the widths of its columns.
 */
#include "kernel/proc-limits.h"

#include "kernel/proc.h"
#include "kernel/scan.h"

static const struct {
	int number;
	const char *name;
} limit_names[] = {
	{ RLIMIT_CPU, "Max cpu time" },
	{ RLIMIT_FSIZE, "Max file size" },
	{ RLIMIT_DATA, "Max data size" },
	{ RLIMIT_STACK, "Max stack size" },
	{ RLIMIT_CORE, "Max core file size" },
	{ RLIMIT_RSS, "Max resident set" },
	{ RLIMIT_NPROC, "Max processes" },
	{ RLIMIT_NOFILE, "Max open files" },
	{ RLIMIT_MEMLOCK, "Max locked memory" },
	{ RLIMIT_AS, "Max address space" },
	{ RLIMIT_LOCKS, "Max file locks" },
	{ RLIMIT_SIGPENDING, "Max pending signals" },
	{ RLIMIT_MSGQUEUE, "Max msgqueue size" },
	{ RLIMIT_NICE, "Max nice priority" },
	{ RLIMIT_RTPRIO, "Max realtime priority" },
	{ RLIMIT_RTTIME, "Max realtime timeout" },
};

static bool take_value(struct scan *s, uint64_t *ret)
{
	struct scan t = *s, word;

	if (!scan_word(&t, &word))
		return false;
	if (scan_is(&word, "unlimited")) {
		*ret = UINT64_MAX;
		*s = t;
		return true;
	}
	return scan_u64(s, 10, ret);
}

int proc_limits_parse(struct bytes text, struct proc_limits *ret, struct error *err)
{
	struct proc_limits limits = { 0 };
	struct scan s = scan_of(text), line;
	size_t found = 0;

	while (scan_line(&s, &line)) {
		for (size_t i = 0; i < ARRAY_SIZE(limit_names); i++) {
			__typeof__(&limits.limit[0]) limit = &limits.limit[limit_names[i].number];

			if (!scan_lit(&line, limit_names[i].name))
				continue;
			if (!take_value(&line, &limit->soft) || !take_value(&line, &limit->hard))
				return proc_malformed(err, "limits", limit_names[i].name);
			limit->known = true;
			found++;
			break;
		}
	}
	if (!found)
		return proc_malformed(err, "limits", "no limit");
	*ret = limits;
	return 0;
}

int proc_limits_read(int proc_fd, struct proc_limits *ret, struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	int r;

	r = proc_read(proc_fd, "limits", PROC_LIMITS_MAX_BYTES, &text, err);
	if (r < 0)
		return r;
	return proc_limits_parse((struct bytes){ text.data, text.len }, ret, err);
}
