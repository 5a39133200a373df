// SPDX-License-Identifier: Apache-2.0
/*
 * look: a table of files, and a few shapes that their texts have.
 *
 * A file that is not there is noted as that: one that comes or goes is a tell, too.
 */
#include "look.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum shape {
	WHOLE, /* the text is the value */
	KEYED, /* a line is "key: value" or "key value" */
	WORDS, /* the values are words, numbered from 1 */
	LINES, /* each line is a value of one key, a set; also their number */
	NAMES, /* the same with the names in a directory */
	SMAPS, /* sums and flags over all mappings */
	TWINS, /* pairs of lines, names above and numbers below, as in /proc/net/snmp */
	IPC,   /* a table with a head, the second column tells the rows apart */
};

struct source {
	const char *key, *path;
	enum shape shape;
};

static const struct source of_process[] = {
	{ "status", "/proc/%d/status", KEYED },
	{ "stat", "/proc/%d/stat", WORDS },
	{ "maps", "/proc/%d/maps", LINES },
	{ "smaps", "/proc/%d/smaps", SMAPS },
	{ "fd", "/proc/%d/fd", NAMES },
	{ "task", "/proc/%d/task", NAMES },
	{ "children", "/proc/%d/task/%d/children", WHOLE },
	{ "wchan", "/proc/%d/wchan", WHOLE },
	{ "syscall", "/proc/%d/syscall", WHOLE },
	{ "limits", "/proc/%d/limits", LINES },
	{ "schedstat", "/proc/%d/schedstat", WORDS },
	{ "io", "/proc/%d/io", KEYED },
	{ "cgroup", "/proc/%d/cgroup", LINES },
	{ "mountinfo", "/proc/%d/mountinfo", LINES },
	{ "timerslack_ns", "/proc/%d/timerslack_ns", WHOLE },
	{ "timers", "/proc/%d/timers", LINES },
	{ "oom_score_adj", "/proc/%d/oom_score_adj", WHOLE },
	{ "oom_score", "/proc/%d/oom_score", WHOLE },
	{ "personality", "/proc/%d/personality", WHOLE },
	{ "coredump_filter", "/proc/%d/coredump_filter", WHOLE },
	{ "statm", "/proc/%d/statm", WORDS },
};

static const struct source closely[] = {
	{ "status", "/proc/%d/status", KEYED },
	{ "wchan", "/proc/%d/wchan", WHOLE },
	{ "fd", "/proc/%d/fd", NAMES },
};

static const struct source around[] = {
	{ "net/netstat", "/proc/self/net/netstat", TWINS },
	{ "net/snmp", "/proc/self/net/snmp", TWINS },
	{ "net/unix", "/proc/self/net/unix", LINES },
	{ "net/dev", "/proc/self/net/dev", LINES },
	{ "net/ip_tables_names", "/proc/self/net/ip_tables_names", WHOLE },
	{ "net/ip_tables_targets", "/proc/self/net/ip_tables_targets", WHOLE },
	{ "net/netfilter", "/proc/self/net/netfilter", NAMES },
	{ "net/netlink", "/proc/self/net/netlink", LINES },
	{ "net/packet", "/proc/self/net/packet", LINES },
	{ "net/raw", "/proc/self/net/raw", LINES },
	{ "ipc/shm", "/proc/sysvipc/shm", IPC },
	{ "ipc/sem", "/proc/sysvipc/sem", IPC },
	{ "ipc/msg", "/proc/sysvipc/msg", IPC },
	{ "locks", "/proc/locks", LINES },
	{ "pressure/cpu", "/proc/pressure/cpu", WHOLE },
	{ "pressure/memory", "/proc/pressure/memory", WHOLE },
	{ "pressure/io", "/proc/pressure/io", WHOLE },
	{ "ns_last_pid", "/proc/sys/kernel/ns_last_pid", WHOLE },
	{ "loadavg", "/proc/loadavg", WORDS },
	{ "proc", "/proc", NAMES },
	{ "cg/freezer.state", "/sys/fs/cgroup/freezer/freezer.state", WHOLE },
	{ "cg/freezer.self", "/sys/fs/cgroup/freezer/freezer.self_freezing", WHOLE },
	{ "cg/freezer.parent", "/sys/fs/cgroup/freezer/freezer.parent_freezing", WHOLE },
	{ "cg/cpu.stat", "/sys/fs/cgroup/cpu/cpu.stat", KEYED },
	{ "cg/memory.usage", "/sys/fs/cgroup/memory/memory.usage_in_bytes", WHOLE },
	{ "cg/memory.failcnt", "/sys/fs/cgroup/memory/memory.failcnt", WHOLE },
	{ "cg/memory.stat", "/sys/fs/cgroup/memory/memory.stat", KEYED },
	{ "cg/pids.current", "/sys/fs/cgroup/pids/pids.current", WHOLE },
	{ "cg/pids.events", "/sys/fs/cgroup/pids/pids.events", WHOLE },
	{ "cg/procs", "/sys/fs/cgroup/pids/cgroup.procs", LINES },
	{ "cg/cpuset", "/sys/fs/cgroup/cpuset/cpuset.cpus", WHOLE },
	{ "cg2/freeze", "/sys/fs/cgroup/unified/cgroup.freeze", WHOLE },
	{ "cg2/events", "/sys/fs/cgroup/unified/cgroup.events", KEYED },
	{ "cg2/stat.local", "/sys/fs/cgroup/unified/cgroup.stat.local", KEYED },
	{ "cg2/procs", "/sys/fs/cgroup/unified/cgroup.procs", LINES },
	{ "cg2/stat", "/sys/fs/cgroup/unified/cgroup.stat", KEYED },
	{ "cg2/cpu.pressure", "/sys/fs/cgroup/unified/cpu.pressure", WHOLE },
	{ "cg2/irq.pressure", "/sys/fs/cgroup/unified/irq.pressure", WHOLE },
	/* The same on a machine with cgroup v2 alone. */
	{ "cg2/freeze", "/sys/fs/cgroup/cgroup.freeze", WHOLE },
	{ "cg2/events", "/sys/fs/cgroup/cgroup.events", KEYED },
	{ "cg2/stat.local", "/sys/fs/cgroup/cgroup.stat.local", KEYED },
	{ "cg2/procs", "/sys/fs/cgroup/cgroup.procs", LINES },
	{ "cg2/cpu.stat", "/sys/fs/cgroup/cpu.stat", KEYED },
	{ "cg2/memory.events", "/sys/fs/cgroup/memory.events", KEYED },
	{ "cg2/memory.current", "/sys/fs/cgroup/memory.current", WHOLE },
	{ "cg2/memory.peak", "/sys/fs/cgroup/memory.peak", WHOLE },
	{ "cg2/pids.current", "/sys/fs/cgroup/pids.current", WHOLE },
	{ "cg2/pids.peak", "/sys/fs/cgroup/pids.peak", WHOLE },
	{ "cg2/io.stat", "/sys/fs/cgroup/io.stat", LINES },
};

