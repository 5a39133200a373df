// SPDX-License-Identifier: Apache-2.0
/*
 * clock: a time namespace for the sandbox. Without it every timeout that a program has computed
 * from CLOCK_MONOTONIC would be off by the age of two machines.
 */
#include "restore/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "base/fd.h"

#define NSEC 1000000000LL

static int append_offset(struct buf *text, int clock, const Img__Timespec *then)
{
	struct timespec now;
	int64_t sec, nsec;

	(void)clock_gettime(clock, &now);
	sec = (int64_t)then->tv_sec - now.tv_sec;
	nsec = (int64_t)then->tv_nsec - now.tv_nsec;
	if (nsec < 0) {
		nsec += NSEC;
		sec--;
	}
	return buf_printf(text, NULL, "%d %lld %lld\n", clock, (long long)sec, (long long)nsec);
}

void clock_continue(struct run *run)
{
	const struct image *image = run->rst.set->images[IMAGE_TIMENS];
	const Img__Timens *then = image ? image_message(image, 0) : NULL;
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct error err = ERROR_INIT;
	int r;

	if (!then || !then->monotonic || !then->boottime)
		return;
	r = unshare(CLONE_NEWTIME) < 0 ? error_errno(&err, errno, "unshare") : 0;
	if (r >= 0)
		r = append_offset(&text, CLOCK_MONOTONIC, then->monotonic);
	if (r >= 0)
		r = append_offset(&text, CLOCK_BOOTTIME, then->boottime);
	if (r >= 0)
		r = fd_write_file(AT_FDCWD, "/proc/self/timens_offsets", 0, 0, text.data, text.len,
				  &err);
	if (r < 0)
		restore_gap(&run->rst, GAP_DEGRADED, "time", 0, "monotonic clocks",
			    "they jump to this machine's: %s", err.text);
}
