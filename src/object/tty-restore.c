// SPDX-License-Identifier: Apache-2.0
/*
 * tty-restore: terminals made anew in the sandbox's own devpts.
 *
 * A pair is made when either side is first asked for, with the number it had. A side that was
 * outside of the container (a user's terminal) is held by the controller, so that the program sees
 * a terminal that nobody types at, not one that has hung up. No terminal of the host is ever
 * opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>

#include "object/fd-kinds.h"
#include "object/fown.h"
#include "object/tty.h"

#define TTY_PAIRS_MAX 1024

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

struct tty_pair {
	const Img__TtyInfo *info; /* of the side that was opened first */
	unsigned index;
	int master; /* ours until its entry takes it; -1 then */
};

struct tty_pool {
	struct tty_pair *pairs;
	size_t n_pairs;
};

static int ptmx_open(const char *name)
{
	const char *const names[] = { name, "/dev/pts/ptmx", "/dev/ptmx" };
	size_t i;
	int fd = -1;

	for (i = 0; fd < 0 && i < ARRAY_SIZE(names); i++)
		if (names[i])
			fd = open(names[i], O_RDWR | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A new master with this number: devpts gives the lowest free one, so those below are taken too. */
static int ptmx_numbered(const char *name, unsigned index, struct error *err)
{
	int below[TTY_PAIRS_MAX], fd = -ENOSPC, unlock = 0;
	unsigned number = UINT32_MAX;
	size_t n = 0;

	while (n < TTY_PAIRS_MAX) {
		fd = ptmx_open(name);
		if (fd < 0 || ioctl(fd, TIOCGPTN, &number) < 0 || number >= index)
			break;
		below[n++] = fd;
		fd = -ENOSPC;
	}
	while (n)
		close(below[--n]);
	if (fd < 0)
		return error_errno(err, -fd, "cannot make terminal %u", index);
	if (number != index) {
		close(fd);
		return error_set(err, ERROR_SYSTEM, EBUSY,
				 "terminal %u is in use already in the sandbox", index);
	}
	if (ioctl(fd, TIOCSPTLCK, &unlock) < 0) {
		unlock = errno;
		close(fd);
		return error_errno(err, unlock, "cannot unlock terminal %u", index);
	}
	return fd;
}

static const char *tty_name(struct restore *rst, const Img__TtyFile *tty)
{
	const struct restore_file *file;

	file = tty->has_regf_id ? restore_file_find(rst, tty->regf_id) : NULL;
	return file && file->entry->reg ? file->entry->reg->name : NULL;
}

/* The pair of an index; index UINT32_MAX: a new one that stands for a terminal of the host. */
static int pair_get(struct restore *rst, const Img__TtyInfo *info, unsigned index, const char *ptmx,
		    struct tty_pair **ret, struct error *err)
{
	struct arena *arena = &rst->set->arena;
	struct tty_pair *pairs;
	size_t i;
	int fd;

	if (!rst->ttys) {
		rst->ttys = arena_new(arena, struct tty_pool);
		if (!rst->ttys)
			return error_nomem(err);
	}
	for (i = 0; i < rst->ttys->n_pairs; i++) {
		*ret = &rst->ttys->pairs[i];
		if (index == UINT32_MAX ? (*ret)->info == info : (*ret)->index == index)
			return 0;
	}
	fd = index == UINT32_MAX ? ptmx_open(ptmx) : ptmx_numbered(ptmx, index, err);
	if (fd < 0)
		return index == UINT32_MAX ? error_errno(err, -fd, "cannot make a terminal") : fd;
	if (index == UINT32_MAX) {
		int unlock = 0;

		(void)ioctl(fd, TIOCSPTLCK, &unlock);
	}
	if (fd < rst->fd_base) {
		int high = fcntl(fd, F_DUPFD_CLOEXEC, rst->fd_base);

		close(fd);
		if (high < 0)
			return error_errno(err, errno, "cannot move a terminal out of the way");
		fd = high;
	}
	pairs = arena_grow(arena, rst->ttys->pairs, rst->ttys->n_pairs, sizeof(*pairs));
	if (!pairs) {
		close(fd);
		return error_nomem(err);
	}
	rst->ttys->pairs = pairs;
	*ret = &pairs[rst->ttys->n_pairs++];
	**ret = (struct tty_pair){ .info = info, .index = index, .master = fd };
	return 0;
}

static int modes_set(int fd, unsigned long request, const Img__Termios *modes)
{
	struct termios t;
	size_t i;

	memset(&t, 0, sizeof(t));
	t.c_iflag = modes->c_iflag;
	t.c_oflag = modes->c_oflag;
	t.c_cflag = modes->c_cflag;
	t.c_lflag = modes->c_lflag;
	t.c_line = modes->c_line;
	for (i = 0; i < MIN(modes->n_c_cc, (size_t)TTY_TERMIOS_NCC); i++)
		t.c_cc[i] = modes->c_cc[i];
	return ioctl(fd, request, &t);
}

static bool modes_any(const Img__Termios *modes)
{
	size_t i;

	for (i = 0; i < modes->n_c_cc; i++)
		if (modes->c_cc[i])
			return true;
	return modes->c_iflag || modes->c_oflag || modes->c_cflag || modes->c_lflag;
}

static void tty_set(struct restore *rst, const Img__TtyInfo *info, int fd)
{
	const char *failed = NULL;
	int on = 1;

	if (info->termios && modes_set(fd, TCSETS, info->termios) < 0)
		failed = "modes";
	if (info->termios_locked && modes_any(info->termios_locked) &&
	    modes_set(fd, TIOCSLCKTRMIOS, info->termios_locked) < 0)
		failed = "locked modes";
	if (info->winsize) {
		struct winsize size = { .ws_row = info->winsize->ws_row,
					.ws_col = info->winsize->ws_col,
					.ws_xpixel = info->winsize->ws_xpixel,
					.ws_ypixel = info->winsize->ws_ypixel };

		if (ioctl(fd, TIOCSWINSZ, &size) < 0)
			failed = "size";
	}
	if (info->packet_mode && ioctl(fd, TIOCPKT, &on) < 0)
		failed = "packet mode";
	if (info->locked && ioctl(fd, TIOCSPTLCK, &on) < 0)
		failed = "lock";
	if (info->exclusive && ioctl(fd, TIOCEXCL) < 0)
		failed = "exclusive mode";
	if (failed)
		restore_gap(rst, GAP_DEGRADED, "tty", 0, info->pty ? "/dev/pts" : "terminal",
			    "its %s cannot be set: %s", failed, strerror(errno));
}

static int slave_open(const struct tty_pair *pair, const char *name, uint32_t flags)
{
	struct stat st;
	int fd;

	flags = (flags & (O_ACCMODE | O_NONBLOCK)) | O_NOCTTY | O_CLOEXEC;
	/* By its name, where that is this terminal's, so that the name is seen again. */
	if (name && stat(name, &st) == 0 && S_ISCHR(st.st_mode) &&
	    st.st_rdev == makedev(TTY_MAJOR_SLAVE, pair->index)) {
		fd = open(name, flags);
		if (fd >= 0)
			return fd;
	}
	fd = ioctl(pair->master, TIOCGPTPEER, flags);
	return fd < 0 ? -errno : fd;
}

static bool master_in_images(struct restore *rst, unsigned index)
{
	size_t i;

	for (i = 0; i < rst->n_files; i++)
		if (rst->files[i].entry->tty &&
		    rst->files[i].entry->tty->tty_info_id == tty_info_id(index, true))
			return true;
	return false;
}

static int open_slave(struct restore *rst, const Img__TtyFile *tty, const Img__TtyInfo *info,
		      struct error *err)
{
	unsigned index = info->pty ? info->pty->index : UINT32_MAX;
	bool own = info->pty && master_in_images(rst, index);
	struct tty_pair *pair;
	size_t pairs = rst->ttys ? rst->ttys->n_pairs : 0;
	bool fresh;
	int fd, r;

	r = pair_get(rst, info, index, NULL, &pair, err);
	if (r < 0)
		return r;
	fresh = rst->ttys->n_pairs != pairs;
	if (pair->master < 0) {
		/* The master's entry has it. It is a description in rst->files. */
		size_t i;

		for (i = 0; i < rst->n_files && pair->master < 0; i++)
			if (rst->files[i].entry->tty && rst->files[i].fd >= 0 &&
			    rst->files[i].entry->tty->tty_info_id == tty_info_id(index, true))
				pair->master = rst->files[i].fd;
		fd = slave_open(pair, tty_name(rst, tty), tty->flags);
		pair->master = -1;
	} else {
		fd = slave_open(pair, tty_name(rst, tty), tty->flags);
	}
	if (fd < 0)
		return error_errno(err, -fd, "cannot open terminal %u", index);
	if (!info->termios && !own) {
		close(TAKE_FD(pair->master)); /* it had hung up */
		return fd;
	}
	if (fresh && info->has_uid && info->has_gid)
		(void)!fchown(fd, info->uid, info->gid);
	tty_set(rst, info, fd);
	if (fresh && !own)
		restore_hold(rst, pair->master, true);
	return fd;
}

static int open_master(struct restore *rst, const Img__TtyFile *tty, const Img__TtyInfo *info,
		       struct error *err)
{
	struct tty_pair *pair;
	int r;

	r = pair_get(rst, info, info->pty->index, tty_name(rst, tty), &pair, err);
	if (r < 0)
		return r;
	if (pair->master < 0)
		return error_set(err, ERROR_INPUT, EBADMSG, "terminal %u has two masters",
				 info->pty->index);
	tty_set(rst, info, pair->master);
	return TAKE_FD(pair->master);
}

/* /dev/tty can only be opened by a task that has a controlling terminal: attach() does it. */
static int open_ctty(struct error *err)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	return fd < 0 ? error_errno(err, errno, "cannot open /dev/null") : fd;
}

int tty_open(struct restore *rst, Img__FileEntry *entry, int *ret_fd, struct error *err)
{
	const Img__TtyInfo *info =
		entry->tty ? tty_info_find(rst->set, entry->tty->tty_info_id) : NULL;
	_cleanup_close_ int fd = -1;
	int r;

	if (!info)
		return error_set(err, ERROR_INPUT, EBADMSG, "terminal %u is not in the images",
				 entry->id);
	if (info->type == IMG__TTY_TYPE__CTTY)
		fd = open_ctty(err);
	else if (info->pty && (info->id & 1))
		fd = open_master(rst, entry->tty, info, err);
	else
		fd = open_slave(rst, entry->tty, info, err);
	if (fd < 0) {
		restore_gap(rst, GAP_DEGRADED, "tty", 0, tty_name(rst, entry->tty), "%s",
			    err ? err->text : strerror(-fd));
		error_clear(err);
		return RESTORE_GAP;
	}
	r = file_params_restore(fd, entry->tty->flags, entry->tty->fown, err);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* tcsetpgrp() from the background would stop us with SIGTTOU. */
static int foreground_set(int fd, pid_t pgrp)
{
	sigset_t block, old;
	int r;

	sigemptyset(&block);
	sigaddset(&block, SIGTTOU);
	(void)sigprocmask(SIG_BLOCK, &block, &old);
	r = tcsetpgrp(fd, pgrp);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	return r;
}

static int attach_ctty(struct restore *rst, struct restore_task *task, Img__FileEntry *entry,
		       int fd, struct error *err)
{
	_cleanup_close_ int real = -1;
	char subject[32];
	struct stat st;

	if (fstat(fd, &st) == 0 && st.st_rdev == makedev(TTY_MAJOR_AUX, 0))
		return 0;
	real = open("/dev/tty", (entry->tty->flags & (O_ACCMODE | O_NONBLOCK)) | O_CLOEXEC);
	if (real < 0) {
		(void)snprintf(subject, sizeof(subject), "fd %d (/dev/tty)", fd);
		restore_gap(rst, GAP_DEGRADED, "tty", task->pid, subject,
			    "the process has no controlling terminal yet: %s; /dev/null is in its "
			    "place",
			    strerror(errno));
		return RESTORE_GAP;
	}
	return restore_file_replace(task, entry->id, real, err);
}

/* Images of stock CRIU tell the session with either side of a pair: whose first owner was in it. */
static const Img__TtyInfo *session_info(struct restore *rst, const Img__TtyInfo *info)
{
	const Img__TtyInfo *master;

	if (info->sid || !info->pty)
		return info;
	master = tty_info_find(rst->set, tty_info_id(info->pty->index, true));
	return master ? master : info;
}

int tty_attach(struct restore *rst, struct restore_task *task, Img__FileEntry *entry, int fd,
	       struct error *err)
{
	const Img__TtyInfo *info = tty_info_find(rst->set, entry->tty->tty_info_id);
	const Img__TtyInfo *session = session_info(rst, info);
	char subject[32];
	int r = 0;

	if (info->type == IMG__TTY_TYPE__CTTY) {
		r = attach_ctty(rst, task, entry, fd, err);
		if (r)
			return r;
	} else if (session->sid && !(info->id & 1) && (pid_t)session->sid == task->sid) {
		(void)snprintf(subject, sizeof(subject), "fd %d", fd);
		if (task->pid == task->sid && ioctl(fd, TIOCSCTTY, 0) < 0)
			restore_gap(rst, GAP_DEGRADED, "tty", task->pid, subject,
				    "cannot be the controlling terminal again: %s",
				    strerror(errno));
		else if ((pid_t)session->pgrp == task->pgid &&
			 foreground_set(fd, session->pgrp) < 0)
			restore_gap(rst, GAP_DEGRADED, "tty", task->pid, subject,
				    "group %u cannot be its foreground group: %s", session->pgrp,
				    strerror(errno));
	}
	return fown_attach(rst, task, entry->tty->fown, fd, err);
}
