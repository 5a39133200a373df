// SPDX-License-Identifier: Apache-2.0
/*
 * proc-fdinfo: what the kernel tells of one open file. Never drops a line it does not know.
 */
#include "kernel/proc-fdinfo.h"

#include <errno.h>

#include "kernel/proc.h"
#include "kernel/scan.h"

struct fdinfo_parse {
	struct proc_fdinfo *info;
	struct arena *arena;
	struct buf *rest;
	struct error *err;
};

/* Takes what stands behind the name of a line. 0, -EBADMSG, -E2BIG, -ENOMEM. */
typedef int fdinfo_fn(struct fdinfo_parse *p, struct scan s);

static int bad(struct fdinfo_parse *p, const char *what)
{
	return proc_malformed(p->err, "fdinfo", what);
}

/* grow - room for one more element, within PROC_FDINFO_MAX. NULL with the error set. */
static void *grow(struct fdinfo_parse *p, void *array, size_t n, size_t size, int *ret_r)
{
	if (n >= PROC_FDINFO_MAX) {
		*ret_r = proc_too_many(p->err, "lines of fdinfo", PROC_FDINFO_MAX);
		return NULL;
	}
	array = arena_grow(p->arena, array, n, size);
	if (!array)
		*ret_r = error_nomem(p->err);
	return array;
}

/* "name:" and a number behind it, blanks before both. */
static bool named(struct scan *s, const char *name, int base, uint64_t *ret)
{
	scan_blanks(s);
	return scan_lit(s, name) && scan_u64(s, base, ret);
}

static bool named_u32(struct scan *s, const char *name, int base, uint32_t *ret)
{
	scan_blanks(s);
	return scan_lit(s, name) && scan_u32(s, base, ret);
}

static int take_pos(struct fdinfo_parse *p, struct scan s)
{
	return scan_i64(&s, &p->info->pos) ? 0 : bad(p, "pos");
}

static int take_flags(struct fdinfo_parse *p, struct scan s)
{
	return scan_u32(&s, 8, &p->info->flags) ? 0 : bad(p, "flags");
}

static int take_mnt_id(struct fdinfo_parse *p, struct scan s)
{
	return scan_i32(&s, &p->info->mnt_id) ? 0 : bad(p, "mnt_id");
}

static int take_ino(struct fdinfo_parse *p, struct scan s)
{
	return scan_u64(&s, 10, &p->info->ino) ? 0 : bad(p, "ino");
}

static int take_lock(struct fdinfo_parse *p, struct scan s)
{
	struct proc_fdinfo *info = p->info;
	int r = 0;

	info->locks = grow(p, info->locks, info->n_locks, sizeof(*info->locks), &r);
	if (!info->locks)
		return r;
	r = proc_lock_parse((struct bytes){ (const unsigned char *)s.at, scan_left(&s) },
			    &info->locks[info->n_locks], p->err);
	if (r == 0)
		info->n_locks++;
	return r;
}

static int take_eventfd_count(struct fdinfo_parse *p, struct scan s)
{
	p->info->kind = PROC_FDINFO_EVENTFD;
	return scan_u64(&s, 16, &p->info->eventfd.count) ? 0 : bad(p, "eventfd-count");
}

static int take_eventfd_id(struct fdinfo_parse *p, struct scan s)
{
	return scan_i32(&s, &p->info->eventfd.id) ? 0 : bad(p, "eventfd-id");
}

static int take_eventfd_semaphore(struct fdinfo_parse *p, struct scan s)
{
	uint32_t value;

	if (!scan_u32(&s, 10, &value))
		return bad(p, "eventfd-semaphore");
	p->info->eventfd.semaphore = value != 0;
	p->info->eventfd.has_semaphore = true;
	return 0;
}

static int take_sigmask(struct fdinfo_parse *p, struct scan s)
{
	p->info->kind = PROC_FDINFO_SIGNALFD;
	return scan_u64(&s, 16, &p->info->sigmask) ? 0 : bad(p, "sigmask");
}

/* "tfd:        5 events:       19 data:                7  pos:0 ino:44 sdev:8" */
static int take_tfd(struct fdinfo_parse *p, struct scan s)
{
	struct proc_fdinfo *info = p->info;
	struct proc_fdinfo_tfd *tfd;
	int r = 0;

	info->kind = PROC_FDINFO_EPOLL;
	info->tfds = grow(p, info->tfds, info->n_tfds, sizeof(*info->tfds), &r);
	if (!info->tfds)
		return r;
	tfd = &info->tfds[info->n_tfds];
	if (!scan_i32(&s, &tfd->tfd) || !named_u32(&s, "events:", 16, &tfd->events) ||
	    !named(&s, "data:", 16, &tfd->data))
		return bad(p, "tfd");
	scan_blanks(&s);
	if (scan_lit(&s, "pos:")) {
		if (!scan_i64(&s, &tfd->pos) || !named(&s, "ino:", 16, &tfd->ino) ||
		    !named_u32(&s, "sdev:", 16, &tfd->sdev))
			return bad(p, "tfd");
		tfd->has_file = true;
	}
	info->n_tfds++;
	return 0;
}

