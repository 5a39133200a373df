// SPDX-License-Identifier: Apache-2.0
/*
 * sandbox: name, record and cgroups of a sandbox. Never touches one that another keeper owns.
 */
#include "restore/sandbox.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <mntent.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fd.h"

/* Of 20 ms: the last task of a cgroup is gone a little after its death. */
#define REMOVE_TRIES 100

static bool name_ok(const char *name)
{
	size_t i;

	if (!isalnum((unsigned char)name[0]) || strlen(name) >= sizeof(((struct sandbox *)0)->name))
		return false;
	for (i = 0; name[i]; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("_.-", name[i]))
			return false;
	return true;
}

static int make_dir(const char *path, struct error *err)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_errno(err, errno, "making %s", path);
	return 0;
}

void sandbox_paths(struct sandbox *sb, const char *name)
{
	(void)snprintf(sb->name, sizeof(sb->name), "%s", name);
	(void)snprintf(sb->dir, sizeof(sb->dir), SANDBOX_DIR "/%s", name);
	(void)snprintf(sb->record, sizeof(sb->record), SANDBOX_DIR "/%s.json", name);
	(void)snprintf(sb->disk, sizeof(sb->disk), SANDBOX_DISK_DIR "/%s", name);
}

static int take_name(struct sandbox *sb, const char *name, struct error *err)
{
	char made_up[32];
	unsigned int i;
	int r;

	if (name && !name_ok(name))
		return error_set(
			err, ERROR_USAGE, EINVAL,
			"'%s' cannot be the name of a sandbox: letters, digits, '_', '.', '-'",
			name);
	r = make_dir("/run/amber", err);
	if (r >= 0)
		r = make_dir(SANDBOX_DIR, err);
	if (r < 0)
		return r;

	/* The record comes first and at once whole, so that a keeper that is killed at any instant
	 * has left its name. */
	for (i = 0; !sb->made; i++) {
		(void)snprintf(made_up, sizeof(made_up), i ? "sandbox-%d-%u" : "sandbox-%d",
			       (int)getpid(), i);
		sandbox_paths(sb, name ? name : made_up);
		r = sandbox_claim(sb, err);
		if (r >= 0) {
			sb->made = true;
		} else if (r == -ENOENT && i < 1000) {
			/* Another sandbox, the last one, was just cleared away. */
			(void)mkdir("/run/amber", 0700);
			(void)mkdir(SANDBOX_DIR, 0700);
		} else if (r != -EEXIST) {
			return r;
		} else if (name) {
			return error_hint(err,
					  error_set(err, ERROR_USAGE, EEXIST,
						    "a sandbox named '%s' exists", name),
					  "choose another --name, or end that one first");
		}
	}
	return make_dir(sb->dir, err);
}

