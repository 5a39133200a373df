// SPDX-License-Identifier: Apache-2.0
/*
 * tty-capture: terminals as they are found in descriptors.
 *
 * Modes and size are asked through our duplicate. Session and foreground group are not: the kernel
 * tells those to the terminal's own session only, so they come from /proc/<pid>/stat of the tasks
 * that the terminal controls.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>

#include "kernel/proc-stat.h"
#include "object/fd-capture.h"
#include "object/fd-kinds.h"
#include "object/fown.h"
#include "object/reg-file.h"
#include "object/tty.h"

#ifndef TIOCGPKT
#define TIOCGPKT _IOR('T', 0x38, int)
#endif
#ifndef TIOCGPTLCK
#define TIOCGPTLCK _IOR('T', 0x39, int)
#endif
#ifndef TIOCGEXCL
#define TIOCGEXCL _IOR('T', 0x40, int)
#endif

/* What a device number is, CRIU's way. Serial lines are what is left of majors 4, 188 and 204. */
static Img__TtyType tty_type_of(dev_t rdev)
{
	switch (major(rdev)) {
	case TTY_MAJOR_AUX:
		switch (minor(rdev)) {
		case 0:
			return IMG__TTY_TYPE__CTTY;
		case 1:
			return IMG__TTY_TYPE__CONSOLE;
		case 2:
			return IMG__TTY_TYPE__PTY;
		default:
			return IMG__TTY_TYPE__UNKNOWN;
		}
	case 4:
		return minor(rdev) < 64 ? IMG__TTY_TYPE__VT : IMG__TTY_TYPE__SERIAL;
	case 128 ... 143:
		return IMG__TTY_TYPE__PTY;
	case 188:
	case 204:
		return IMG__TTY_TYPE__SERIAL;
	default:
		return IMG__TTY_TYPE__UNKNOWN;
	}
}

static bool tty_is_master(dev_t rdev)
{
	return (major(rdev) == TTY_MAJOR_AUX && minor(rdev) == 2) ||
	       (major(rdev) >= 128 && major(rdev) < 136);
}

static bool tty_match(const struct fd_facts *facts)
{
	return S_ISCHR(facts->st.st_mode) && !(facts->flags & O_PATH) &&
	       tty_type_of(facts->st.st_rdev) != IMG__TTY_TYPE__UNKNOWN;
}

Img__TtyInfo *tty_info_find(const struct image_set *set, uint32_t id)
{
	const struct image *image = image_find(set, IMAGE_TTY_INFO, 0);
	size_t i;

	for (i = 0; image && i < image->n_entries; i++) {
		Img__TtyInfo *info = image_message(image, i);

		if (info && info->id == id)
			return info;
	}
	return NULL;
}

/* CRIU keeps numbers for what has no index of its own. */
static int tty_index(const struct fd_facts *facts, Img__TtyType type, unsigned *ret)
{
	switch (type) {
	case IMG__TTY_TYPE__PTY:
		if (tty_is_master(facts->st.st_rdev))
			return ioctl(facts->dup, TIOCGPTN, ret) < 0 ? -errno : 0;
		*ret = minor(facts->st.st_rdev);
		return 0;
	case IMG__TTY_TYPE__CONSOLE:
		*ret = 1002;
		return 0;
	case IMG__TTY_TYPE__VT:
		*ret = 1004;
		return 0;
	case IMG__TTY_TYPE__CTTY:
		*ret = 1006;
		return 0;
	default:
		*ret = 1010;
		return 0;
	}
}

/* Whose controlling terminal is it? */
static void tty_session(struct capture *cap, const struct fd_facts *facts, Img__TtyInfo *info)
{
	uint32_t device = facts->st.st_rdev;
	struct proc_stat stat;
	struct task *task;

	if (info->pty)
		device = makedev(TTY_MAJOR_SLAVE, info->pty->index);
	foreach_task (task, cap->tree) {
		if (proc_stat_read(task->proc_fd, &stat, NULL) < 0)
			continue;
		/* /dev/tty is whatever terminal its opener has. */
		if (info->type == IMG__TTY_TYPE__CTTY ? task != facts->task || !stat.tty_nr
						      : (uint32_t)stat.tty_nr != device)
			continue;
		info->sid = capture_sid(cap, stat.session);
		info->pgrp = stat.tpgid > 0 ? capture_pgid(cap, stat.tpgid) : 0;
		return;
	}
}

static Img__Termios *tty_modes(struct capture *cap, int fd, unsigned long request)
{
	Img__Termios *modes = img_new(cap->set, Img__Termios, termios);
	struct termios t;
	size_t i;

	memset(&t, 0, sizeof(t));
	if (!modes || ioctl(fd, request, &t) < 0)
		return NULL;
	modes->c_iflag = t.c_iflag;
	modes->c_oflag = t.c_oflag;
	modes->c_cflag = t.c_cflag;
	modes->c_lflag = t.c_lflag;
	modes->c_line = t.c_line;
	modes->c_cc = arena_array(&cap->set->arena, uint32_t, TTY_TERMIOS_NCC);
	if (!modes->c_cc)
		return NULL;
	modes->n_c_cc = TTY_TERMIOS_NCC;
	for (i = 0; i < TTY_TERMIOS_NCC; i++)
		modes->c_cc[i] = t.c_cc[i];
	return modes;
}

