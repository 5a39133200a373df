/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan: who gives birth to whom, so that every task ends up in its session and its process group.
 *
 * A task inherits the session of whoever forks it, at that moment, and can only leave it by leading
 * a new one. So the image's tree of parents is turned into a tree of mothers: mostly the same, but
 * a child may have to be born before its mother calls setsid(), and an orphan is born in the
 * session that it belongs to and comes to init when its mother ends. Leaders that were already dead
 * when the checkpoint was made are played by stand-ins. Pure: no system calls.
 */
#pragma once

#include "object/restore.h"

enum plan_kind {
	PLAN_INIT,   /* amber's own pid 1, where the image's root task is another */
	PLAN_TASK,   /* a task of the image */
	PLAN_LEADER, /* stands in for a dead session leader; ends after its births */
	PLAN_STEP,   /* forked by a live leader, forks one orphan and ends */
};

enum plan_group {
	PLAN_GROUP_KEEP,   /* the inherited one is right, or is made by setsid() */
	PLAN_GROUP_LEAD,   /* setpgid(0, 0) before the others */
	PLAN_GROUP_JOIN,   /* setpgid(0, pgid) after the leaders */
	PLAN_GROUP_REVIVE, /* the leader is dead: fork a stand-in with its pid first, then join */
};

struct plan_node {
	enum plan_kind kind;
	struct restore_task *task; /* of a PLAN_TASK */
	pid_t pid;
	bool setsid;	 /* leads a session */
	bool early;	 /* is born before its mother's setsid() */
	bool no_session; /* cannot get its session; a gap says so */
	enum plan_group group;
	bool share_files,
		share_fs; /* one descriptor table, one working directory with the mother */
	struct plan_node *mother;
	struct plan_node *first, *last; /* children, in order of birth */
	struct plan_node *next;		/* sibling */
	bool has_born_sid;
	pid_t born_sid; /* the session that it must be born in, when has_born_sid */
};

struct plan {
	struct plan_node *top;	 /* pid 1 */
	struct plan_node *nodes; /* [task index] */
	struct plan_node *extra; /* init, stand-ins and steps, linked by mother only */
	size_t n_extra;
	struct restore *rst;
};

/*
 * plan_make - plan the births of all tasks of a loaded restore. Memory is in the set's arena.
 * Sessions and groups that cannot be had become notes (restore_gap). Returns 0 or -ENOMEM.
 */
int plan_make(struct restore *rst, struct plan *ret, struct error *err) _must_check_;