#define TEXT_SIZE (1 << 20)

static char *read_text(const char *path)
{
	static __thread char *text;
	size_t n = 0;
	ssize_t r;
	int fd;

	if (!text)
		text = malloc(TEXT_SIZE);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || !text)
		return NULL;
	while (n < TEXT_SIZE - 1 && (r = read(fd, text + n, TEXT_SIZE - 1 - n)) > 0)
		n += r;
	close(fd);
	while (n > 0 && isspace((unsigned char)text[n - 1]))
		n--;
	text[n] = 0;
	return text;
}

static void look_keyed(struct notebook *b, int window, char *text, const char *prefix)
{
	char *line, *value, *save = NULL;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		value = line + strcspn(line, ": \t");
		if (!*value)
			continue;
		*value++ = 0;
		note(b, window, value + strspn(value, ": \t"), "%s/%s", prefix, line);
	}
}

static void look_words(struct notebook *b, int window, char *text, const char *prefix)
{
	char *word, *save = NULL, *end = strrchr(text, ')');
	int n = end ? 2 : 0; /* the name of a program may hold blanks */

	for (word = strtok_r(end ? end + 1 : text, " \n\t", &save); word;
	     word = strtok_r(NULL, " \n\t", &save))
		note(b, window, word, "%s/%d", prefix, ++n);
}

static void look_lines(struct notebook *b, int window, char *text, const char *prefix)
{
	char *line, *save = NULL;
	int n = 0;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save), n++)
		note(b, window, line, "%s", prefix);
	note_number(b, window, n, "%s/count", prefix);
}

static void look_twins(struct notebook *b, int window, char *text, const char *prefix)
{
	char *head, *numbers, *save = NULL, *name, *number, *s1, *s2;

	for (head = strtok_r(text, "\n", &save); head; head = strtok_r(NULL, "\n", &save)) {
		numbers = strtok_r(NULL, "\n", &save);
		if (!numbers)
			return;
		strtok_r(head, " ", &s1);
		strtok_r(numbers, " ", &s2);
		while ((name = strtok_r(NULL, " ", &s1)) && (number = strtok_r(NULL, " ", &s2)))
			note(b, window, number, "%s/%s%s", prefix, head, name);
	}
}

static void look_ipc(struct notebook *b, int window, char *text, const char *prefix)
{
	char *heads[32], *line, *save = NULL, *s = NULL, *word;
	const char *id;
	int n_heads = 0, i;

	line = strtok_r(text, "\n", &save);
	for (word = line ? strtok_r(line, " ", &s) : NULL; word && n_heads < 32;
	     word = strtok_r(NULL, " ", &s))
		heads[n_heads++] = word;
	while ((line = strtok_r(NULL, "\n", &save))) {
		id = "";
		for (i = 0, word = strtok_r(line, " ", &s); word && i < n_heads;
		     word = strtok_r(NULL, " ", &s), i++) {
			if (i == 1)
				id = word;
			else
				note(b, window, word, "%s/%s/%s", prefix, id, heads[i]);
		}
	}
}

