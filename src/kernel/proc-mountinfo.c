// SPDX-License-Identifier: Apache-2.0
/*
 * proc-mountinfo: the mounts of a process. Never follows a path.
 */
#include "kernel/proc-mountinfo.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>

#include "kernel/proc.h"
#include "kernel/scan.h"

/* Optional fields up to the lone "-"; tags of later kernels are skipped. */
static bool take_tags(struct scan *s, struct proc_mount *mount)
{
	struct scan word;

	while (scan_word(s, &word)) {
		bool ok = true;

		if (scan_is(&word, "-"))
			return true;
		if (scan_lit(&word, "shared:"))
			ok = scan_i32(&word, &mount->shared);
		else if (scan_lit(&word, "master:"))
			ok = scan_i32(&word, &mount->master);
		else if (scan_lit(&word, "propagate_from:"))
			ok = scan_i32(&word, &mount->propagate_from);
		else if (scan_is(&word, "unbindable"))
			mount->unbindable = true;
		if (!ok)
			return false;
	}
	return false;
}

/* A field that ends at one blank and may be empty (a source may be ""). */
static bool take_field(struct scan *s, struct scan *ret)
{
	const char *blank;

	if (scan_done(s))
		return false;
	if (*s->at == ' ')
		s->at++;
	blank = scan_done(s) ? NULL : memchr(s->at, ' ', scan_left(s));
	*ret = (struct scan){ s->at, blank ? blank : s->end };
	s->at = ret->end;
	return true;
}

static int parse_line(struct scan s, struct proc_mount *mount, struct arena *arena,
		      struct error *err)
{
	struct scan root, point, options, fstype, source, super;

	if (!scan_i32(&s, &mount->id) || !scan_i32(&s, &mount->parent_id) ||
	    !scan_u32(&s, 10, &mount->major) || !scan_lit(&s, ":") ||
	    !scan_u32(&s, 10, &mount->minor))
		return proc_malformed(err, "mountinfo", "ids and device");
	if (!take_field(&s, &root) || !take_field(&s, &point) || !take_field(&s, &options))
		return proc_malformed(err, "mountinfo", "root, mount point and options");
	if (!take_tags(&s, mount))
		return proc_malformed(err, "mountinfo", "optional fields");
	if (!take_field(&s, &fstype) || !take_field(&s, &source) || !take_field(&s, &super))
		return proc_malformed(err, "mountinfo", "type, source and options");
	/* Values of super options may hold blanks that no file system escaped. */
	super.end = s.end;
	mount->root = scan_unescape(arena, &root, -1);
	mount->mountpoint = scan_unescape(arena, &point, -1);
	mount->options = scan_str(arena, &options);
	mount->fstype = scan_unescape(arena, &fstype, -1);
	mount->source = scan_unescape(arena, &source, -1);
	mount->super_options = scan_unescape(arena, &super, -1);
	if (!mount->root || !mount->mountpoint || !mount->options || !mount->fstype ||
	    !mount->source || !mount->super_options)
		return error_nomem(err);
	return 0;
}

int proc_mountinfo_parse(struct bytes text, struct arena *arena, struct proc_mounts *ret,
			 struct error *err)
{
	struct scan s = scan_of(text), line;
	struct proc_mounts mounts = { 0 };
	int r;

	while (scan_line(&s, &line)) {
		if (mounts.n_mounts >= PROC_MOUNTINFO_MAX)
			return proc_too_many(err, "mounts", PROC_MOUNTINFO_MAX);
		mounts.mounts =
			arena_grow(arena, mounts.mounts, mounts.n_mounts, sizeof(*mounts.mounts));
		if (!mounts.mounts)
			return error_nomem(err);
		r = parse_line(line, &mounts.mounts[mounts.n_mounts], arena, err);
		if (r < 0)
			return r;
		mounts.n_mounts++;
	}
	*ret = mounts;
	return 0;
}

int proc_mountinfo_read(int proc_fd, struct arena *arena, struct proc_mounts *ret,
			struct error *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	int r;

	r = proc_read(proc_fd, "mountinfo", PROC_MOUNTINFO_MAX_BYTES, &text, err);
	if (r < 0)
		return r;
	return proc_mountinfo_parse((struct bytes){ text.data, text.len }, arena, ret, err);
}

const struct proc_mount *proc_mount_find(const struct proc_mounts *mounts, int32_t id)
{
	for (size_t i = 0; i < mounts->n_mounts; i++)
		if (mounts->mounts[i].id == id)
			return &mounts->mounts[i];
	return NULL;
}

unsigned long proc_mount_flags(const char *options)
{
	static const struct {
		const char *name;
		unsigned long flag;
	} names[] = {
		{ "ro", MS_RDONLY },	     { "nosuid", MS_NOSUID },
		{ "nodev", MS_NODEV },	     { "noexec", MS_NOEXEC },
		{ "noatime", MS_NOATIME },   { "nodiratime", MS_NODIRATIME },
		{ "relatime", MS_RELATIME }, { "sync", MS_SYNCHRONOUS },
		{ "dirsync", MS_DIRSYNC },   { "mand", MS_MANDLOCK },
		{ "lazytime", MS_LAZYTIME }, { "nosymfollow", 256 /* MS_NOSYMFOLLOW */ },
	};
	unsigned long flags = 0;
	const char *at = options;

	while (at && *at) {
		size_t len = strcspn(at, ",");

		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			if (strlen(names[i].name) == len && strncmp(at, names[i].name, len) == 0)
				flags |= names[i].flag;
		at += len + (at[len] == ',');
	}
	return flags;
}
