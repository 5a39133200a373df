/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run: one restore in progress: what its controller and its newborn tasks have in hand.
 *
 * Everything up to the board is made before the first fork and never changes afterwards, so each
 * process may trust its copy. The board is the only memory that they share.
 */
#pragma once

#include "memory/fill.h"
#include "object/namespace.h"
#include "object/restore-shared.h"
#include "restore/load.h"
#include "restore/plan.h"
#include "restore/request.h"
#include "restore/sandbox.h"

/* Descriptors of amber's own stay below this in every process of a restore. */
#define RUN_FD_LOW   512
#define RUN_FD_SPARE 64

/* A rootfs difference beyond this is unpacked on disk: bytes of its tar. */
#define DIFF_IN_MEMORY_MAX (256UL << 20)

/* Points at which every task waits for all others. */
enum stage {
	STAGE_OPEN,    /* pid 1 only: all files are open; held ones can be taken over */
	STAGE_BORN,    /* all tasks exist, in their sessions */
	STAGE_LED,     /* all process groups exist */
	STAGE_GROUPED, /* all tasks are in theirs; now the zombies die */
	STAGE_BURIED,  /* they are dead; tasks put their belongings in order */
	STAGE_READY,   /* they wait to be puppets */
	STAGE_COUNT,
};

/* What a newborn task tells about itself. */
struct board_slot {
	uint64_t area, park; /* free room for scripts and for the vdso */
	uint32_t fds_done;   /* descriptors stand at their numbers; futex */
	uint32_t stage;	     /* the last one reached, plus one */
};

struct board {
	struct restore_shared shared;
	uint32_t arrived[STAGE_COUNT]; /* futexes */
	uint32_t open;		       /* stages below it are open; futex */
	uint32_t cgrouped;	       /* the controller has put pid 1 into its cgroup; futex */
	uint32_t up;		       /* the sandbox runs */
	char name[SANDBOX_NAME_MAX];
	pid_t init, root;
	int status;		  /* of the root task, when it has ended */
	uint8_t *file_open;	  /* [file index]: the description is open in all tasks */
	struct board_slot *slots; /* [task index] */
	size_t size;
};

struct anon; /* restore/anon.h */

struct run {
	struct restore rst;
	const struct restore_request *req;
	struct plan plan;
	struct board *board;
	struct sandbox sandbox;
	struct anon *anons;
	size_t n_anons;
	int fd_anon;  /* descriptor of anons[0] in every task; the others follow */
	int fd_pages; /* of req->pages[0] */
	int fd_console;
	int fd_proc;		  /* the host's /proc: the sandbox may have none */
	struct pages_file *pages; /* as req->pages, with the descriptors that tasks have */
	int fd_end;		  /* behind the last descriptor of a restore */

	pid_t top;		    /* pid 1, in our pid namespace; 0 = not born */
	pid_t *pids;		    /* [task index], in our pid namespace */
	struct puppet **puppets;    /* [task index], NULL for zombies */
	int held[RESTORE_HELD_MAX]; /* far ends outside of the container, kept as long as it lives
				     */
	size_t n_held;
};

/* board_new, board_free - the shared memory of a restore. */
int board_new(const struct restore *rst, struct board **ret, struct error *err) _must_check_;
void board_free(struct board *board);

/* board_reach - in a task: say that a stage is reached and wait until it opens. Returns 0, or
 * -ECANCELED when the restore has failed meanwhile. */
int board_reach(struct board *board, enum stage stage, size_t task) _must_check_;

/* board_wait - in the controller: wait until n tasks have reached a stage. Returns 0, -EAGAIN after
 * ms milliseconds without, or the error that a task reported. */
int board_wait(struct board *board, enum stage stage, uint32_t n, int ms,
	       struct error *err) _must_check_;

/* board_open - in the controller: let everybody pass a stage. */
void board_open(struct board *board, enum stage stage);

/* board_flag_raise, board_flag_wait - one-way flags between two processes. */
void board_flag_raise(uint32_t *flag);
void board_flag_wait(const uint32_t *flag);
