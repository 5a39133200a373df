/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image-kind: which kinds of images there are: names, magics, messages, and what follows a message.
 *
 * One table, no behaviour: reading, writing, naming and fuzzing all go by it, so that a new kind is
 * a new row. Never a place for what a message means.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "base/macro.h"

/* One row a kind; the table with names, magics and descriptors is image-kind.c. */
enum image_kind {
	IMAGE_INVENTORY,
	IMAGE_PSTREE,
	IMAGE_CORE,	     /* core-<tid>: one a thread, the leader's holds the task too */
	IMAGE_IDS,	     /* ids-<pid> */
	IMAGE_MM,	     /* mm-<pid> */
	IMAGE_PAGEMAP,	     /* pagemap-<pid>: first entry PagemapHead, then Pagemap */
	IMAGE_PAGEMAP_SHMEM, /* pagemap-shmem-<shmid> */
	IMAGE_PAGES,	     /* pages-<pages_id>: raw page contents, no header */
	IMAGE_FS,	     /* fs-<pid> */
	IMAGE_FDINFO,	     /* fdinfo-<files_id> */
	IMAGE_FILES,	     /* files: every FileEntry */
	IMAGE_SECCOMP,
	IMAGE_CGROUP,
	IMAGE_REMAP_FPATH,
	IMAGE_GHOST_FILE, /* ghost-file-<id in hex>: GhostFile, then content (or GhostChunk +
			     content) */
	IMAGE_PIPES_DATA, /* PipeData + bytes */
	IMAGE_FIFO_DATA,  /* PipeData + bytes */
	IMAGE_SK_QUEUES,  /* SkPacket + bytes */
	IMAGE_TCP_STREAM, /* tcp-stream-<inode in hex>: TcpStream, in-queue bytes, out-queue bytes
			   */
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
	IMAGE_IPC_MSG, /* IpcMsg, then qnum times an IpcMsgBody + bytes, each an entry of its own */
	IMAGE_IPC_SEM, /* IpcSem + values */
	IMAGE_USERNS,
	IMAGE_TIMENS,
	IMAGE_PIDNS,
	IMAGE_TMPFS_DEV, /* tmpfs-dev-<st_dev>.tar.gz.img: raw */
	IMAGE_TMPFS,	 /* tmpfs-<mnt id>.tar.gz.img: raw, older name */
	IMAGE_BINFMT_MISC,
	IMAGE_AUTOFS,
	IMAGE_BPFMAP_FILE,
	IMAGE_BPFMAP_DATA, /* BpfmapData + keys and values */
	IMAGE_APPARMOR,
	IMAGE_CPUINFO,
	IMAGE_STATS_DUMP,    /* stats-dump: no .img */
	IMAGE_STATS_RESTORE, /* stats-restore */
	IMAGE_IRMAP_CACHE,   /* irmap-cache */
	/* Read only: layouts of older CRIU versions, kept because evidence may be old. */
	IMAGE_REG_FILES,
	IMAGE_SIGACT,
	IMAGE_ITIMERS,
	IMAGE_CREDS,
	IMAGE_POSIX_TIMERS,
	IMAGE_RLIMIT,
	IMAGE_SIGNAL,
	IMAGE_PSIGNAL,
	IMAGE_VMAS,
	IMAGE_EXT_FILES,
	IMAGE_NS_FILES,
	IMAGE_EVENTFD_FILE,
	IMAGE_EVENTPOLL_FILE,
	IMAGE_EVENTPOLL_TFD,
	IMAGE_SIGNALFD,
	IMAGE_TIMERFD,
	IMAGE_INOTIFY_FILE,
	IMAGE_INOTIFY_WD,
	IMAGE_FANOTIFY_FILE,
	IMAGE_FANOTIFY_MARK,
	IMAGE_PIPES,
	IMAGE_FIFO,
	IMAGE_UNIXSK,
	IMAGE_INETSK,
	IMAGE_PACKETSK,
	IMAGE_NETLINKSK,
	IMAGE_TTY_FILES,
	IMAGE_TUNFILE,
	IMAGE_BINFMT_MISC_MNT, /* binfmt-misc-<mnt id> */
	IMAGE_KIND_COUNT,
};

/* What follows an entry's message in the file. */
enum image_extra {
	IMAGE_EXTRA_NONE,  /* nothing */
	IMAGE_EXTRA_SIZED, /* as many bytes as fields of the message say, see image_extra_size() */
	IMAGE_EXTRA_REST,  /* everything up to the end of the file */
	IMAGE_EXTRA_RAW,   /* no message at all: the file is one entry of bytes */
};

struct image_type {
	const char *name;   /* printf form with at most one number, "core-%u" or "tcp-stream-%x" */
	const char *suffix; /* ".img", or "" for the statistics */
	uint32_t magic;	    /* second word of the header; 0 = raw, no header */
	bool service;	    /* first word is the service magic (statistics), not the common one */
	const ProtobufCMessageDescriptor
		*first; /* descriptor of the first entry, NULL = as the others */
	const ProtobufCMessageDescriptor
		*entry; /* descriptor of the entries, NULL for raw images */
	enum image_extra extra;
	bool hex_id;
};

extern const struct image_type image_types[IMAGE_KIND_COUNT];

/* First words of an image file, in the machine's order (little endian). */
#define IMAGE_MAGIC_COMMON  0x54564319U
#define IMAGE_MAGIC_SERVICE 0x55105940U

/*
 * image_extra_size - how many bytes belong behind a message.
 * @ret_pad: zero bytes that the file has behind those
 * Returns the count in bytes; 0 for messages that nothing follows. Contents of a GhostFile that are
 * not in chunks run to the end of the file and are not counted here.
 */
uint64_t image_extra_size(const ProtobufCMessage *msg, unsigned int *ret_pad);

/* image_kind_accepts - whether messages of a descriptor may be entries of an image of this kind. */
bool image_kind_accepts(enum image_kind kind, const ProtobufCMessageDescriptor *desc);

/* image_name - the file name of an image, e.g. "core-12.img". */
void image_name(enum image_kind kind, uint64_t id, char *ret, size_t size);

/* image_parse_name - kind and id from a file name. Returns false for a name that is none. */
bool image_parse_name(const char *name, enum image_kind *ret_kind, uint64_t *ret_id);
