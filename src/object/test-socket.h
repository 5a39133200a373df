/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-socket: a stage for socket tests: a subject process in a network namespace of its own, its
 * descriptors captured from outside, and a copy of them brought to life in another namespace.
 *
 * Needs root. No ptrace: the subject is stopped with SIGSTOP.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
/* behind setjmp.h */
#include <cmocka.h>

#include "kernel/ns.h"
#include "kernel/pidfd.h"
#include "kernel/proc.h"
#include "object/fd-capture.h"
#include "object/file-index.h"
#include "object/netns.h"
#include "object/restore-shared.h"
#include "object/socket.h"

#define STAGE_FDS 64

/* What the subject tells: its descriptors, by meaning of the test. Shared memory. */
struct stage_told {
	int fds[STAGE_FDS];
	volatile int n, go, done;
	uint64_t numbers[16];
};

struct stage {
	struct op op;
	struct image_set set;
	struct gap_list gaps;
	struct task task;
	struct task_tree tree;
	struct task *tasks[1];
	struct capture cap;
	struct error err;
	struct stage_told *told;
	uint32_t ids[STAGE_FDS]; /* of told->fds, 0 = a gap */
};

/* Fork the subject; fn makes its sockets, tells them, and may go on (told->go) after captures. */
void stage_subject(struct stage *s, void (*fn)(struct stage_told *told));
void stage_stop(struct stage *s);

/* One capture of all descriptors that were told: whole, or in its parts. */
void stage_capture(struct stage *s);
void stage_capture_begin(struct stage *s);
void stage_capture_fds(struct stage *s);
void stage_capture_end(struct stage *s);
void stage_end(struct stage *s);

/* The entry of told->fds[i], NULL when it became a gap. */
const Img__FileEntry *stage_entry(struct stage *s, int i);
void stage_print_gaps(const struct stage *s);
bool stage_has_gap(const struct stage *s, const char *text);

/* What a test sees inside the copy. */
struct copy {
	struct restore rst;
	struct stage *stage;
	struct restore_file files[STAGE_FDS * 4];
	struct restore_task task;
	Img__Pstree item;
};

/* In the copy: the descriptor of told->fds[i]. */
int copy_fd(struct copy *c, int i);

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: in the copy: %s (errno %d)\n", __FILE__, __LINE__, \
				#cond, errno);                                                     \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/*
 * Bring everything to life in a child in a new namespace and let fn look at it.
 * netns: the image's number, 0 = as for a container that shared its host's network.
 * Returns the number of notes.
 */
unsigned int stage_copy(struct stage *s, uint32_t netns, bool tcp_close,
			void (*fn)(struct copy *c));
