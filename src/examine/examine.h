/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examine: an archive or an image directory, opened for reading.
 *
 * Opened once, looked at through views: process.h, file.h, socket.h, mount.h, namespace.h,
 * memory.h, metadata.h, each of which tells its part as JSON. Everything comes from a machine that
 * may have been hostile; a part that is damaged becomes a problem and hides no other part. Needs no
 * root, asks this machine's kernel nothing, unpacks nothing.
 */
#pragma once

#include "archive/reader.h"
#include "base/json.h"
#include "base/op.h"
#include "image/schema.h"

/* Hard maxima of what is shown; more becomes a problem. */
#define EXAMINE_TASKS_MAX 262144
#define EXAMINE_FDS_MAX	  1048576
#define EXAMINE_TELL_MAX  (256UL << 20) /* bytes of messages that are told of, repeated ones too */

/* One open file description, whichever layout it came from. */
struct examine_file {
	uint32_t id;
	Img__FdTypes type;
	const ProtobufCMessage *msg;	   /* Img__RegFile, Img__InetSk, ... as the type says */
	const struct examine_task *holder; /* the first task that has it open, NULL = none */
	uint32_t holder_fd;
	uint64_t queue_bytes; /* waiting to be read: pipes, sockets */
	uint32_t queue_packets;
	bool deleted; /* its path leads to it no longer */
};

struct examine_task {
	const Img__Pstree *node;
	const Img__Core *core;	     /* of the leader, NULL = missing */
	const Img__TaskKobjIds *ids; /* NULL = missing */
	const Img__Mm *mm;	     /* NULL = none: a zombie */
	const Img__Fs *fs;	     /* NULL = none */
	const struct image *fdinfo;  /* NULL = none */
};

struct examine {
	struct arena arena;
	const char *path;	       /* as given */
	struct archive_reader archive; /* n_members 0 when a directory is read */
	int dir_fd;		       /* of a directory, -1 = an archive is read */
	struct image_map *map;	       /* of a directory */
	struct image_set set;	       /* filled by examine_load(); problems by all */
	json_object *config, *spec, *status, *record; /* NULL = not there or damaged */
	struct examine_task *tasks;		      /* in the order of the process tree image */
	size_t n_tasks;
	struct examine_file *files; /* ascending ids */
	size_t n_files;
	size_t n_fds;
	const struct examine_file **by_inode; /* unix sockets, ascending inodes */
	size_t n_by_inode;
	uint64_t told; /* of EXAMINE_TELL_MAX */
	bool cut;      /* some things were not told because of it */
};

#define EXAMINE_INIT                                                                               \
	((struct examine){ .dir_fd = -1, .archive = ARCHIVE_READER_INIT, .set = IMAGE_SET_INIT })

/*
 * examine_open - open what is at path and read its metadata; no image yet.
 * @path: an archive, an image directory, or a directory with an archive's members
 * Returns 0 (look at set.problems), -ENOENT and the like, -EINVAL for what is neither. Release with
 * examine_deinit(), also after a failure.
 */
int examine_open(struct examine *x, const char *path, struct error *err) _must_check_;

/* examine_parse - the same on an archive in memory; for tests and the fuzzer. data is borrowed. */
int examine_parse(struct examine *x, struct bytes data, struct error *err) _must_check_;

/* examine_load - read the images and put the tables together. 0 or -ENOMEM. */
int examine_load(struct examine *x, struct error *err) _must_check_;

void examine_deinit(struct examine *x);

/* examine_problem - note what could not be read. 0 or -ENOMEM. */
int examine_problem(struct examine *x, const char *name, struct error *err, const char *fmt, ...)
	_printf_(4, 5) _must_check_;

/*
 * examine_tell - take some of what may be told. Small images can refer to the same large thing a
 * million times; this keeps the answer in proportion. Returns false once it is used up: then the
 * caller leaves the thing out.
 */
bool examine_tell(struct examine *x, uint64_t bytes);

/* examine_file_find - by id, NULL when there is none. */
const struct examine_file *examine_file_find(const struct examine *x, uint32_t id);

/* examine_file_by_inode - a unix socket, NULL when there is none. */
const struct examine_file *examine_file_by_inode(const struct examine *x, uint32_t ino);

/* examine_file_path - the path of a regular file by id, NULL when it is none. */
const char *examine_file_path(const struct examine *x, uint32_t id);

/* examine_fdinfo - the i-th descriptor of a task, NULL behind the last. */
const Img__Fdinfo *examine_fdinfo(const struct examine_task *task, size_t i);
