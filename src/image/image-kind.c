// SPDX-License-Identifier: Apache-2.0
/*
 * image-kind: see image-kind.h. Names, magics and messages as in CRIU 4.2; docs/formats/images.md
 * has them in words.
 */
#include "image/image-kind.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "image/schema.h"

#define NAME_MAX_LEN 64

#define MESSAGES(n, m, lower)                                                                      \
	.name = n, .suffix = ".img", .magic = m, .entry = &img__##lower##__descriptor
#define RAW(n) .name = n, .suffix = ".img", .extra = IMAGE_EXTRA_RAW

const struct image_type image_types[IMAGE_KIND_COUNT] = {
	[IMAGE_INVENTORY] = { MESSAGES("inventory", 0x58313116, inventory) },
	[IMAGE_PSTREE] = { MESSAGES("pstree", 0x50273030, pstree) },
	[IMAGE_CORE] = { MESSAGES("core-%u", 0x55053847, core) },
	[IMAGE_IDS] = { MESSAGES("ids-%u", 0x54432030, task_kobj_ids) },
	[IMAGE_MM] = { MESSAGES("mm-%u", 0x57492820, mm) },
	[IMAGE_PAGEMAP] = { MESSAGES("pagemap-%u", 0x56084025, pagemap),
			    .first = &img__pagemap_head__descriptor },
	[IMAGE_PAGEMAP_SHMEM] = { MESSAGES("pagemap-shmem-%u", 0x56084025, pagemap),
				  .first = &img__pagemap_head__descriptor },
	[IMAGE_PAGES] = { RAW("pages-%u") },
	[IMAGE_FS] = { MESSAGES("fs-%u", 0x51403912, fs) },
	[IMAGE_FDINFO] = { MESSAGES("fdinfo-%u", 0x56213732, fdinfo) },
	[IMAGE_FILES] = { MESSAGES("files", 0x56303138, file_entry) },
	[IMAGE_SECCOMP] = { MESSAGES("seccomp", 0x64413049, seccomp) },
	[IMAGE_CGROUP] = { MESSAGES("cgroup", 0x59383330, cgroup) },
	[IMAGE_REMAP_FPATH] = { MESSAGES("remap-fpath", 0x59133954, remap_file_path) },
	[IMAGE_GHOST_FILE] = { MESSAGES("ghost-file-%x", 0x52583605, ghost_chunk),
			       .first = &img__ghost_file__descriptor, .extra = IMAGE_EXTRA_REST,
			       .hex_id = true },
	[IMAGE_PIPES_DATA] = { MESSAGES("pipes-data", 0x56453709, pipe_data),
			       .extra = IMAGE_EXTRA_SIZED },
	[IMAGE_FIFO_DATA] = { MESSAGES("fifo-data", 0x59333054, pipe_data),
			      .extra = IMAGE_EXTRA_SIZED },
	[IMAGE_SK_QUEUES] = { MESSAGES("sk-queues", 0x56264026, sk_packet),
			      .extra = IMAGE_EXTRA_SIZED },
	[IMAGE_TCP_STREAM] = { MESSAGES("tcp-stream-%x", 0x51465506, tcp_stream),
			       .extra = IMAGE_EXTRA_SIZED, .hex_id = true },
	[IMAGE_TTY_INFO] = { MESSAGES("tty-info", 0x59453036, tty_info) },
	[IMAGE_TTY_DATA] = { MESSAGES("tty-data", 0x59413026, tty_data) },
	[IMAGE_FILE_LOCKS] = { MESSAGES("filelocks", 0x54323616, file_lock) },
	[IMAGE_MEMFD] = { MESSAGES("memfd", 0x48453499, memfd_inode) },
	[IMAGE_MOUNTPOINTS] = { MESSAGES("mountpoints-%u", 0x55563928, mnt) },
	[IMAGE_NETDEV] = { MESSAGES("netdev-%u", 0x57373951, net_device) },
	[IMAGE_NETNS] = { MESSAGES("netns-%u", 0x55933752, netns) },
	[IMAGE_IFADDR] = { RAW("ifaddr-%u") },
	[IMAGE_ROUTE] = { RAW("route-%u") },
	[IMAGE_ROUTE6] = { RAW("route6-%u") },
	[IMAGE_RULE] = { RAW("rule-%u") },
	[IMAGE_IPTABLES] = { RAW("iptables-%u") },
	[IMAGE_IP6TABLES] = { RAW("ip6tables-%u") },
	[IMAGE_NFTABLES] = { RAW("nftables-%u") },
	[IMAGE_CONNTRACK] = { RAW("netns-ct-%u") },
	[IMAGE_EXPECT] = { RAW("netns-exp-%u") },
	[IMAGE_UTSNS] = { MESSAGES("utsns-%u", 0x54473203, utsns) },
	[IMAGE_IPC_VAR] = { MESSAGES("ipcns-var-%u", 0x53115007, ipc_var) },
	[IMAGE_IPC_SHM] = { MESSAGES("ipcns-shm-%u", 0x46283044, ipc_shm),
			    .extra = IMAGE_EXTRA_SIZED },
	[IMAGE_IPC_MSG] = { MESSAGES("ipcns-msg-%u", 0x55453737, ipc_msg),
			    .extra = IMAGE_EXTRA_SIZED },
	[IMAGE_IPC_SEM] = { MESSAGES("ipcns-sem-%u", 0x59573019, ipc_sem),
			    .extra = IMAGE_EXTRA_SIZED },
	[IMAGE_USERNS] = { MESSAGES("userns-%u", 0x55474906, userns) },
	[IMAGE_TIMENS] = { MESSAGES("timens-%u", 0x43114433, timens) },
	[IMAGE_PIDNS] = { MESSAGES("pidns-%u", 0x61157326, pidns) },
	[IMAGE_TMPFS_DEV] = { RAW("tmpfs-dev-%u.tar.gz") },
	[IMAGE_TMPFS] = { RAW("tmpfs-%u.tar.gz") },
	[IMAGE_BINFMT_MISC] = { MESSAGES("binfmt-misc", 0x67343323, binfmt_misc) },
	[IMAGE_AUTOFS] = { MESSAGES("autofs-%u", 0x49353943, autofs) },
	[IMAGE_BPFMAP_FILE] = { MESSAGES("bpfmap-file", 0x57506142, bpfmap_file) },
	[IMAGE_BPFMAP_DATA] = { MESSAGES("bpfmap-data", 0x64324033, bpfmap_data),
				.extra = IMAGE_EXTRA_SIZED },
	[IMAGE_APPARMOR] = { MESSAGES("apparmor", 0x59423047, apparmor) },
	[IMAGE_CPUINFO] = { MESSAGES("cpuinfo", 0x61404013, cpuinfo) },
	[IMAGE_STATS_DUMP] = { "stats-dump", "", 0x57093306, true, NULL, &img__stats__descriptor },
	[IMAGE_STATS_RESTORE] = { "stats-restore", "", 0x57093306, true, NULL,
				  &img__stats__descriptor },
	[IMAGE_IRMAP_CACHE] = { "irmap-cache", "", 0x57004059, true, NULL,
				&img__irmap_cache__descriptor },
	[IMAGE_REG_FILES] = { MESSAGES("reg-files", 0x50363636, reg_file) },
	[IMAGE_SIGACT] = { MESSAGES("sigacts-%u", 0x55344201, sa) },
	[IMAGE_ITIMERS] = { MESSAGES("itimers-%u", 0x57464056, itimer) },
	[IMAGE_CREDS] = { MESSAGES("creds-%u", 0x54023547, creds) },
	[IMAGE_POSIX_TIMERS] = { MESSAGES("posix-timers-%u", 0x52603957, posix_timer) },
	[IMAGE_RLIMIT] = { MESSAGES("rlimit-%u", 0x57113925, rlimit) },
	[IMAGE_SIGNAL] = { MESSAGES("signal-s-%u", 0x59255647, siginfo) },
	[IMAGE_PSIGNAL] = { MESSAGES("signal-p-%u", 0x59255647, siginfo) },
	[IMAGE_VMAS] = { MESSAGES("vmas-%u", 0x54123737, vma) },
	[IMAGE_EXT_FILES] = { MESSAGES("ext-files", 0x59255641, ext_file) },
	[IMAGE_NS_FILES] = { MESSAGES("ns-files", 0x61394011, ns_file) },
	[IMAGE_EVENTFD_FILE] = { MESSAGES("eventfd", 0x44523722, eventfd_file) },
	[IMAGE_EVENTPOLL_FILE] = { MESSAGES("eventpoll", 0x45023858, eventpoll_file) },
	[IMAGE_EVENTPOLL_TFD] = { MESSAGES("eventpoll-tfd", 0x44433746, eventpoll_tfd) },
	[IMAGE_SIGNALFD] = { MESSAGES("signalfd", 0x57323820, signalfd) },
	[IMAGE_TIMERFD] = { MESSAGES("timerfd", 0x50493712, timerfd) },
	[IMAGE_INOTIFY_FILE] = { MESSAGES("inotify", 0x48424431, inotify_file) },
	[IMAGE_INOTIFY_WD] = { MESSAGES("inotify-wd", 0x54562009, inotify_wd) },
	[IMAGE_FANOTIFY_FILE] = { MESSAGES("fanotify", 0x55096122, fanotify_file) },
	[IMAGE_FANOTIFY_MARK] = { MESSAGES("fanotify-mark", 0x56506035, fanotify_mark) },
	[IMAGE_PIPES] = { MESSAGES("pipes", 0x56513555, pipe) },
	[IMAGE_FIFO] = { MESSAGES("fifo", 0x58364939, fifo) },
	[IMAGE_UNIXSK] = { MESSAGES("unixsk", 0x54373943, unix_sk) },
	[IMAGE_INETSK] = { MESSAGES("inetsk", 0x56443851, inet_sk) },
	[IMAGE_PACKETSK] = { MESSAGES("packetsk", 0x60454618, packet_sock) },
	[IMAGE_NETLINKSK] = { MESSAGES("netlinksk", 0x58005614, netlink_sk) },
	[IMAGE_TTY_FILES] = { MESSAGES("tty", 0x59433025, tty_file) },
	[IMAGE_TUNFILE] = { MESSAGES("tunfile", 0x57143751, tunfile) },
	[IMAGE_BINFMT_MISC_MNT] = { MESSAGES("binfmt-misc-%u", 0x67343323, binfmt_misc) },
};

