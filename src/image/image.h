/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image: the CRIU image set as one in-memory model.
 *
 * An image set is a set of images; an image has a kind, an id and entries; an entry is one protobuf
 * message (see schema/) and, for some kinds, bytes that follow it. Capture fills a set, restore and
 * examine read it; there is no second set of structs. Input is taken for hostile: everything read has a
 * maximum, and a damaged image never hides the others. No kernel, no privileges, no printing.
 *
 * The byte format (magics, framing, names) is CRIU 4.2's; it is written down in docs/formats/images.md.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/buf.h"

/* One row a kind; the table with names, magics and descriptors is image-kind.c. */
enum image_kind {
	IMAGE_INVENTORY,
	IMAGE_PSTREE,
	IMAGE_CORE,	   /* core-<pid>: one a thread, the leader's holds the task too */
	IMAGE_IDS,	   /* ids-<pid> */
	IMAGE_MM,	   /* mm-<pid> */
	IMAGE_PAGEMAP,	   /* pagemap-<pid>: first entry PagemapHead, then Pagemap */
	IMAGE_PAGEMAP_SHMEM, /* pagemap-shmem-<shmid> */
	IMAGE_PAGES,	   /* pages-<pages_id>: raw page contents, no header */
	IMAGE_FS,	   /* fs-<pid> */
	IMAGE_FDINFO,	   /* fdinfo-<files_id> */
	IMAGE_FILES,	   /* files: every FileEntry */
	IMAGE_SECCOMP,
	IMAGE_CGROUP,
	IMAGE_REMAP_FPATH,
	IMAGE_GHOST_FILE, /* ghost-file-<id in hex>: GhostFile, then content (or GhostChunk + content) */
	IMAGE_PIPES_DATA, /* PipeData + bytes */
	IMAGE_FIFO_DATA,  /* PipeData + bytes */
	IMAGE_SK_QUEUES,  /* SkPacket + bytes */
	IMAGE_TCP_STREAM, /* tcp-stream-<inode>: TcpStream, then in-queue and out-queue bytes */
	IMAGE_TTY_INFO,
	IMAGE_TTY_DATA,
	IMAGE_FILE_LOCKS,
	IMAGE_MEMFD,	   /* memfd.img: MemfdInode entries */
	IMAGE_MOUNTPOINTS, /* mountpoints-<mntns id> */
	IMAGE_NETDEV,	   /* netdev-<netns id> */
	IMAGE_NETNS,	   /* netns-<netns id> */
	IMAGE_IFADDR,	   /* ifaddr-<id>: raw `ip addr save` stream, one image's payload */
	IMAGE_ROUTE,	   /* route-<id>: raw `ip route save` */
	IMAGE_ROUTE6,
	IMAGE_RULE,
	IMAGE_IPTABLES,
	IMAGE_IP6TABLES,
	IMAGE_NFTABLES,
	IMAGE_CONNTRACK,
	IMAGE_EXPECT,
	IMAGE_UTSNS,
	IMAGE_IPC_VAR,
	IMAGE_IPC_SHM, /* IpcShm + contents */
	IMAGE_IPC_MSG, /* IpcMsg + (IpcMsgBody + bytes) */
	IMAGE_IPC_SEM, /* IpcSem + values */
	IMAGE_USERNS,
	IMAGE_TIMENS,
	IMAGE_PIDNS,
	IMAGE_TMPFS_DEV, /* tmpfs-dev-<st_dev>.tar.gz.img: raw */
	IMAGE_TMPFS,	 /* tmpfs-<mnt id>.tar.gz.img: raw, older name */
	IMAGE_BINFMT_MISC,
	IMAGE_AUTOFS,
	IMAGE_BPFMAP_FILE,
	IMAGE_BPFMAP_DATA,
	IMAGE_APPARMOR,
	IMAGE_CPUINFO,
	IMAGE_STATS_DUMP,    /* stats-dump: no .img */
	IMAGE_STATS_RESTORE, /* stats-restore */
	/* Read only: layouts of older CRIU versions, kept because evidence may be old. */
	IMAGE_REG_FILES,
	IMAGE_SIGACT,
	IMAGE_ITIMERS,
	IMAGE_CREDS,
	IMAGE_KIND_COUNT,
};

/* What follows an entry's message in the file. */
enum image_extra {
	IMAGE_EXTRA_NONE,    /* nothing */
	IMAGE_EXTRA_SIZED,   /* as many bytes as a field of the message says (see image-kind.c) */
	IMAGE_EXTRA_REST,    /* everything up to the end of the file */
	IMAGE_EXTRA_RAW,     /* no message at all: the file is one entry of bytes */
};

