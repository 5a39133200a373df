// SPDX-License-Identifier: Apache-2.0
/*
 * op: see op.h.
 */
#include "base/op.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

void op_log(struct op *op, enum log_level level, const char *fmt, ...)
{
	static const char *const names[] = { "Error", "Warn", "info", "debug" };
	char line[2048];
	uint64_t now;
	va_list ap;
	int n, m;

	if (!op || (level > op->log_level && !op->log_buf))
		return;
	now = clock_ns();
	n = snprintf(line, sizeof(line),
		     "(%05llu.%06llu) %s: ", (unsigned long long)(now / 1000000000ULL % 100000),
		     (unsigned long long)(now / 1000 % 1000000), names[level]);
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	n = (int)strlen(line);
	(void)m;
	line[n++] = '\n';
	if (op->log_buf && buf_append(op->log_buf, line, (size_t)n, NULL) < 0)
		op->log_buf = NULL; /* a log that cannot grow must not fail the capture */
	if (op->log_fd >= 0 && level <= op->log_level)
		(void)!write(op->log_fd, line, (size_t)n);
}

int op_cancelled(struct op *op, struct error *err)
{
	if (op && op->cancel && *op->cancel)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled by a signal");
	return 0;
}

void op_progress(struct op *op, const char *what, uint64_t done, uint64_t total)
{
	char line[160];
	uint64_t now;
	int n;

	if (op->progress_fd < 0)
		return;
	now = clock_ns();
	if (now - op->progress_last_ns < 100000000ULL)
		return;
	op->progress_last_ns = now;
	if (total)
		n = snprintf(line, sizeof(line), "\r\033[K%s: %llu of %llu MiB (%llu%%)", what,
			     (unsigned long long)(done >> 20), (unsigned long long)(total >> 20),
			     (unsigned long long)(done * 100 / total));
	else
		n = snprintf(line, sizeof(line), "\r\033[K%s: %llu MiB", what,
			     (unsigned long long)(done >> 20));
	(void)!write(op->progress_fd, line, (size_t)MIN(n, (int)sizeof(line) - 1));
}

void op_progress_end(struct op *op)
{
	if (op->progress_fd >= 0 && op->progress_last_ns)
		(void)!write(op->progress_fd, "\r\033[K", 4);
	op->progress_last_ns = 0;
}
