// SPDX-License-Identifier: Apache-2.0
/*
 * timens: the clocks that count from boot, both directions.
 *
 * Programs keep deadlines as values of CLOCK_MONOTONIC. A copy must find the clock where it was
 * captured, on whatever machine and however often it is restored, so it gets offsets of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "kernel/proc.h"
#include "kernel/scan.h"
#include "object/namespace-kinds.h"

#define NS_PER_S	  1000000000LL
#define OFFSETS_MAX_BYTES 4096
#define SECONDS_MAX	  ((uint64_t)1 << 32) /* the kernel refuses clocks beyond 146 years */

struct offsets {
	int64_t monotonic, boottime; /* nanoseconds that the namespace adds */
};

/* Lines of "monotonic SECONDS NANOSECONDS". A kernel without time namespaces has no such file. */
static int offsets_read(int proc_fd, struct offsets *ret)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct scan s, line, word;
	int64_t sec, ns;

	*ret = (struct offsets){ 0 };
	if (proc_read(proc_fd, "timens_offsets", OFFSETS_MAX_BYTES, &text, NULL) < 0)
		return -ENOENT;
	s = scan_of((struct bytes){ text.data, text.len });
	while (scan_line(&s, &line)) {
		if (!scan_word(&line, &word) || !scan_i64(&line, &sec) || !scan_i64(&line, &ns))
			return -EBADMSG;
		if (scan_is(&word, "monotonic") || scan_is(&word, "1"))
			ret->monotonic = sec * NS_PER_S + ns;
		else if (scan_is(&word, "boottime") || scan_is(&word, "7"))
			ret->boottime = sec * NS_PER_S + ns;
	}
	return 0;
}

static int64_t clock_now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int own_offsets(struct offsets *ret)
{
	_cleanup_close_ int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return self < 0 ? -errno : offsets_read(self, ret);
}

static Img__Timespec *timespec_of(struct capture *cap, int64_t ns)
{
	Img__Timespec *ts = img_new(cap->set, Img__Timespec, timespec);

	if (ts) {
		ts->tv_sec = (uint64_t)(ns / NS_PER_S);
		ts->tv_nsec = (uint64_t)(ns % NS_PER_S);
	}
	return ts;
}

int timens_capture(struct capture *cap, uint32_t id, struct error *err)
{
	Img__Timens *e = img_new(cap->set, Img__Timens, timens);
	struct offsets theirs, ours;

	if (!e)
		return error_nomem(err);
	/* nobody has to join the namespace: its clocks are ours and the difference of the offsets
	 */
	if (offsets_read(cap->root->proc_fd, &theirs) < 0 || own_offsets(&ours) < 0)
		theirs = ours = (struct offsets){ 0 };
	e->monotonic =
		timespec_of(cap, clock_now(CLOCK_MONOTONIC) + theirs.monotonic - ours.monotonic);
	e->boottime = timespec_of(cap, clock_now(CLOCK_BOOTTIME) + theirs.boottime - ours.boottime);
	if (!e->monotonic || !e->boottime)
		return error_nomem(err);
	return image_add(cap->set, IMAGE_TIMENS, id, &e->base, (struct bytes){ 0 }, err);
}

static int time_capture(struct capture *cap, const struct capture_ns *ns, struct error *err)
{
	return timens_capture(cap, ns->id, err);
}

static int offset_write(int fd, clockid_t clock, const Img__Timespec *wanted, int64_t own,
			struct error *err)
{
	int64_t host = clock_now(clock) - own; /* as it is in the first namespace */
	int64_t offset, sec, ns;
	char line[96];
	int n;

	if (wanted->tv_sec > SECONDS_MAX || wanted->tv_nsec >= NS_PER_S)
		return error_set(err, ERROR_INPUT, EINVAL, "the images have an impossible clock");
	offset = (int64_t)wanted->tv_sec * NS_PER_S + (int64_t)wanted->tv_nsec - host;
	sec = offset / NS_PER_S;
	ns = offset % NS_PER_S;
	if (ns < 0) { /* the kernel wants nanoseconds that are not negative */
		ns += NS_PER_S;
		sec--;
	}
	n = snprintf(line, sizeof(line), "%d %lld %lld\n", clock, (long long)sec, (long long)ns);
	return fd_write_all(fd, line, (size_t)n, err);
}

int timens_prepare(struct restore *rst, const Img__TaskKobjIds *ids, struct error *err)
{
	const Img__Timens *e = NULL;
	_cleanup_close_ int fd = -1;
	struct offsets own;
	int r;

	if (ids && ids->has_time_ns_id)
		e = image_single(rst->set, IMAGE_TIMENS, ids->time_ns_id);
	if (!e)
		e = image_single(rst->set, IMAGE_TIMENS, 0);
	if (!e)
		return 0; /* images of older CRIU: clocks go on from wherever the host's are */
	if (own_offsets(&own) < 0 || unshare(CLONE_NEWTIME) < 0) {
		restore_gap(
			rst, GAP_DEGRADED, "time namespace", 0, "CLOCK_MONOTONIC",
			"this kernel gives no time namespace: clocks that count from boot jump");
		return RESTORE_GAP;
	}
	fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "cannot open the offsets of the new time namespace");
	r = offset_write(fd, CLOCK_MONOTONIC, e->monotonic, own.monotonic, err);
	if (r >= 0)
		r = offset_write(fd, CLOCK_BOOTTIME, e->boottime, own.boottime, err);
	return r < 0 ? error_while(err, r, "setting the clocks of the sandbox") : 0;
}

const struct namespace_kind time_namespace_kind = {
	.name = "time",
	.kind = NS_TIME,
	.clone_flag = CLONE_NEWTIME,
	.capture = time_capture,
};