/* Bytes to the next multiple of align, a power of two. */
static unsigned int padding(uint64_t size, unsigned int align)
{
	return -size & (align - 1);
}

uint64_t image_extra_size(const ProtobufCMessage *msg, unsigned int *ret_pad)
{
	const ProtobufCMessageDescriptor *desc = msg->descriptor;
	uint64_t size = 0;
	unsigned int align = 1;

	if (desc == &img__pipe_data__descriptor) {
		size = ((const Img__PipeData *)msg)->bytes;
	} else if (desc == &img__sk_packet__descriptor) {
		size = ((const Img__SkPacket *)msg)->length;
	} else if (desc == &img__tcp_stream__descriptor) {
		const Img__TcpStream *tcp = (const Img__TcpStream *)msg;

		size = (uint64_t)tcp->inq_len + tcp->outq_len;
	} else if (desc == &img__ghost_chunk__descriptor) {
		size = ((const Img__GhostChunk *)msg)->len;
	} else if (desc == &img__bpfmap_data__descriptor) {
		const Img__BpfmapData *map = (const Img__BpfmapData *)msg;

		size = (uint64_t)map->keys_bytes + map->values_bytes;
	} else if (desc == &img__ipc_msg_body__descriptor) {
		size = ((const Img__IpcMsgBody *)msg)->msize;
		align = 8;
	} else if (desc == &img__ipc_sem__descriptor) {
		size = 2 * (uint64_t)((const Img__IpcSem *)msg)->nsems;
		align = 8;
	} else if (desc == &img__ipc_shm__descriptor) {
		const Img__IpcShm *shm = (const Img__IpcShm *)msg;

		size = shm->has_in_pagemaps && shm->in_pagemaps ? 0 : shm->size;
		align = 4;
	}
	*ret_pad = padding(size, align);
	return size;
}

