/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox: what surrounds restored tasks: a name, a record, cgroups, a root directory.
 *
 * Everything lies in memory or in private mounts where it can, so that it vanishes with the last
 * process; what does not (record, cgroups, one empty directory) is removed by the sandbox's keeper.
 */
#pragma once

#include <sys/types.h>

#include "base/buf.h"
#include "base/op.h"

#define SANDBOX_DIR	    "/run/amber/sandboxes"
#define SANDBOX_DISK_DIR    "/var/lib/amber/sandboxes"
#define SANDBOX_CGROUPS_MAX 32

struct sandbox {
	char name[64];
	char dir[128]; /* mountpoint of its scratch file system, in its own mount namespace only */
	char record[128];		    /* NAME.json */
	char disk[128];			    /* where its writable layer lies when that is large */
	char *cgroups[SANDBOX_CGROUPS_MAX]; /* directories made for it */
	size_t n_cgroups;
	bool made; /* the directory is ours */
};

/* sandbox_make - take a name (NULL: find one) and make directory and cgroups.
 * -EINVAL: not a name. -EEXIST: a sandbox of this name lives. */
int sandbox_make(struct op *op, struct sandbox *sb, const char *name,
		 struct error *err) _must_check_;

/* sandbox_enclose - put a process into the sandbox's cgroups. */
int sandbox_enclose(const struct sandbox *sb, pid_t pid, struct error *err) _must_check_;

/* sandbox_disk - make the directory sb->disk for a writable layer that is too large for memory. */
int sandbox_disk(struct sandbox *sb, struct error *err) _must_check_;

/* sandbox_claim - take a name: NAME.json appears, whole, naming us as its keeper. -EEXIST: taken.
 */
int sandbox_claim(const struct sandbox *sb, struct error *err) _must_check_;

/* sandbox_record - write NAME.json: who keeps it (we), what is in it. init and root are 0 as long
 * as they are not born; archive may be NULL. */
int sandbox_record(const struct sandbox *sb, pid_t init, pid_t root, const char *archive,
		   struct error *err) _must_check_;

/* sandbox_sweep - clear away what dead keepers have left of dead sandboxes. */
void sandbox_sweep(struct op *op);

/* For the sweeper: the names of a sandbox's files, and its cgroups. */
void sandbox_paths(struct sandbox *sb, const char *name);
int sandbox_cgroups(struct sandbox *sb, bool exist_only, struct error *err) _must_check_;

/* sandbox_remove - all traces: record, cgroups (their tasks must have ended), directory. Accepts a
 * half-made sandbox, and may be called twice. */
void sandbox_remove(struct op *op, struct sandbox *sb);

/* What the sandbox's root directory is made from. */
struct sandbox_root {
	const char *const *lowers; /* read-only directories, the topmost first */
	size_t n_lowers;
	struct bytes diff;    /* tar, may be empty */
	struct bytes deleted; /* JSON list, may be empty */
	bool on_disk;	      /* sandbox_disk() was called */
	/* Told about everything of the difference that was not done. */
	void (*note)(void *ctx, const char *path, const char *text);
	void *ctx;
	char path[192];	   /* result: the merged directory */
	char scratch[192]; /* result: private directory */
};

#define SANDBOX_LOWERS_MAX 128

/* sandbox_mount - in pid 1, in its own mount namespace: put the root directory together. */
int sandbox_mount(struct op *op, const struct sandbox *sb, struct sandbox_root *root,
		  struct error *err) _must_check_;