static int take_clockid(struct fdinfo_parse *p, struct scan s)
{
	p->info->kind = PROC_FDINFO_TIMERFD;
	return scan_i32(&s, &p->info->timerfd.clockid) ? 0 : bad(p, "clockid");
}

static int take_ticks(struct fdinfo_parse *p, struct scan s)
{
	return scan_u64(&s, 10, &p->info->timerfd.ticks) ? 0 : bad(p, "ticks");
}

static int take_settime_flags(struct fdinfo_parse *p, struct scan s)
{
	return scan_u32(&s, 8, &p->info->timerfd.settime_flags) ? 0 : bad(p, "settime flags");
}

/* "(seconds, nanoseconds)" */
static bool take_time(struct scan *s, uint64_t *sec, uint64_t *nsec)
{
	scan_blanks(s);
	return scan_lit(s, "(") && scan_u64(s, 10, sec) && scan_lit(s, ",") &&
	       scan_u64(s, 10, nsec) && scan_lit(s, ")");
}

static int take_it_value(struct fdinfo_parse *p, struct scan s)
{
	__typeof__(p->info->timerfd) *t = &p->info->timerfd;

	return take_time(&s, &t->value_sec, &t->value_nsec) ? 0 : bad(p, "it_value");
}

static int take_it_interval(struct fdinfo_parse *p, struct scan s)
{
	__typeof__(p->info->timerfd) *t = &p->info->timerfd;

	return take_time(&s, &t->interval_sec, &t->interval_nsec) ? 0 : bad(p, "it_interval");
}

/* "fhandle-bytes:8 fhandle-type:1 f_handle:0011..": absent when the file system gives none. */
static bool take_handle(struct scan *s, struct proc_fdinfo_handle *handle)
{
	uint32_t len;
	size_t got;

	scan_blanks(s);
	if (scan_done(s))
		return true;
	if (!named_u32(s, "fhandle-bytes:", 16, &len) ||
	    !named_u32(s, "fhandle-type:", 16, &handle->type))
		return false;
	scan_blanks(s);
	if (!scan_lit(s, "f_handle:") ||
	    !scan_hex_bytes(s, handle->bytes, sizeof(handle->bytes), &got))
		return false;
	/* The kernel writes as many bytes as it says. */
	if (got != len)
		return false;
	handle->len = len;
	return true;
}

/* "inotify wd:3 ino:9e7e sdev:800013 mask:800afce ignored_mask:0 fhandle-..." */
static int take_inotify(struct fdinfo_parse *p, struct scan s)
{
	struct proc_fdinfo *info = p->info;
	struct proc_fdinfo_watch *watch;
	uint32_t wd;
	int r = 0;

	info->kind = PROC_FDINFO_INOTIFY;
	info->watches = grow(p, info->watches, info->n_watches, sizeof(*info->watches), &r);
	if (!info->watches)
		return r;
	watch = &info->watches[info->n_watches];
	if (!named_u32(&s, "wd:", 16, &wd) || !named(&s, "ino:", 16, &watch->ino) ||
	    !named_u32(&s, "sdev:", 16, &watch->sdev) ||
	    !named_u32(&s, "mask:", 16, &watch->mask) ||
	    !named_u32(&s, "ignored_mask:", 16, &watch->ignored_mask) ||
	    !take_handle(&s, &watch->handle))
		return bad(p, "inotify");
	watch->wd = (int32_t)wd;
	info->n_watches++;
	return 0;
}

/* One line for the group ("flags:"), then one for each mark, told apart by its first name. */
static int take_fanotify(struct fdinfo_parse *p, struct scan s)
{
	__typeof__(p->info->fanotify) *fan = &p->info->fanotify;
	struct proc_fdinfo_mark *mark;
	bool ok;
	int r = 0;

	p->info->kind = PROC_FDINFO_FANOTIFY;
	scan_blanks(&s);
	if (scan_lit(&s, "flags:")) {
		ok = scan_u32(&s, 16, &fan->flags) &&
		     named_u32(&s, "event-flags:", 16, &fan->event_flags);
		return ok ? 0 : bad(p, "fanotify");
	}
	fan->marks = grow(p, fan->marks, fan->n_marks, sizeof(*fan->marks), &r);
	if (!fan->marks)
		return r;
	mark = &fan->marks[fan->n_marks];
	if (named_u32(&s, "mnt_id:", 16, &mark->mnt_id)) {
		mark->kind = PROC_FANOTIFY_MOUNT;
	} else if (named(&s, "ino:", 16, &mark->watch.ino)) {
		mark->kind = PROC_FANOTIFY_INODE;
		if (!named_u32(&s, "sdev:", 16, &mark->watch.sdev))
			return bad(p, "fanotify");
	} else if (named_u32(&s, "sdev:", 16, &mark->watch.sdev)) {
		mark->kind = PROC_FANOTIFY_FILESYSTEM;
	} else {
		return bad(p, "fanotify");
	}
	if (!named_u32(&s, "mflags:", 16, &mark->mflags) ||
	    !named_u32(&s, "mask:", 16, &mark->watch.mask) ||
	    !named_u32(&s, "ignored_mask:", 16, &mark->watch.ignored_mask) ||
	    !take_handle(&s, &mark->watch.handle))
		return bad(p, "fanotify");
	fan->n_marks++;
	return 0;
}

