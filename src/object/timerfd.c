// SPDX-License-Identifier: Apache-2.0
/*
 * timerfd: timers behind descriptors, both directions.
 *
 * Time that passes between capture and restore does not count: a timer goes on with what was left
 * of it. That holds for absolute timers too, as in CRIU: their programs waited for a span, as a
 * rule. A timer is armed in attach(), as late as can be.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>

#include "kernel/proc-fdinfo.h"
#include "object/fd-kinds.h"
#include "object/fown.h"

#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t)
#endif

#define NSEC_PER_SEC 1000000000ULL

static bool timerfd_match(const struct fd_facts *facts)
{
	return strcmp(facts->link, "anon_inode:[timerfd]") == 0;
}

static int timerfd_capture(struct capture *cap, const struct fd_facts *facts, Img__FileEntry *entry,
			   struct error *err)
{
	Img__Timerfd *tfd = img_new(cap->set, Img__Timerfd, timerfd);

	if (!tfd)
		return error_nomem(err);
	tfd->id = facts->id;
	tfd->flags = facts->flags & ~O_CLOEXEC;
	tfd->clockid = facts->info->timerfd.clockid;
	tfd->ticks = facts->info->timerfd.ticks;
	tfd->settime_flags = facts->info->timerfd.settime_flags;
	tfd->vsec = facts->info->timerfd.value_sec;
	tfd->vnsec = facts->info->timerfd.value_nsec;
	tfd->isec = facts->info->timerfd.interval_sec;
	tfd->insec = facts->info->timerfd.interval_nsec;
	entry->tfd = tfd;
	return fown_capture(cap, facts, &tfd->fown, err);
}

static int timerfd_open(struct restore *rst, Img__FileEntry *entry, int *ret_fd, struct error *err)
{
	const Img__Timerfd *tfd = entry->tfd;
	_cleanup_close_ int fd = -1;
	int r;

	if (!tfd || tfd->vnsec >= NSEC_PER_SEC || tfd->insec >= NSEC_PER_SEC)
		return error_set(err, ERROR_INPUT, EBADMSG, "timerfd %u has no valid content",
				 entry->id);
	fd = timerfd_create(tfd->clockid, TFD_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "cannot make a timerfd of clock %u", tfd->clockid);
	r = file_params_restore(fd, tfd->flags, tfd->fown, err);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* What to arm the timer with, and how. */
static int timerfd_setting(const Img__Timerfd *tfd, struct itimerspec *ret, struct error *err)
{
	struct timespec now;

	ret->it_interval = (struct timespec){ tfd->isec, tfd->insec };
	ret->it_value = (struct timespec){ tfd->vsec, tfd->vnsec };
	if (!tfd->vsec && !tfd->vnsec) {
		/* Due, or a periodic one that stands until its ticks are read. */
		if (!tfd->isec && !tfd->insec)
			return 0;
		ret->it_value = ret->it_interval;
	}
	if (!(tfd->settime_flags & TFD_TIMER_ABSTIME))
		return 0;
	if (clock_gettime(tfd->clockid, &now) < 0)
		return error_errno(err, errno, "cannot read clock %u", tfd->clockid);
	ret->it_value.tv_sec += now.tv_sec;
	ret->it_value.tv_nsec += now.tv_nsec;
	if ((uint64_t)ret->it_value.tv_nsec >= NSEC_PER_SEC) {
		ret->it_value.tv_nsec -= NSEC_PER_SEC;
		ret->it_value.tv_sec++;
	}
	return 0;
}

static int timerfd_attach(struct restore *rst, struct restore_task *task, Img__FileEntry *entry,
			  int fd, struct error *err)
{
	const Img__Timerfd *tfd = entry->tfd;
	struct itimerspec setting;
	uint64_t ticks = tfd->ticks;
	int r;

	if (restore_file_first_task(rst, entry->id, NULL) == task) {
		r = timerfd_setting(tfd, &setting, err);
		if (r < 0)
			return r;
		if ((setting.it_value.tv_sec || setting.it_value.tv_nsec) &&
		    timerfd_settime(fd, tfd->settime_flags, &setting, NULL) < 0)
			return error_errno(err, errno, "cannot arm the timer at descriptor %d", fd);
		if (ticks && ioctl(fd, TFD_IOC_SET_TICKS, &ticks) < 0) {
			char subject[32];

			(void)snprintf(subject, sizeof(subject), "fd %d", fd);
			restore_gap(rst, GAP_DEGRADED, "timerfd", task->pid, subject,
				    "%llu expiries that were not read yet are lost: %s",
				    (unsigned long long)ticks, strerror(errno));
		}
	}
	return fown_attach(rst, task, tfd->fown, fd, err);
}

const struct fd_kind timerfd_kind = {
	.name = "timerfd",
	.type = IMG__FD_TYPES__TIMERFD,
	.match = timerfd_match,
	.capture = timerfd_capture,
	.open = timerfd_open,
	.attach = timerfd_attach,
};