static void look_smaps(struct notebook *b, int window, char *text, const char *prefix)
{
	long huge = 0, locked = 0, swap = 0, tracked = 0, size = 0, n = 0;
	char *line, *save = NULL, *word, *s;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "Size: %ld", &size) == 1)
			n++;
		else if (strncmp(line, "AnonHugePages:", 14) == 0)
			huge += atol(line + 14);
		else if (strncmp(line, "Locked:", 7) == 0)
			locked += atol(line + 7);
		else if (strncmp(line, "Swap:", 5) == 0)
			swap += atol(line + 5);
		if (strncmp(line, "VmFlags:", 8))
			continue;
		for (word = strtok_r(line + 8, " ", &s); word; word = strtok_r(NULL, " ", &s)) {
			note(b, window, word, "%s/VmFlags", prefix);
			if (strcmp(word, "uw") == 0)
				tracked += size;
		}
	}
	note_number(b, window, n, "%s/vmas", prefix);
	note_number(b, window, huge, "%s/AnonHugePages", prefix);
	note_number(b, window, locked, "%s/Locked", prefix);
	note_number(b, window, swap, "%s/Swap", prefix);
	note_number(b, window, tracked, "%s/uw_kb", prefix);
}

void look_names(struct notebook *b, int window, const char *path, const char *key)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d))) {
		/* The directory's own descriptor, when it is looked at through itself, has
		 * the place of one that was free before and is free again. */
		if (e->d_name[0] == '.')
			continue;
		note(b, window, e->d_name, "%s", key);
		n++;
	}
	if (d)
		closedir(d);
	note_number(b, window, n, "%s/count", key);
}

static void look_at(struct notebook *b, int window, const struct source *s, const char *path,
		    const char *key)
{
	static void (*const by_shape[])(struct notebook *, int, char *, const char *) = {
		[KEYED] = look_keyed, [WORDS] = look_words, [LINES] = look_lines,
		[SMAPS] = look_smaps, [TWINS] = look_twins, [IPC] = look_ipc,
	};
	char *text;

	if (s->shape == NAMES) {
		look_names(b, window, path, key);
		return;
	}
	text = read_text(path);
	if (!text)
		note(b, window, "not there", "%s", key);
	else if (s->shape == WHOLE)
		note(b, window, text, "%s", key);
	else
		by_shape[s->shape](b, window, text, key);
}

static void look_list(struct notebook *b, int window, const struct source *list, size_t n,
		      pid_t pid, const char *who)
{
	char path[128], key[128];
	size_t i;

	for (i = 0; i < n; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(path, sizeof(path), list[i].path, pid, pid);
#pragma GCC diagnostic pop
		snprintf(key, sizeof(key), "%s/%s", who, list[i].key);
		look_at(b, window, &list[i], path, key);
	}
}

void look_process(struct notebook *b, int window, pid_t pid, const char *who)
{
	look_list(b, window, of_process, sizeof(of_process) / sizeof(of_process[0]), pid, who);
}

void look_closely(struct notebook *b, int window, pid_t pid, const char *who)
{
	look_list(b, window, closely, sizeof(closely) / sizeof(closely[0]), pid, who);
}

void look_around(struct notebook *b, int window)
{
	size_t i;

	for (i = 0; i < sizeof(around) / sizeof(around[0]); i++)
		if (around[i].shape == NAMES || access(around[i].path, F_OK) == 0)
			look_at(b, window, &around[i], around[i].path, around[i].key);
}

void look_threads(struct notebook *b, int window, pid_t pid, const char *who)
{
	static const char *const wanted[] = { "State:", "TracerPid:", "SigPnd:", "SigBlk:" };
	char path[320], name[64], *text, *line, *save;
	struct dirent *e;
	size_t i;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid, e->d_name);
		text = read_text(path);
		if (!text || sscanf(text, "Name: %63s", name) != 1)
			continue;
		save = NULL;
		for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
			for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
				if (strncmp(line, wanted[i], strlen(wanted[i])) == 0)
					note(b, window, line + strlen(wanted[i]) + 1,
					     "%s/threads/%s/%.*s", who, name,
					     (int)strlen(wanted[i]) - 1, wanted[i]);
	}
	if (d)
		closedir(d);
}

static void note_time(struct notebook *b, int window, const struct statx_timestamp *t,
		      const char *path, const char *kind)
{
	char text[64];

	snprintf(text, sizeof(text), "%lld.%09u", (long long)t->tv_sec, t->tv_nsec);
	note(b, window, text, "file%s/%s", path, kind);
}

void look_file(struct notebook *b, int window, const char *path)
{
	struct statx st;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &st) < 0) {
		note(b, window, strerror(errno), "file%s", path);
		return;
	}
	note_time(b, window, &st.stx_atime, path, "atime");
	note_time(b, window, &st.stx_mtime, path, "mtime");
	note_time(b, window, &st.stx_ctime, path, "ctime");
	note_number(b, window, st.stx_nlink, "file%s/nlink", path);
	note_number(b, window, st.stx_size, "file%s/size", path);
}
