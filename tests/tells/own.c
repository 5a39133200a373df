// SPDX-License-Identifier: Apache-2.0
/*
 * own: loopback TCP connections (idle; with data unread; with data that does not fit), a unix
 * socket and a pipe with data, inotify on files and directories, a timerfd with a short period,
 * pages of a cold file.
 */
#include "own.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "family.h"
#include "look.h"

#ifndef TCP_REPAIR
#define TCP_REPAIR 19
#endif
#define COLD_PAGES 16
#define TICK_MS	   20

struct pair {
	const char *name;
	int ends[2];
};

struct own {
	struct pair tcp[3], unix_pair, fifo;
	int inotify, ticker;
	int root_watch;
	unsigned char *cold;
	char *watched[16];
	int n_watched;
};

static const char *const files[] = { DATA,	    DATA "/mapped",	 DATA "/open",
				     DATA "/plain", DATA "/second-name", "/tells/watch",
				     "/tmp",	    "/etc/passwd",	 "/dev/shm" };

static void need(long good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static void connect_pair(struct pair *p, const char *name)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(0x7f000001) };
	socklen_t size = sizeof(address);
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	p->name = name;
	p->ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	need(bind(server, (struct sockaddr *)&address, size) == 0 && listen(server, 1) == 0 &&
		     getsockname(server, (struct sockaddr *)&address, &size) == 0 &&
		     connect(p->ends[0], (struct sockaddr *)&address, size) == 0,
	     name);
	p->ends[1] = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	need(p->ends[1] >= 0, name);
	close(server);
}

static void make_channels(struct own *own)
{
	static char much[4 << 20];
	int i;

	for (i = 0; i < 3; i++)
		connect_pair(&own->tcp[i], (const char *[]){ "idle", "unread", "unsent" }[i]);
	need(write(own->tcp[1].ends[0], "unread", 6) == 6, "tcp");
	fcntl(own->tcp[2].ends[0], F_SETFL, O_NONBLOCK);
	while (write(own->tcp[2].ends[0], much, sizeof(much)) > 0)
		;
	own->unix_pair.name = "unix";
	own->fifo.name = "pipe";
	need(socketpair(AF_UNIX, SOCK_STREAM, 0, own->unix_pair.ends) == 0 &&
		     write(own->unix_pair.ends[0], "hello", 5) == 5 && pipe(own->fifo.ends) == 0 &&
		     write(own->fifo.ends[1], "hello", 5) == 5,
	     "channels");
}

struct own *own_new(void)
{
	struct itimerspec period = { { 0, TICK_MS * 1000000 }, { 0, TICK_MS * 1000000 } };
	struct own *own = calloc(1, sizeof(*own));
	size_t i;
	int fd;

	need(own != NULL, "memory");
	make_channels(own);
	own->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		int wd = inotify_add_watch(own->inotify, files[i], IN_ALL_EVENTS);

		if (wd >= 0 && wd < 16)
			own->watched[wd] = strdup(files[i]);
	}
	own->ticker = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	need(timerfd_settime(own->ticker, 0, &period, NULL) == 0, "timerfd");
	fd = open(DATA "/mapped", O_RDWR | O_CLOEXEC | O_NOATIME);
	own->cold = mmap(NULL, COLD_PAGES * 4096, PROT_READ, MAP_SHARED, fd, 0);
	need(fd >= 0 && own->cold != MAP_FAILED, "mmap");
	close(fd);
	return own;
}

static void look_tcp(const struct pair *p, int end, struct notebook *b, int window)
{
	static const struct {
		const char *name;
		size_t offset, size;
	} fields[] = {
#define FIELD(f) { #f, offsetof(struct tcp_info, f), sizeof(((struct tcp_info *)0)->f) }
		FIELD(tcpi_state),     FIELD(tcpi_ca_state),	  FIELD(tcpi_retransmits),
		FIELD(tcpi_probes),    FIELD(tcpi_backoff),	  FIELD(tcpi_options),
		FIELD(tcpi_snd_mss),   FIELD(tcpi_rcv_mss),	  FIELD(tcpi_unacked),
		FIELD(tcpi_sacked),    FIELD(tcpi_lost),	  FIELD(tcpi_retrans),
		FIELD(tcpi_pmtu),      FIELD(tcpi_snd_cwnd),	  FIELD(tcpi_snd_ssthresh),
		FIELD(tcpi_rcv_space), FIELD(tcpi_total_retrans),
	};
	char key[64];
	struct tcp_info info = { 0 };
	socklen_t size = sizeof(info);
	unsigned int value;
	size_t i;

	if (getsockopt(p->ends[end], IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return;
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		value = 0;
		memcpy(&value, (char *)&info + fields[i].offset, fields[i].size);
		note_number(b, window, value, "tcp/%s.%d/%s", p->name, end, fields[i].name);
	}
	snprintf(key, sizeof(key), "tcp/%s.%d", p->name, end);
	size = sizeof(value);
	value = 0;
	getsockopt(p->ends[end], IPPROTO_TCP, TCP_REPAIR, &value, &size);
	note_number(b, window, value, "%s/TCP_REPAIR", key);
}

static void look_socket(const struct pair *p, int end, struct notebook *b, int window)
{
	static const struct {
		const char *name;
		int option;
	} options[] = { { "SO_PEEK_OFF", SO_PEEK_OFF }, { "SO_RCVBUF", SO_RCVBUF },
			{ "SO_SNDBUF", SO_SNDBUF },	{ "SO_REUSEADDR", SO_REUSEADDR },
			{ "SO_MARK", SO_MARK },		{ "SO_ERROR", SO_ERROR },
			{ "SO_PASSCRED", SO_PASSCRED }, { "SO_TIMESTAMP", SO_TIMESTAMP } };
	int value, waiting;
	socklen_t size;
	size_t i;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		size = sizeof(value);
		if (getsockopt(p->ends[end], SOL_SOCKET, options[i].option, &value, &size) == 0)
			note_number(b, window, value, "socket/%s.%d/%s", p->name, end,
				    options[i].name);
	}
	if (ioctl(p->ends[end], FIONREAD, &waiting) == 0)
		note_number(b, window, waiting, "queue/%s.%d/in", p->name, end);
	if (ioctl(p->ends[end], TIOCOUTQ, &waiting) == 0)
		note_number(b, window, waiting, "queue/%s.%d/out", p->name, end);
	note_number(b, window, fcntl(p->ends[end], F_GETFL), "socket/%s.%d/F_GETFL", p->name, end);
	note_number(b, window, fcntl(p->ends[end], F_GETOWN), "socket/%s.%d/F_GETOWN", p->name,
		    end);
}