/* A terminal whose other side has hung up answers EIO to everything: the image then has no modes.
 */
static void tty_fill_modes(struct capture *cap, const struct fd_facts *facts, Img__TtyInfo *info)
{
	struct winsize size = { 0 };
	int on = 0;

	if (ioctl(facts->dup, TIOCGEXCL, &on) == 0)
		info->exclusive = on;
	if (info->pty && tty_is_master(facts->st.st_rdev)) {
		on = 0;
		if (ioctl(facts->dup, TIOCGPKT, &on) == 0)
			info->packet_mode = on;
		on = 0;
		if (ioctl(facts->dup, TIOCGPTLCK, &on) == 0)
			info->locked = on;
	}
	info->termios = tty_modes(cap, facts->dup, TCGETS);
	info->termios_locked = tty_modes(cap, facts->dup, TIOCGLCKTRMIOS);
	info->winsize = img_new(cap->set, Img__Winsize, winsize);
	if (!info->termios || !info->termios_locked || !info->winsize ||
	    ioctl(facts->dup, TIOCGWINSZ, &size) < 0) {
		info->termios = info->termios_locked = NULL;
		info->winsize = NULL;
		return;
	}
	info->winsize->ws_row = size.ws_row;
	info->winsize->ws_col = size.ws_col;
	info->winsize->ws_xpixel = size.ws_xpixel;
	info->winsize->ws_ypixel = size.ws_ypixel;
}

static int tty_capture_info(struct capture *cap, const struct fd_facts *facts, Img__TtyType type,
			    unsigned index, uint32_t id, struct error *err)
{
	Img__TtyInfo *info;
	int unread = 0, r;

	if (tty_info_find(cap->set, id))
		return 0;
	info = img_new(cap->set, Img__TtyInfo, tty_info);
	if (!info)
		return error_nomem(err);
	info->id = id;
	info->type = type;
	info->rdev = facts->st.st_rdev;
	info->has_dev = info->has_uid = info->has_gid = true;
	info->dev = facts->st.st_dev;
	info->uid = facts->st.st_uid;
	info->gid = facts->st.st_gid;
	if (type == IMG__TTY_TYPE__PTY) {
		info->pty = img_new(cap->set, Img__TtyPty, tty_pty);
		if (!info->pty)
			return error_nomem(err);
		info->pty->index = index;
	}
	tty_session(cap, facts, info);
	tty_fill_modes(cap, facts, info);
	r = image_add(cap->set, IMAGE_TTY_INFO, 0, &info->base, (struct bytes){ 0 }, err);
	if (r == 0 && ioctl(facts->dup, FIONREAD, &unread) == 0 && unread > 0)
		r = fd_gap(cap, facts, GAP_COSMETIC, "tty", 0, err,
			   "%d bytes that nobody has read yet cannot be seen without taking them "
			   "away",
			   unread);
	return r;
}

static int tty_capture(struct capture *cap, const struct fd_facts *facts, Img__FileEntry *entry,
		       struct error *err)
{
	Img__TtyType type = tty_type_of(facts->st.st_rdev);
	Img__TtyFile *tty = img_new(cap->set, Img__TtyFile, tty_file);
	unsigned index;
	int r;

	if (!tty)
		return error_nomem(err);
	r = tty_index(facts, type, &index);
	if (r < 0)
		return fd_gap(cap, facts, GAP_DEGRADED, "tty", CAPTURE_GAP, err,
			      "its number cannot be read: %s", strerror(-r));
	tty->id = facts->id;
	tty->tty_info_id = tty_info_id(index, tty_is_master(facts->st.st_rdev));
	tty->flags = facts->flags & ~O_CLOEXEC;
	r = fown_capture(cap, facts, &tty->fown, err);
	if (r < 0)
		return r;
	/* A terminal that was made outside has a name nowhere in the container. */
	r = reg_file_capture_facts(cap, facts, &tty->regf_id, err);
	if (r < 0)
		return r;
	tty->has_regf_id = r == 0;
	entry->tty = tty;
	return tty_capture_info(cap, facts, type, index, tty->tty_info_id, err);
}

int tty_capture_finish(struct capture *cap, struct error *err)
{
	const struct image *image = image_find(cap->set, IMAGE_TTY_INFO, 0);
	size_t i;

	for (i = 0; image && i < image->n_entries; i++) {
		const Img__TtyInfo *info = image_message(image, i);
		char subject[32];

		if (info->type == IMG__TTY_TYPE__CTTY || (info->id & 1) || !info->termios)
			continue;
		if (info->pty && tty_info_find(cap->set, tty_info_id(info->pty->index, true)))
			continue;
		if (info->pty)
			(void)snprintf(subject, sizeof(subject), "/dev/pts/%u", info->pty->index);
		else
			(void)snprintf(subject, sizeof(subject), "device %u:%u", major(info->rdev),
				       minor(info->rdev));
		if (gap_add(cap->gaps, GAP_COSMETIC, "tty", 0, subject,
			    "its other side is outside of the container; a restored copy gets a "
			    "terminal of its own, whose output goes to the console") < 0)
			return error_nomem(err);
	}
	return 0;
}

const struct fd_kind tty_kind = {
	.name = "tty",
	.type = IMG__FD_TYPES__TTY,
	.match = tty_match,
	.capture = tty_capture,
	.open = tty_open,
	.attach = tty_attach,
};