static int take_pid(struct fdinfo_parse *p, struct scan s)
{
	p->info->kind = PROC_FDINFO_PIDFD;
	return scan_i32(&s, &p->info->pidfd.pid) ? 0 : bad(p, "Pid");
}

static int take_nspid(struct fdinfo_parse *p, struct scan s)
{
	__typeof__(p->info->pidfd) *pidfd = &p->info->pidfd;

	pidfd->n_ns = 0;
	while (pidfd->n_ns < PROC_FDINFO_NS_MAX && scan_i32(&s, &pidfd->ns_pid[pidfd->n_ns]))
		pidfd->n_ns++;
	return 0;
}

static int take_tty_index(struct fdinfo_parse *p, struct scan s)
{
	p->info->kind = PROC_FDINFO_TTY;
	return scan_i32(&s, &p->info->tty_index) ? 0 : bad(p, "tty-index");
}

static int take_iff(struct fdinfo_parse *p, struct scan s)
{
	p->info->kind = PROC_FDINFO_TUN;
	scan_blanks(&s);
	p->info->tun_iff = scan_str(p->arena, &s);
	return p->info->tun_iff ? 0 : error_nomem(p->err);
}

static const struct {
	const char *name;
	fdinfo_fn *take;
} fdinfo_lines[] = {
	{ "pos:", take_pos },
	{ "flags:", take_flags },
	{ "mnt_id:", take_mnt_id },
	{ "ino:", take_ino },
	{ "lock:", take_lock },
	{ "eventfd-count:", take_eventfd_count },
	{ "eventfd-id:", take_eventfd_id },
	{ "eventfd-semaphore:", take_eventfd_semaphore },
	{ "sigmask:", take_sigmask },
	{ "tfd:", take_tfd },
	{ "clockid:", take_clockid },
	{ "ticks:", take_ticks },
	{ "settime flags:", take_settime_flags },
	{ "it_value:", take_it_value },
	{ "it_interval:", take_it_interval },
	{ "inotify ", take_inotify },
	{ "fanotify ", take_fanotify },
	{ "Pid:", take_pid },
	{ "NSpid:", take_nspid },
	{ "tty-index:", take_tty_index },
	{ "iff:", take_iff },
};

/* Kinds that are known by a line which stays in rest. */
static const struct {
	const char *name;
	enum proc_fdinfo_kind kind;
} fdinfo_marks[] = {
	{ "map_type:", PROC_FDINFO_BPF },      { "prog_type:", PROC_FDINFO_BPF },
	{ "link_type:", PROC_FDINFO_BPF },     { "SqMask:", PROC_FDINFO_IO_URING },
	{ "SqThread:", PROC_FDINFO_IO_URING },
};

static int take_line(struct fdinfo_parse *p, struct scan line)
{
	struct scan s = line;

	for (size_t i = 0; i < ARRAY_SIZE(fdinfo_lines); i++)
		if (scan_lit(&s, fdinfo_lines[i].name))
			return fdinfo_lines[i].take(p, s);
	for (size_t i = 0; i < ARRAY_SIZE(fdinfo_marks); i++)
		if (scan_lit(&s, fdinfo_marks[i].name))
			p->info->kind = fdinfo_marks[i].kind;
	if (scan_done(&line))
		return 0;
	return buf_printf(p->rest, p->err, "%.*s\n", (int)MIN(scan_left(&line), (size_t)4096),
			  line.at);
}

int proc_fdinfo_parse(struct bytes text, struct arena *arena, struct proc_fdinfo *ret,
		      struct error *err)
{
	_cleanup_buf_ struct buf rest = BUF_INIT;
	struct proc_fdinfo info = { .tty_index = -1 };
	struct fdinfo_parse p = { &info, arena, &rest, err };
	struct scan s = scan_of(text), line;
	int r;

	while (scan_line(&s, &line)) {
		r = take_line(&p, line);
		if (r < 0)
			return r;
	}
	if (rest.len) {
		info.rest = arena_memdup(arena, rest.data, rest.len);
		if (!info.rest)
			return error_nomem(err);
	}
	*ret = info;
	return 0;
}

int proc_fdinfo_read(int proc_fd, int fd, struct arena *arena, struct proc_fdinfo *ret,
		     struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	char name[32];
	int r;

	snprintf(name, sizeof(name), "fdinfo/%d", fd);
	r = proc_read(proc_fd, name, PROC_FDINFO_MAX_BYTES, &text, err);
	if (r < 0)
		return r;
	return proc_fdinfo_parse((struct bytes){ text.data, text.len }, arena, ret, err);
}
