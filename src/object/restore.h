/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore: what every kind of object has in hand while a sandbox is built.
 *
 * The controller (restore/) parses the image set and forks; the sandbox's root task and every task
 * below it are forks of the controller, so each finds the whole parsed set in its own memory. The
 * root task opens *all* open file descriptions of the checkpoint; its children inherit them, put
 * theirs at their numbers and close the rest. A restore never guesses: what cannot be brought back
 * becomes a note (restore_gap) or, where the copy would lie about it, an error.
 */
#pragma once

#include "base/op.h"
#include "image/gap.h"
#include "image/image.h"
#include "image/schema.h"
#include "object/capture.h"

/* Positive outcome of open(), connect(), attach(): not restored, a gap says why; go on without it.
 */
#define RESTORE_GAP 1

struct restore_thread {
	pid_t tid; /* as in the image: in the container's pid namespace */
	Img__Core *core;
};

struct restore_task {
	Img__Pstree *item;
	Img__Core *core;
	Img__TaskKobjIds *ids;
	Img__Mm *mm; /* NULL for a zombie */
	Img__Fs *fs;
	struct image *fdinfo;
	struct image *pagemap;
	pid_t pid, ppid, pgid, sid; /* in the container's pid namespace */
	struct restore_thread *threads;
	size_t n_threads;
	struct restore_task *parent;
	bool zombie;
	size_t index; /* in rst->tasks */
};

/* An open file description of the checkpoint. */
struct restore_file {
	Img__FileEntry *entry;
	const struct fd_kind *kind;
	int fd; /* in every task, at or above rst->fd_base, until the task closes it; -1 = gap */
};

struct pages_file;
struct tty_pool;
struct unix_pool;
struct tcp_seats;
struct restore_shared; /* memory shared by the controller and all tasks: notes, first error,
			  barriers */

struct restore {
	struct op *op;
	struct image_set *set;
	struct gap_list *gaps; /* the controller's; children reach it through restore_gap() only */
	struct restore_shared *shared;
	struct restore_task *tasks; /* [0] is the root */
	size_t n_tasks;
	struct restore_file *files; /* sorted by entry->id */
	size_t n_files;
	int fd_base; /* greater than any descriptor number of any task */
	bool tcp_close;
	bool volumes;	  /* show private copies of this host's directories that were bound in */
	uint32_t ns_mask; /* CLONE_NEW* flags of the namespaces that the images describe */
	struct image *mountpoints; /* of the root's mount namespace, NULL = none in the images */
	void *mounts;		   /* object/mount.h: restored mounts by image mnt_id */
	const struct pages_file *pages; /* memory/fill.h: contents of memory, open in all tasks */
	size_t n_pages;
	struct tty_pool *ttys;	  /* object/tty.c: terminals made so far */
	struct unix_pool *unixes; /* object/sk-unix-restore.c: sockets that hang together */
	struct tcp_seats *seats;  /* object/sk-inet-restore.c: silent ends of connections */
	int console_fd; /* takes what goes to a reader outside (stdout, stderr, terminals); -1: lost
			 */
};

/* restore_file_find - the open description of a FileEntry id, NULL when there is none. */
struct restore_file *restore_file_find(struct restore *rst, uint32_t id);

/* restore_task_find - the task with a pid of the container's pid namespace, NULL when none. */
struct restore_task *restore_task_find(struct restore *rst, pid_t pid);

/*
 * restore_gap - note something that does not come back. Callable in the controller and in any task.
 * Arguments as gap_add(). Never fails (notes beyond the shared memory's room are counted).
 */
void restore_gap(struct restore *rst, enum gap_effect effect, const char *kind, pid_t pid,
		 const char *subject, const char *fmt, ...) _printf_(6, 7);

/*
 * restore_hold - keep a descriptor of the root task open for as long as the sandbox lives.
 * The far end of what reached outside of the container (a terminal's master) must stay open
 * although no task of the copy has it. The controller takes it over (pidfd_getfd) before the tasks
 * run on.
 * @drain: copy what can be read from it to the console
 */
void restore_hold(struct restore *rst, int fd, bool drain);
