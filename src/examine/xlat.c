// SPDX-License-Identifier: Apache-2.0
/*
 * xlat: see xlat.h. The numbers are those of Linux on x86-64, whichever machine reads them.
 */
#include "examine/xlat.h"

#include <stdio.h>

const struct xlat xlat_families[] = {
	{ 1, "unix" },	  { 2, "inet" },   { 10, "inet6" }, { 16, "netlink" },
	{ 17, "packet" }, { 40, "vsock" }, { 0, NULL },
};

const struct xlat xlat_socket_types[] = {
	{ 1, "stream" }, { 2, "dgram" },     { 3, "raw" },
	{ 4, "rdm" },	 { 5, "seqpacket" }, { 0, NULL },
};

const struct xlat xlat_protocols[] = {
	{ 0, "ip" },	 { 1, "icmp" },	     { 6, "tcp" },   { 17, "udp" },    { 58, "icmp6" },
	{ 132, "sctp" }, { 136, "udplite" }, { 255, "raw" }, { 262, "mptcp" }, { 0, NULL },
};

const struct xlat xlat_tcp_states[] = {
	{ 1, "established" }, { 2, "syn-sent" },  { 3, "syn-recv" }, { 4, "fin-wait-1" },
	{ 5, "fin-wait-2" },  { 6, "time-wait" }, { 7, "close" },    { 8, "close-wait" },
	{ 9, "last-ack" },    { 10, "listen" },	  { 11, "closing" }, { 12, "new-syn-recv" },
	{ 0, NULL },
};

const struct xlat xlat_netlink[] = {
	{ 0, "route" },	      { 2, "usersock" },
	{ 4, "sock-diag" },   { 5, "nflog" },
	{ 6, "xfrm" },	      { 7, "selinux" },
	{ 8, "iscsi" },	      { 9, "audit" },
	{ 10, "fib-lookup" }, { 11, "connector" },
	{ 12, "netfilter" },  { 15, "kobject-uevent" },
	{ 16, "generic" },    { 18, "scsi-transport" },
	{ 20, "rdma" },	      { 21, "crypto" },
	{ 0, NULL },
};

const struct xlat xlat_open_flags[] = {
	{ 0100, "O_CREAT" },
	{ 0200, "O_EXCL" },
	{ 0400, "O_NOCTTY" },
	{ 01000, "O_TRUNC" },
	{ 02000, "O_APPEND" },
	{ 04000, "O_NONBLOCK" },
	{ 020000, "FASYNC" },
	{ 040000, "O_DIRECT" },
	{ 020200000, "O_TMPFILE" },
	{ 0200000, "O_DIRECTORY" },
	{ 0400000, "O_NOFOLLOW" },
	{ 01000000, "O_NOATIME" },
	{ 02000000, "O_CLOEXEC" },
	{ 010000000, "O_PATH" },
	{ 04010000, "O_SYNC" },
	{ 010000, "O_DSYNC" },
	{ 020200000, "O_TMPFILE" },
	{ 0100000, "O_LARGEFILE" },
	{ 0, NULL },
};

const struct xlat xlat_mount_flags[] = {
	{ 1U << 0, "ro" },	    { 1U << 1, "nosuid" },
	{ 1U << 2, "nodev" },	    { 1U << 3, "noexec" },
	{ 1U << 4, "sync" },	    { 1U << 6, "mand" },
	{ 1U << 7, "dirsync" },	    { 1U << 8, "nosymfollow" },
	{ 1U << 10, "noatime" },    { 1U << 11, "nodiratime" },
	{ 1U << 12, "bind" },	    { 1U << 16, "posixacl" },
	{ 1U << 17, "unbindable" }, { 1U << 18, "private" },
	{ 1U << 19, "slave" },	    { 1U << 20, "shared" },
	{ 1U << 21, "relatime" },   { 1U << 24, "strictatime" },
	{ 1U << 25, "lazytime" },   { 0, NULL },
};

const struct xlat xlat_clone_namespaces[] = {
	{ 0x80, "time" },      { 0x20000, "mnt" },    { 0x2000000, "cgroup" },
	{ 0x4000000, "uts" },  { 0x8000000, "ipc" },  { 0x10000000, "user" },
	{ 0x20000000, "pid" }, { 0x40000000, "net" }, { 0, NULL },
};