struct image_type {
	const char *name;    /* printf form with at most one number, "core-%u" */
	const char *suffix;  /* ".img", or "" for the statistics */
	uint32_t magic;	     /* second word of the header; 0 = raw, no header */
	bool service;	     /* first word is the service magic (statistics), not the common one */
	const ProtobufCMessageDescriptor *first; /* descriptor of the first entry, NULL = as the others */
	const ProtobufCMessageDescriptor *entry; /* descriptor of the entries, NULL for raw images */
	enum image_extra extra;
	bool hex_id;
};

extern const struct image_type image_types[IMAGE_KIND_COUNT];

struct image_entry {
	ProtobufCMessage *msg; /* in the set's arena; NULL in a raw image */
	struct bytes extra;    /* borrowed: from the mapped input, or the set's arena */
};

struct image {
	enum image_kind kind;
	uint32_t id; /* 0 for kinds without a number */
	struct image_entry *entries;
	size_t n_entries;
	struct image *next;
};

/* An image that could not be read, whole or in part. The entries before the damage are kept. */
struct image_problem {
	const char *name;
	const char *text;
	struct image_problem *next;
};

struct image_set {
	struct arena arena;
	struct image *images[IMAGE_KIND_COUNT]; /* singly linked, in order of addition */
	struct image_problem *problems;
};

#define IMAGE_SET_INIT ((struct image_set){ 0 })

/* Hard maxima of what is accepted. */
#define IMAGE_ENTRY_MAX	   (8U << 20)  /* bytes of one packed message */
#define IMAGE_ENTRIES_MAX  (4U << 20)  /* entries of one image */
#define IMAGE_ARENA_MAX	   (2UL << 30) /* bytes of all unpacked messages of one set */

/* image_set_deinit - free every message and image. Borrowed bytes stay with their owner. */
void image_set_deinit(struct image_set *set);

/* image_find - the image of a kind and id, NULL when there is none. */
struct image *image_find(const struct image_set *set, enum image_kind kind, uint32_t id);

/*
 * image_add - append an entry to an image, which is made when it does not exist.
 * @msg: must live as long as the set (allocate it in set->arena); NULL for raw images
 * @extra: bytes that follow; borrowed, so they live as long as the set too
 * Returns 0 or -ENOMEM.
 */
int image_add(struct image_set *set, enum image_kind kind, uint32_t id, ProtobufCMessage *msg,
	      struct bytes extra, struct error *err) _must_check_;

/* image_touch - make an (empty) image when it does not exist: some must be there even when empty. */
int image_touch(struct image_set *set, enum image_kind kind, uint32_t id, struct error *err)
	_must_check_;

/* image_message - the message of the i-th entry, NULL when out of range. Cast it to the kind's type. */
void *image_message(const struct image *image, size_t i);

/* image_single - the first message of an image, NULL when there is no such image or entry. */
void *image_single(const struct image_set *set, enum image_kind kind, uint32_t id);

/* img_new(set, TYPE, lower): a zeroed, initialised message in the set's arena, NULL when exhausted:
 *	Img__FileEntry *e = img_new(set, Img__FileEntry, file_entry);
 */
#define img_new(set, type, lower)                                                                  \
	({                                                                                         \
		type *_img_m = arena_new(&(set)->arena, type);                                     \
		if (_img_m)                                                                        \
			img__##lower##__init(_img_m);                                              \
		_img_m;                                                                            \
	})

/* image_name - the file name of an image, e.g. "core-12.img". */
void image_name(enum image_kind kind, uint32_t id, char *ret, size_t size);

/* image_parse_name - kind and id from a file name. Returns false for a name that is none. */
bool image_parse_name(const char *name, enum image_kind *ret_kind, uint32_t *ret_id);

/*
 * image_parse - add the contents of one image file to the set.
 * @name: file name, decides kind and id; names that are no image's are ignored (returns 1)
 * @data: the whole file; must outlive the set (extra bytes are borrowed from it)
 * Returns 0, 1 for a name that is no image's, -EINVAL when damaged (what was read before stays in the
 * set), -ENOMEM.
 */
int image_parse(struct image_set *set, const char *name, struct bytes data, struct error *err)
	_must_check_;

/* image_problem_add - note that an image could not be read. */
int image_problem_add(struct image_set *set, const char *name, const char *text) _must_check_;

/*
 * image_serialize - the bytes of one image file: header and entries.
 * @buf: appended to
 * Returns 0 or -ENOMEM.
 */
int image_serialize(const struct image *image, struct buf *buf, struct error *err) _must_check_;

/* image_set_load_dir - parse every image of a directory (mapped read-only; *ret_map must be released
 * with image_map_free() after the set). Pages images are mapped, not read. Damaged images become
 * problems; returns an error only when the directory itself cannot be read or memory is exhausted. */
struct image_map;
int image_set_load_dir(struct image_set *set, int dirfd, struct image_map **ret_map,
		       struct error *err) _must_check_;
void image_map_free(struct image_map *map);
