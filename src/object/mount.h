/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount: the mount namespace of a container, both directions.
 *
 * Capture reads mountinfo and the contents of tmpfs; nothing is mounted in the container's
 * namespace, and a mount that others hide is looked at through a private clone of it. Restore
 * builds the tree anew, in a private namespace, from things that no longer have anything to do with
 * the host: never is a live directory of the host reachable for writing.
 */
#pragma once

#include "kernel/proc-mountinfo.h"
#include "object/capture.h"
#include "object/namespace.h"
#include "object/restore.h"

/* Most bytes of one tmpfs that are captured; files beyond are gaps. */
#define MOUNT_TMPFS_MAX ((uint64_t)512 << 20)

/* Mounts that are looked through and not let go of in the stop. */
#define MOUNT_HELD_MAX 256

/* Mounts of the container, from the root task's mountinfo: made before any file is captured. */
struct mount_index {
	struct arena arena;
	struct proc_mounts mounts; /* mountpoints relative to the root task's root */
	struct proc_mounts host;   /* amber's own, to tell what comes from outside */
	struct buf text;	   /* that mounts were parsed from */
	bool checked;		   /* in the stop */
	int held[MOUNT_HELD_MAX];
	size_t n_held;
	struct mount_content *contents; /* of tmpfs, not compressed yet */
};

/*
 * mount_index_look - read the mounts into cap->mounts (owned by the capture), before the stop.
 * @proc_fd: of the root task
 */
int mount_index_look(struct capture *cap, int proc_fd, struct error *err) _must_check_;

/* mount_index_new - in the stop: read the mounts if no look did, else see whether they are still
 * the same, and read what has changed. Entries of a look stay valid memory in any case. */
int mount_index_new(struct capture *cap, struct error *err) _must_check_;
void mount_index_free(struct mount_index *index);

/* mount_index_hold - take a descriptor of a detached mount, to be closed with the index: letting go
 * of a mount waits for the kernel's RCU, milliseconds in which the container would stand still. */
void mount_index_hold(struct capture *cap, int fd);

/* mount_contents_finish - compress what was in tmpfs, into its images. After the thaw: this takes
 * its time. */
int mount_contents_finish(struct capture *cap, struct error *err) _must_check_;
void mount_contents_free(struct mount_content *contents);

/* mount_contents_look - copy the content of every tmpfs while the container runs, after
 * mount_index_look(); mount_contents_follow - and what changed since. */
int mount_contents_look(struct capture *cap, int proc_fd, struct error *err) _must_check_;
int mount_contents_follow(struct capture *cap, struct error *err) _must_check_;

/* mount_contents_capture - in the stop, after all files that are open or mapped: what changed in
 * every tmpfs since, or all of it if there was no look. */
int mount_contents_capture(struct capture *cap, struct error *err) _must_check_;

/* mount_gap - note a gap about a mount. Returns 0 or -ENOMEM. */
int mount_gap(struct capture *cap, enum gap_effect effect, const struct proc_mount *m,
	      const char *reason) _must_check_;

/* mount_clone_quietly - a private, detached, read-only clone of the mount at an O_PATH descriptor,
 * from inside of its namespace. A descriptor or -1 with errno. */
int mount_clone_quietly(int at);

/* mount_index_find - a mount of the container, NULL: it is of another namespace, or out of sight.
 */
const struct proc_mount *mount_index_find(const struct capture *cap, int32_t mnt_id);

/* mount_kdev - the packed device number that images have, of a mountinfo line. */
uint32_t mount_kdev(const struct proc_mount *mount);

/* mount_below - path is dir or below it; *ret_rest: what follows, without leading slashes. */
bool mount_below(const char *path, const char *dir, const char **ret_rest);

/* mount_external - does the mount bring in something from outside of the container? Such a mount is
 * marked with ext_key (its mountpoint), by which stock CRIU lets the restorer provide it. */
bool mount_external(const struct capture *cap, const struct proc_mount *mount);

/* mount_source_on_host - where on this host the directory or file lies that a mount's (device,
 * root) names, seen through the mounts given; a string of the arena, NULL when it is not in sight.
 */
const char *mount_source_on_host(const struct proc_mounts *host, uint32_t kdev, const char *root,
				 struct arena *arena);

/* mount_clone_root - a private, detached, read-only clone of the mount that a process has as its
 * root, without what is mounted in it; nobody sees it, reading changes no access time. The
 * caller's. */
int mount_clone_root(int proc_fd, int *ret_fd, struct error *err) _must_check_;

/* mount_restored_path - where an image's mount is in the sandbox, NULL when it is not. */
const char *mount_restored_path(const struct restore *rst, uint32_t mnt_id);

extern const struct namespace_kind mount_namespace_kind;

/* The kind's halves: mount-capture.c and mount-restore.c. */
int mount_capture(struct capture *cap, const struct capture_ns *ns, struct error *err) _must_check_;
int mount_restore(struct restore *rst, const struct sandbox_spec *spec, uint32_t id,
		  struct error *err) _must_check_;

/*
 * mount_external_copy - a private copy of what an external mount showed, as a detached mount.
 * A file is copied into the sandbox's scratch directory, a directory becomes an overlay over it.
 * @name: unique among the sandbox's copies
 * Returns 0 with *ret_fd, 1 when there is nothing to copy (*ret_why says why), or an error.
 */
int mount_external_copy(struct restore *rst, const struct sandbox_spec *spec, const Img__Mnt *mnt,
			const struct proc_mounts *host, const char *name, int *ret_fd,
			const char **ret_why, struct error *err) _must_check_;