bool image_kind_accepts(enum image_kind kind, const ProtobufCMessageDescriptor *desc)
{
	const struct image_type *type = &image_types[kind];

	return desc == type->entry || (type->first && desc == type->first) ||
	       (kind == IMAGE_IPC_MSG && desc == &img__ipc_msg_body__descriptor);
}

void image_name(enum image_kind kind, uint64_t id, char *ret, size_t size)
{
	const struct image_type *type = &image_types[kind];
	const char *number = strchr(type->name, '%');

	if (!number)
		snprintf(ret, size, "%s%s", type->name, type->suffix);
	else if (type->hex_id)
		snprintf(ret, size, "%.*s%" PRIx64 "%s%s", (int)(number - type->name), type->name,
			 id, number + 2, type->suffix);
	else
		snprintf(ret, size, "%.*s%" PRIu64 "%s%s", (int)(number - type->name), type->name,
			 id, number + 2, type->suffix);
}

/* The number at s, of at most 64 bits. Signs, spaces and prefixes are for the caller to notice. */
static bool parse_id(const char *s, unsigned int base, uint64_t *ret)
{
	const char *digits = "0123456789abcdef", *digit;
	uint64_t id = 0;

	digit = *s ? strchr(digits, *s) : NULL;
	if (!digit || digit - digits >= base)
		return false;
	for (; *s && (digit = strchr(digits, *s)) && digit - digits < base; s++)
		if (__builtin_mul_overflow(id, base, &id) ||
		    __builtin_add_overflow(id, (uint64_t)(digit - digits), &id))
			return false;
	*ret = id;
	return true;
}

bool image_parse_name(const char *name, enum image_kind *ret_kind, uint64_t *ret_id)
{
	char again[NAME_MAX_LEN];

	for (unsigned int kind = 0; kind < IMAGE_KIND_COUNT; kind++) {
		const struct image_type *type = &image_types[kind];
		size_t prefix = strcspn(type->name, "%");
		uint64_t id = 0;

		if (strncmp(name, type->name, prefix))
			continue;
		if (type->name[prefix] && !parse_id(name + prefix, type->hex_id ? 16 : 10, &id))
			continue;
		/* One name, one image: what follows the number and leading zeros are judged here.
		 */
		image_name(kind, id, again, sizeof(again));
		if (strcmp(name, again))
			continue;
		*ret_kind = kind;
		*ret_id = id;
		return true;
	}
	return false;
}