/* A new cpuset takes no task before it has been told its processors and memory. */
static void inherit_cpuset(const char *parent, const char *child)
{
	static const char *const knobs[] = { "cpuset.cpus", "cpuset.mems" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(knobs); i++) {
		_cleanup_buf_ struct buf value = BUF_INIT;
		char path[4352];

		(void)snprintf(path, sizeof(path), "%s/%s", parent, knobs[i]);
		if (fd_read_file(AT_FDCWD, path, 65536, &value, NULL) < 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", child, knobs[i]);
		(void)!fd_write_file(AT_FDCWD, path, 0, 0, value.data, value.len, NULL);
	}
}

/* With exist_only, find what another keeper has made. */
static int make_cgroup(struct sandbox *sb, const char *hierarchy, bool exist_only,
		       struct error *err)
{
	char parent[4096], child[4224];
	int tries = 0, r;

	if (sb->n_cgroups == SANDBOX_CGROUPS_MAX)
		return 0;
	(void)snprintf(parent, sizeof(parent), "%s/amber", hierarchy);
	(void)snprintf(child, sizeof(child), "%s/%s", parent, sb->name);
	if (exist_only && access(child, F_OK) < 0)
		return 0;
	do { /* another sandbox, the last one, may be clearing the parent away */
		(void)mkdir(parent, 0755);
		r = mkdir(child, 0755);
	} while (r < 0 && errno == ENOENT && tries++ < 1000);
	if (r < 0 && errno != EEXIST) {
		if (errno == EROFS)
			return 0; /* a hierarchy that is somebody else's */
		return error_errno(err, errno, "making the cgroup %s", child);
	}
	inherit_cpuset(hierarchy, parent);
	inherit_cpuset(parent, child);
	sb->cgroups[sb->n_cgroups] = strdup(child);
	if (!sb->cgroups[sb->n_cgroups])
		return error_nomem(err);
	sb->n_cgroups++;
	return 0;
}

int sandbox_cgroups(struct sandbox *sb, bool exist_only, struct error *err)
{
	struct mntent entry, *m;
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	dev_t seen[SANDBOX_CGROUPS_MAX];
	char line[8192];
	size_t i, n = 0;
	struct stat st;
	int r = 0;

	if (!mounts)
		return error_errno(err, errno, "reading /proc/self/mounts");
	while (r >= 0 && (m = getmntent_r(mounts, &entry, line, sizeof(line)))) {
		if ((strcmp(m->mnt_type, "cgroup") != 0 && strcmp(m->mnt_type, "cgroup2") != 0) ||
		    n == SANDBOX_CGROUPS_MAX || stat(m->mnt_dir, &st) < 0)
			continue;
		/* The oldest mount of each hierarchy: others (stock CRIU's) come and go. */
		for (i = 0; i < n && seen[i] != st.st_dev; i++)
			;
		if (i < n)
			continue;
		seen[n++] = st.st_dev;
		r = make_cgroup(sb, m->mnt_dir, exist_only, err);
	}
	(void)endmntent(mounts);
	return r;
}

int sandbox_disk(struct sandbox *sb, struct error *err)
{
	int r;

	(void)mkdir("/var/lib", 0755);
	r = make_dir("/var/lib/amber", err);
	if (r >= 0)
		r = make_dir(SANDBOX_DISK_DIR, err);
	return r < 0 ? r : make_dir(sb->disk, err);
}

int sandbox_make(struct op *op, struct sandbox *sb, const char *name, struct error *err)
{
	int r;

	*sb = (struct sandbox){ 0 };
	sandbox_sweep(op);
	r = take_name(sb, name, err);
	if (r >= 0)
		r = sandbox_cgroups(sb, false, err);
	if (r < 0)
		sandbox_remove(op, sb);
	return r;
}

int sandbox_enclose(const struct sandbox *sb, pid_t pid, struct error *err)
{
	char path[4352], text[24];
	size_t i;
	int n, r;

	n = snprintf(text, sizeof(text), "%d\n", pid);
	for (i = 0; i < sb->n_cgroups; i++) {
		(void)snprintf(path, sizeof(path), "%s/cgroup.procs", sb->cgroups[i]);
		r = fd_write_file(AT_FDCWD, path, 0, 0, text, (size_t)n, err);
		if (r < 0)
			return error_while(err, r, "putting task %d into a cgroup", pid);
	}
	return 0;
}

static void remove_cgroup(struct op *op, const char *path)
{
	struct timespec pause = { 0, 20000000L };
	char parent[4096];
	char *slash;
	int i;

	for (i = 0; i < REMOVE_TRIES && rmdir(path) < 0 && errno == EBUSY; i++)
		(void)nanosleep(&pause, NULL);
	if (access(path, F_OK) == 0)
		op_warn(op, "the cgroup %s could not be removed", path);
	(void)snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	if (slash) {
		*slash = '\0';
		(void)rmdir(parent); /* succeeds for the last sandbox only */
	}
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	(void)remove(path); /* what cannot go is named once, by the caller */
	return 0;
}

void sandbox_remove(struct op *op, struct sandbox *sb)
{
	char draft[160];
	size_t i;

	for (i = 0; i < sb->n_cgroups; i++) {
		remove_cgroup(op, sb->cgroups[i]);
		free(sb->cgroups[i]);
		sb->cgroups[i] = NULL;
	}
	sb->n_cgroups = 0;
	if (!sb->made)
		return;
	if (access(sb->disk, F_OK) == 0) {
		(void)nftw(sb->disk, remove_entry, 64, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
		if (access(sb->disk, F_OK) == 0)
			op_warn(op, "%s could not be removed", sb->disk);
		(void)rmdir(SANDBOX_DISK_DIR);
		(void)rmdir("/var/lib/amber");
	}
	(void)snprintf(draft, sizeof(draft), "%s.new", sb->record);
	(void)unlink(draft);
	if (rmdir(sb->dir) < 0 && errno != ENOENT)
		op_warn(op, "%s could not be removed: %s", sb->dir, strerror(errno));
	(void)unlink(sb->record); /* last: as long as it is there, a sweeper can go on */
	sb->made = false;
}
