/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture: what every kind of object has in hand while the container stands still.
 *
 * The orchestra (checkpoint/) fills one struct capture and walks the tables of kinds with it. A
 * kind writes messages into cap->set and gaps into cap->gaps, and never fails the capture because
 * of one odd object: it returns CAPTURE_GAP after recording why. Only the loss of something general
 * (memory, the task itself) is an error. Everything here runs while tasks are stopped: nothing
 * slow, no big writes.
 */
#pragma once

#include <sys/stat.h>

#include "base/op.h"
#include "image/gap.h"
#include "image/image.h"
#include "image/schema.h"
#include "kernel/ns.h"
#include "kernel/proc-stat.h"
#include "kernel/proc-status.h"
#include "task/script.h"
#include "task/task.h"

/* Positive outcome of a capture function: the object is not in the set, a gap says why. */
#define CAPTURE_GAP 1

/* One namespace of the container. The id is the image set's (mountpoints-<id>, netns-<id>...). */
struct capture_ns {
	uint32_t id;  /* 1 and up, unique over all kinds */
	uint64_t ino; /* of /proc/<pid>/ns/<kind> */
	bool own; /* amber's own: the container shares it with the host; contents are not captured
		   */
	int fd;	  /* for setns(), owned by the capture */
};

struct file_index;  /* object/file-index.h: open file descriptions seen so far, by kcmp */
struct mount_index; /* object/mount.h: mounts of the container by mnt_id */
struct file_facts_list;
struct shmem_list;
struct proc_fdinfo; /* kernel/proc-fdinfo.h */
struct ipc_look;
struct look;	   /* object/look.h: what was seen of the tasks before the stop */
struct sock_index; /* object/socket.h: sockets of the net namespace, by inode, from sock_diag */

struct capture {
	struct op *op;
	struct image_set *set;
	struct gap_list *gaps;
	struct task_tree *tree;
	struct task *root;		/* the root task: the container's init */
	struct capture_ns ns[NS_KINDS]; /* of the root task, by enum ns_kind */
	int root_dir;			/* O_PATH of the root task's root directory */
	uint32_t next_id;		/* for images that need a number of their own */
	struct file_index *files;
	struct mount_index *mounts;
	struct sock_index *sockets;
	struct ipc_look *ipc;	       /* object/ipcns.c: what is ready for the stop; or NULL */
	struct look *look;	       /* NULL = none was taken: everything is read in the stop */
	struct file_facts_list *facts; /* object/file-facts.h: what is hashed after the thaw */
	struct shmem_list *shmem;      /* object/shmem.h: shared memory that memory/ dumps */
	uint64_t ghost_max; /* bytes of a deleted file's content that are captured; beyond it: a gap
			     */
};

/* capture_next_id - a fresh number for file ids, ghost ids, shm ids and the like. Never 0. */
uint32_t capture_next_id(struct capture *cap);

/*
 * One kind of thing that a descriptor can point at. The table is object/kinds.c: the first row
 * whose match() says yes captures the description, once however many descriptors share it.
 */
struct fd_facts {
	struct task *task; /* whose descriptor it is (first seen) */
	int fd;		   /* its number there */
	int dup;	/* the same open file description in our hands (pidfd_getfd); -1 for O_PATH
			 * descriptors that could not be taken */
	uint32_t flags; /* F_GETFL, from fdinfo */
	uint64_t pos;
	int32_t mnt_id;
	struct stat st;
	const char *link;		/* text of /proc/<pid>/fd/<fd>, "(deleted)" included */
	const struct proc_fdinfo *info; /* of /proc/<pid>/fdinfo/<fd>; lives as long as the facts */
	uint32_t id;			/* of the FileEntry */
};

struct restore;
struct restore_task;

struct fd_kind {
	const char *name;
	Img__FdTypes type;
	bool (*match)(const struct fd_facts *facts);
	/* Fill entry (type and id are set by the caller). 0, CAPTURE_GAP, or an error. */
	int (*capture)(struct capture *cap, const struct fd_facts *facts, Img__FileEntry *entry,
		       struct error *err);
	/*
	 * Make the open file description, in the sandbox's root task before any other task is born
	 * (namespaces, mounts and network are in place, we are still fully privileged). *ret_fd:
	 * any number; the caller moves it out of the way. 0, RESTORE_GAP, or an error.
	 */
	int (*open)(struct restore *rst, Img__FileEntry *entry, int *ret_fd, struct error *err);
	/* Optional, once, after every description is open (rst can look up others by id):
	 * connect sockets, fill queues, send descriptors. Still in the root task. */
	int (*connect)(struct restore *rst, Img__FileEntry *entry, int fd, struct error *err);
	/* Optional, in every task that has the description, when all its descriptors stand at their
	 * numbers: epoll interest, controlling terminals, record locks, owners. */
	int (*attach)(struct restore *rst, struct restore_task *task, Img__FileEntry *entry, int fd,
		      struct error *err);
};

/*
 * One thing that a task or a thread has besides descriptors and memory: signal actions, timers,
 * credentials, limits. The table is object/kinds.c. Capture is two passes around one script: ask()
 * appends system calls and keeps what it needs to find their results in *state (of the set's
 * arena), take() reads them; facts that /proc or ptrace tell need no ask().
 */
struct task_capture {
	struct task *task;
	Img__Core *core;	  /* the leader's: tc and thread_core are there */
	Img__Core **thread_cores; /* one a thread, [0] == core */
	Img__Mm *mm;
};

struct task_kind {
	const char *name;
	int (*ask)(struct capture *cap, struct task_capture *tc, struct script *s, void **state,
		   struct error *err);
	int (*take)(struct capture *cap, struct task_capture *tc, struct script *s, void *state,
		    struct error *err);
	/* The same for each thread; the session has borrowed exactly this one. */
	int (*ask_thread)(struct capture *cap, struct task_capture *tc, size_t thread,
			  struct script *s, void **state, struct error *err);
	int (*take_thread)(struct capture *cap, struct task_capture *tc, size_t thread,
			   struct script *s, void *state, struct error *err);
	/* In the newborn task itself, in plain C: pids, namespaces and descriptors are right, the
	 * address space is still amber's, privileges are still whole. */
	int (*revive)(struct restore *rst, struct restore_task *task, struct error *err);
	/* From outside: calls to be made in a thread of the new address space, in table order; the
	 * last rows drop privileges. All threads exist, all signals are blocked. Every call must
	 * succeed. */
	int (*revive_thread)(struct restore *rst, struct restore_task *task, size_t thread,
			     struct script *s, struct error *err);
};

extern const struct fd_kind *const fd_kinds[];	   /* NULL-terminated, first match wins */
extern const struct task_kind *const task_kinds[]; /* NULL-terminated, in order of restoring */

/* fd_kind_of - the row that restores a FileEntry type, NULL for one that amber does not know. */
const struct fd_kind *fd_kind_of(Img__FdTypes type);
