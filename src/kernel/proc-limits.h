/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc-limits: /proc/PID/limits, as resource limits by their RLIMIT_* number.
 */
#pragma once

#include <sys/resource.h>

#include "base/arena.h"
#include "base/buf.h"

#define PROC_LIMITS_MAX_BYTES ((size_t)16 << 10)
#define PROC_LIMITS_COUNT     16 /* RLIM_NLIMITS */

struct proc_limits {
	struct {
		uint64_t soft, hard; /* UINT64_MAX = unlimited */
		bool known;
	} limit[PROC_LIMITS_COUNT];
};

/* proc_limits_parse - rows with names we do not know are skipped. Returns 0 or -EBADMSG. */
int proc_limits_parse(struct bytes text, struct proc_limits *ret, struct error *err) _must_check_;
int proc_limits_read(int proc_fd, struct proc_limits *ret, struct error *err) _must_check_;