const struct xlat xlat_capabilities[] = {
	{ 0, "CAP_CHOWN" },
	{ 1, "CAP_DAC_OVERRIDE" },
	{ 2, "CAP_DAC_READ_SEARCH" },
	{ 3, "CAP_FOWNER" },
	{ 4, "CAP_FSETID" },
	{ 5, "CAP_KILL" },
	{ 6, "CAP_SETGID" },
	{ 7, "CAP_SETUID" },
	{ 8, "CAP_SETPCAP" },
	{ 9, "CAP_LINUX_IMMUTABLE" },
	{ 10, "CAP_NET_BIND_SERVICE" },
	{ 11, "CAP_NET_BROADCAST" },
	{ 12, "CAP_NET_ADMIN" },
	{ 13, "CAP_NET_RAW" },
	{ 14, "CAP_IPC_LOCK" },
	{ 15, "CAP_IPC_OWNER" },
	{ 16, "CAP_SYS_MODULE" },
	{ 17, "CAP_SYS_RAWIO" },
	{ 18, "CAP_SYS_CHROOT" },
	{ 19, "CAP_SYS_PTRACE" },
	{ 20, "CAP_SYS_PACCT" },
	{ 21, "CAP_SYS_ADMIN" },
	{ 22, "CAP_SYS_BOOT" },
	{ 23, "CAP_SYS_NICE" },
	{ 24, "CAP_SYS_RESOURCE" },
	{ 25, "CAP_SYS_TIME" },
	{ 26, "CAP_SYS_TTY_CONFIG" },
	{ 27, "CAP_MKNOD" },
	{ 28, "CAP_LEASE" },
	{ 29, "CAP_AUDIT_WRITE" },
	{ 30, "CAP_AUDIT_CONTROL" },
	{ 31, "CAP_SETFCAP" },
	{ 32, "CAP_MAC_OVERRIDE" },
	{ 33, "CAP_MAC_ADMIN" },
	{ 34, "CAP_SYSLOG" },
	{ 35, "CAP_WAKE_ALARM" },
	{ 36, "CAP_BLOCK_SUSPEND" },
	{ 37, "CAP_AUDIT_READ" },
	{ 38, "CAP_PERFMON" },
	{ 39, "CAP_BPF" },
	{ 40, "CAP_CHECKPOINT_RESTORE" },
	{ 0, NULL },
};

const struct xlat xlat_task_states[] = {
	{ 1, "alive" }, { 2, "dead" }, { 3, "stopped" }, { 6, "zombie" }, { 0, NULL },
};

const struct xlat xlat_clocks[] = {
	{ 0, "realtime" },	   { 1, "monotonic" },	   { 2, "process-cputime" },
	{ 3, "thread-cputime" },   { 4, "monotonic-raw" }, { 5, "realtime-coarse" },
	{ 6, "monotonic-coarse" }, { 7, "boottime" },	   { 8, "realtime-alarm" },
	{ 9, "boottime-alarm" },   { 11, "tai" },	   { 0, NULL },
};

const struct xlat xlat_file_kinds[] = {
	{ 1, "file" },	   { 2, "pipe" },	{ 3, "fifo" },	    { 4, "inet" },
	{ 5, "unix" },	   { 6, "eventfd" },	{ 7, "eventpoll" }, { 8, "inotify" },
	{ 9, "signalfd" }, { 10, "packet" },	{ 11, "tty" },	    { 12, "fanotify" },
	{ 13, "netlink" }, { 14, "namespace" }, { 15, "tun" },	    { 16, "external" },
	{ 17, "timerfd" }, { 18, "memfd" },	{ 19, "bpf-map" },  { 20, "pidfd" },
	{ 0, NULL },
};

const char *xlat_name(const struct xlat *table, uint64_t value)
{
	for (; table->name; table++)
		if (table->value == value)
			return table->name;
	return NULL;
}

json_object *xlat_json(const struct xlat *table, uint64_t value)
{
	const char *name = xlat_name(table, value);

	return name ? json_object_new_string(name) : json_object_new_uint64(value);
}

static void add_flags(json_object *list, const struct xlat *table, uint64_t value)
{
	char text[24];

	for (; table->name; table++)
		if (table->value && (value & table->value) == table->value) {
			json_object_array_add(list, json_object_new_string(table->name));
			value &= ~table->value;
		}
	if (!value)
		return;
	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)value);
	json_object_array_add(list, json_object_new_string(text));
}

json_object *xlat_flags_json(const struct xlat *table, uint64_t value)
{
	json_object *list = json_object_new_array();

	add_flags(list, table, value);
	return list;
}

json_object *xlat_open_flags_json(uint32_t flags)
{
	static const char *const modes[] = { "O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE" };
	json_object *list = json_object_new_array();

	json_object_array_add(list, json_object_new_string(modes[flags & 3]));
	add_flags(list, xlat_open_flags, flags & ~3U);
	return list;
}

json_object *xlat_capabilities_json(const uint32_t *words, size_t n)
{
	json_object *list = json_object_new_array();
	const char *name;
	char text[16];
	uint32_t bit;

	for (bit = 0; bit < 64 && bit / 32 < n; bit++) {
		if (!(words[bit / 32] >> (bit % 32) & 1))
			continue;
		name = xlat_name(xlat_capabilities, bit);
		snprintf(text, sizeof(text), "CAP_%u", bit);
		json_object_array_add(list, json_object_new_string(name ? name : text));
	}
	return list;
}
