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
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>

#include "kernel/proc-fdinfo.h"
#include "kernel/proc.h"
#include "object/fd-capture.h"
#include "object/fd-kinds.h"
#include "object/file-index.h"
#include "object/fown.h"

#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t)
#endif

#define NSEC_PER_SEC 1000000000ULL
#define EXPIRY_MS    20 /* for a timer that is due at once */

static bool timerfd_match(const struct fd_facts *facts)
{
	return strcmp(facts->link, "anon_inode:[timerfd]") == 0;
}

/*
 * A periodic timer that has expired stands still until somebody reads it: the kernel counts what it
 * missed only then. fdinfo shows such a one with an interval and nothing left.
 */
static bool timerfd_stands(const Img__Timerfd *tfd)
{
	return tfd->ticks && !tfd->vsec && !tfd->vnsec && (tfd->isec || tfd->insec);
}

static bool watched_by_edge(const Img__EventpollFile *epfd, int fd)
{
	size_t i;

	for (i = 0; i < epfd->n_tfd; i++)
		if ((int)epfd->tfd[i]->tfd == fd && epfd->tfd[i]->events & EPOLLET)
			return true;
	return false;
}

/* Does an epoll instance wait for the timer's next edge, under any of its numbers? */
static bool edge_awaited(struct capture *cap, const struct fd_facts *facts)
{
	const struct image *files = image_find(cap->set, IMAGE_FILES, 0);
	const struct file_slot *slots;
	size_t i, k, n;

	slots = file_index_slots(cap->files, &n);
	for (i = 0; files && i < files->n_entries; i++) {
		const Img__FileEntry *entry = image_message(files, i);

		for (k = 0; entry->epfd && k < n; k++)
			if (slots[k].id == facts->id && watched_by_edge(entry->epfd, slots[k].fd))
				return true;
	}
	return false;
}

/*
 * How often has a timer that stands really expired? timerfd_gettime() makes the kernel count, and
 * run the timer on. No reader and no poll() can tell; edge-triggered epoll would get one more
 * event, so its timers are left standing, and what they missed is not known.
 */
static int timerfd_count(struct capture *cap, const struct fd_facts *facts, Img__Timerfd *tfd,
			 struct error *err)
{
	_cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
	_cleanup_close_ int proc = -1;
	struct proc_fdinfo info;
	struct itimerspec left;
	int r;

	if (edge_awaited(cap, facts))
		return fd_gap(cap, facts, GAP_COSMETIC, "timerfd", 0, err,
			      "expiries since the first that was not read are not counted");
	if (timerfd_gettime(facts->dup, &left) < 0)
		return error_errno(err, errno, "cannot ask a timer for the time left");
	r = proc_open(getpid(), &proc, err);
	if (r == 0)
		r = proc_fdinfo_read(proc, facts->dup, &arena, &info, err);
	if (r < 0)
		return r;
	tfd->ticks = info.timerfd.ticks;
	tfd->vsec = info.timerfd.value_sec;
	tfd->vnsec = info.timerfd.value_nsec;
	return 0;
}

static int timerfd_capture(struct capture *cap, const struct fd_facts *facts, Img__FileEntry *entry,
			   struct error *err)
{
	Img__Timerfd *tfd = img_new(cap->set, Img__Timerfd, timerfd);
	int r;

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
	if (timerfd_stands(tfd)) {
		r = timerfd_count(cap, facts, tfd, err);
		if (r < 0)
			return r;
	}
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

/* What to arm the timer with. */
static int timerfd_setting(const Img__Timerfd *tfd, struct itimerspec *ret, struct error *err)
{
	struct timespec now;

	ret->it_interval = (struct timespec){ tfd->isec, tfd->insec };
	ret->it_value = (struct timespec){ tfd->vsec, tfd->vnsec };
	if (!tfd->vsec && !tfd->vnsec) {
		if (!tfd->isec && !tfd->insec)
			return 0;	   /* not armed */
		ret->it_value.tv_nsec = 1; /* due */
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

static int timerfd_arm(struct restore *rst, struct restore_task *task, const Img__Timerfd *tfd,
		       int fd, struct error *err)
{
	struct pollfd expiry = { .fd = fd, .events = POLLIN };
	uint64_t ticks = tfd->ticks;
	struct itimerspec setting;
	char subject[32];
	int r;

	r = timerfd_setting(tfd, &setting, err);
	if (r < 0)
		return r;
	if ((setting.it_value.tv_sec || setting.it_value.tv_nsec) &&
	    timerfd_settime(fd, tfd->settime_flags, &setting, NULL) < 0)
		return error_errno(err, errno, "cannot arm the timer at descriptor %d", fd);
	if (timerfd_stands(tfd))
		(void)poll(&expiry, 1, EXPIRY_MS);
	if (ticks && ioctl(fd, TFD_IOC_SET_TICKS, &ticks) < 0) {
		(void)snprintf(subject, sizeof(subject), "fd %d", fd);
		restore_gap(rst, GAP_DEGRADED, "timerfd", task->pid, subject,
			    "%llu expiries that were not read yet are lost: %s",
			    (unsigned long long)ticks, strerror(errno));
	}
	return 0;
}

static int timerfd_attach(struct restore *rst, struct restore_task *task, Img__FileEntry *entry,
			  int fd, struct error *err)
{
	if (restore_file_first_task(rst, entry->id, NULL) == task) {
		int r = timerfd_arm(rst, task, entry->tfd, fd, err);

		if (r < 0)
			return r;
	}
	return fown_attach(rst, task, entry->tfd->fown, fd, err);
}

const struct fd_kind timerfd_kind = {
	.name = "timerfd",
	.type = IMG__FD_TYPES__TIMERFD,
	.match = timerfd_match,
	.capture = timerfd_capture,
	.open = timerfd_open,
	.attach = timerfd_attach,
};