static const char *event_name(uint32_t mask)
{
	static const char *const names[] = { "IN_ACCESS",      "IN_MODIFY",	   "IN_ATTRIB",
					     "IN_CLOSE_WRITE", "IN_CLOSE_NOWRITE", "IN_OPEN",
					     "IN_MOVED_FROM",  "IN_MOVED_TO",	   "IN_CREATE",
					     "IN_DELETE",      "IN_DELETE_SELF",   "IN_MOVE_SELF" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (mask & (1u << i))
			return names[i];
	return "other";
}

static void look_events(struct own *own, struct notebook *b, int window)
{
	char events[8192] __attribute__((aligned(8))), text[512];
	const struct inotify_event *e;
	ssize_t n, at;

	while ((n = read(own->inotify, events, sizeof(events))) > 0)
		for (at = 0; at < n; at += sizeof(*e) + e->len) {
			e = (const struct inotify_event *)(events + at);
			snprintf(text, sizeof(text), "%s%s%s %s",
				 e->wd >= 0 && e->wd < 16 ? own->watched[e->wd] : "?",
				 e->len ? " " : "", e->len ? e->name : "", event_name(e->mask));
			note(b, window, text, "inotify");
		}
	note(b, window, "none yet", "inotify");
}

static void look_attributes(struct notebook *b, int window)
{
	static const struct {
		const char *name;
		int option;
	} options[] = { { "dumpable", PR_GET_DUMPABLE },
			{ "keepcaps", PR_GET_KEEPCAPS },
			{ "no_new_privs", PR_GET_NO_NEW_PRIVS },
			{ "timerslack", PR_GET_TIMERSLACK },
			{ "securebits", PR_GET_SECUREBITS },
			{ "thp_disable", PR_GET_THP_DISABLE },
			{ "seccomp", PR_GET_SECCOMP } };
	int value = 0;
	size_t i;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		note_number(b, window, prctl(options[i].option, 0, 0, 0, 0), "prctl/%s",
			    options[i].name);
	prctl(PR_GET_PDEATHSIG, &value);
	note_number(b, window, value, "prctl/pdeathsig");
	prctl(PR_GET_CHILD_SUBREAPER, &value);
	note_number(b, window, value, "prctl/child_subreaper");
}

void own_look(struct own *own, struct notebook *b, int window)
{
	unsigned char resident[COLD_PAGES];
	uint64_t ticks = 0;
	size_t i, n = 0;
	int end;

	for (i = 0; i < 6; i++)
		look_tcp(&own->tcp[i / 2], i % 2, b, window);
	for (end = 0; end < 2; end++) {
		for (i = 0; i < 3; i++)
			look_socket(&own->tcp[i], end, b, window);
		look_socket(&own->unix_pair, end, b, window);
	}
	look_socket(&own->fifo, 0, b, window);
	look_events(own, b, window);
	look_attributes(b, window);
	if (read(own->ticker, &ticks, sizeof(ticks)) == sizeof(ticks))
		note_number(b, window, ticks, "timerfd/ticks");
	if (mincore(own->cold, COLD_PAGES * 4096, resident) == 0)
		for (i = 0; i < COLD_PAGES; i++)
			n += resident[i] & 1;
	note_number(b, window, n, "mincore/cold");
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		look_file(b, window, files[i]);
}

void own_pid(struct notebook *b, int window)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	note_number(b, window, pid, "pid/next");
	waitpid(pid, NULL, 0);
}
