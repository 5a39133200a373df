/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc-fdinfo: /proc/PID/fdinfo/N: what the kernel tells of one open file without being asked for
 * it in the process.
 *
 * Lines of kinds not listed here are kept as text in rest. sdev numbers are the kernel's own
 * (major << 20 | minor), as CRIU's images have them.
 */
#pragma once

#include <sys/types.h>

#include "kernel/proc-locks.h"

#define PROC_FDINFO_MAX_BYTES  ((size_t)64 << 20)
#define PROC_FDINFO_MAX	       ((size_t)1 << 20) /* epoll targets, watches, locks of one file */
#define PROC_FDINFO_HANDLE_MAX 128		 /* MAX_HANDLE_SZ */
#define PROC_FDINFO_NS_MAX     33

enum proc_fdinfo_kind {
	PROC_FDINFO_PLAIN, /* no lines of its own: file, pipe, socket, ... */
	PROC_FDINFO_EVENTFD,
	PROC_FDINFO_SIGNALFD,
	PROC_FDINFO_EPOLL, /* only when it watches something: an empty epoll looks plain */
	PROC_FDINFO_TIMERFD,
	PROC_FDINFO_INOTIFY, /* only with at least one watch */
	PROC_FDINFO_FANOTIFY,
	PROC_FDINFO_PIDFD,
	PROC_FDINFO_TTY, /* a pty master */
	PROC_FDINFO_TUN,
	PROC_FDINFO_BPF, /* a map or program: lines in rest */
	PROC_FDINFO_IO_URING,
};

struct proc_fdinfo_tfd {
	int32_t tfd;	 /* the number the file had when it was added */
	uint32_t events; /* EPOLL* */
	uint64_t data;
	int64_t pos;
	uint64_t ino;
	uint32_t sdev;
	bool has_file; /* pos, ino, sdev are there (Linux >= 4.13) */
};

struct proc_fdinfo_handle {
	uint32_t type; /* of file_handle */
	uint32_t len;  /* 0 = the file system gives none */
	unsigned char bytes[PROC_FDINFO_HANDLE_MAX];
};

struct proc_fdinfo_watch {
	int32_t wd; /* inotify only */
	uint64_t ino;
	uint32_t sdev, mask, ignored_mask;
	struct proc_fdinfo_handle handle;
};

enum proc_fdinfo_fanotify_kind {
	PROC_FANOTIFY_INODE,
	PROC_FANOTIFY_MOUNT,
	PROC_FANOTIFY_FILESYSTEM
};

struct proc_fdinfo_mark {
	enum proc_fdinfo_fanotify_kind kind;
	uint32_t mnt_id; /* _MOUNT */
	uint32_t mflags;
	struct proc_fdinfo_watch watch; /* without wd */
};

struct proc_fdinfo {
	enum proc_fdinfo_kind kind;
	int64_t pos;
	uint32_t flags; /* O_* with O_CLOEXEC of this descriptor */
	int32_t mnt_id;
	uint64_t ino; /* Linux >= 5.14, else 0 */
	struct proc_lock *locks;
	size_t n_locks;
	const char *rest; /* unknown lines, each with its newline; NULL when there are none */

	/* by kind */
	struct {
		uint64_t count;
		int32_t id;
		bool semaphore, has_semaphore; /* told by Linux >= 6.5 */
	} eventfd;
	uint64_t sigmask; /* signalfd: bit n-1 = signal n */
	struct proc_fdinfo_tfd *tfds;
	size_t n_tfds;
	struct {
		int32_t clockid;
		uint64_t ticks;
		uint32_t settime_flags;
		uint64_t value_sec, value_nsec; /* what is left */
		uint64_t interval_sec, interval_nsec;
	} timerfd;
	struct proc_fdinfo_watch *watches; /* inotify */
	size_t n_watches;
	struct {
		uint32_t flags, event_flags;
		struct proc_fdinfo_mark *marks;
		size_t n_marks;
	} fanotify;
	struct {
		pid_t pid; /* -1 = dead and reaped; 0 = not visible from this /proc */
		pid_t ns_pid[PROC_FDINFO_NS_MAX];
		size_t n_ns;
	} pidfd;
	int32_t tty_index;
	const char *tun_iff;
};

/* proc_fdinfo_parse - returns 0, -EBADMSG, -E2BIG, -ENOMEM. */
int proc_fdinfo_parse(struct bytes text, struct arena *arena, struct proc_fdinfo *ret,
		      struct error *err) _must_check_;

/* proc_fdinfo_read - fdinfo/FD of a process or thread directory. -ENOENT: no such descriptor. */
int proc_fdinfo_read(int proc_fd, int fd, struct arena *arena, struct proc_fdinfo *ret,
		     struct error *err) _must_check_;
