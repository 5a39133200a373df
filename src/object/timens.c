// SPDX-License-Identifier: Apache-2.0
/*
 * timens: the clocks that count from boot, as the container reads them.
 *
 * Programs keep deadlines as values of CLOCK_MONOTONIC. A copy must find the clock where it was
 * captured, on whatever machine and however often it is restored. A time namespace has to be there
 * before its first task, so the other direction is the controller's (restore/clock.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <time.h>

#include "base/cleanup.h"
#include "kernel/proc.h"
#include "kernel/scan.h"
#include "object/namespace-kinds.h"

#define NS_PER_S	  1000000000LL
#define OFFSETS_MAX_BYTES 4096

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

const struct namespace_kind time_namespace_kind = {
	.name = "time",
	.kind = NS_TIME,
	.clone_flag = CLONE_NEWTIME,
	.capture = time_capture,
};
