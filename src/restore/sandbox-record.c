// SPDX-License-Identifier: Apache-2.0
/*
 * sandbox-record: NAME.json of each sandbox, and clearing away after keepers that were killed.
 *
 * A record names its keeper and init by pid and start time, so that a pid that was given anew is
 * not taken for them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "kernel/proc-stat.h"
#include "kernel/proc.h"
#include "restore/sandbox.h"

#define RECORD_MAX (1U << 20)

/* Start time in ticks since boot, 0 when there is no such process. */
static uint64_t started(pid_t pid)
{
	_cleanup_close_ int proc = -1;
	struct proc_stat stat;

	if (pid <= 0 || proc_open(pid, &proc, NULL) < 0 || proc_stat_read(proc, &stat, NULL) < 0 ||
	    stat.state == 'Z')
		return 0;
	return stat.start_time;
}

static void add_process(struct json_object *json, const char *key, const char *start_key, pid_t pid)
{
	json_object_object_add(json, key, json_object_new_int(pid));
	json_object_object_add(json, start_key, json_object_new_int64((int64_t)started(pid)));
}

static struct json_object *describe(const struct sandbox *sb, pid_t init, pid_t root,
				    const char *archive)
{
	struct json_object *json = json_object_new_object();
	time_t now = time(NULL);
	char created[32];
	struct tm tm;

	if (!json)
		return NULL;
	(void)strftime(created, sizeof(created), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	json_object_object_add(json, "name", json_object_new_string(sb->name));
	json_object_object_add(json, "created", json_object_new_string(created));
	add_process(json, "pid", "pid_started", init);
	json_object_object_add(json, "root", json_object_new_int(root));
	add_process(json, "monitor", "monitor_started", getpid());
	if (archive)
		json_object_object_add(json, "archive", json_object_new_string(archive));
	return json;
}

int sandbox_claim(const struct sandbox *sb, struct error *err)
{
	struct json_object *json = describe(sb, 0, 0, NULL);
	_cleanup_close_ int fd = -1;
	const char *text;
	char path[32];
	int r;

	if (!json)
		return error_nomem(err);
	text = json_object_to_json_string_ext(json, JSON_C_TO_STRING_PRETTY);
	fd = open(SANDBOX_DIR, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	r = fd < 0 ? error_errno(err, errno, "making a file in " SANDBOX_DIR)
		   : fd_write_all(fd, text, strlen(text), err);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (r >= 0 && linkat(AT_FDCWD, path, AT_FDCWD, sb->record, AT_SYMLINK_FOLLOW) < 0)
		r = error_errno(err, errno, "making %s", sb->record);
	json_object_put(json);
	return r;
}

int sandbox_record(const struct sandbox *sb, pid_t init, pid_t root, const char *archive,
		   struct error *err)
{
	struct json_object *json = describe(sb, init, root, archive);
	char draft[160];
	const char *text;
	int r;

	if (!json)
		return error_nomem(err);
	text = json_object_to_json_string_ext(json, JSON_C_TO_STRING_PRETTY);
	(void)snprintf(draft, sizeof(draft), "%s.new", sb->record);
	r = fd_write_file(AT_FDCWD, draft, O_CREAT | O_TRUNC, 0600, text, strlen(text), err);
	if (r >= 0 && rename(draft, sb->record) < 0)
		r = error_errno(err, errno, "renaming %s", draft);
	json_object_put(json);
	return r < 0 ? error_while(err, r, "recording the sandbox") : 0;
}

static bool process_lives(struct json_object *json, const char *key, const char *start_key)
{
	struct json_object *pid, *start;
	uint64_t now;

	if (!json_object_object_get_ex(json, key, &pid) ||
	    !json_object_object_get_ex(json, start_key, &start))
		return false;
	now = started(json_object_get_int(pid));
	return now && now == (uint64_t)json_object_get_int64(start);
}

/* Is the sandbox of a record dead, and nobody there to clear it away? */
static bool abandoned(const char *record)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct json_object *json;
	bool dead;

	if (fd_read_file(AT_FDCWD, record, RECORD_MAX, &text, NULL) < 0 || !text.len)
		return false;
	json = json_tokener_parse((const char *)text.data);
	dead = json && !process_lives(json, "monitor", "monitor_started") &&
	       !process_lives(json, "pid", "pid_started");
	if (json)
		json_object_put(json);
	return dead;
}

void sandbox_sweep(struct op *op)
{
	_cleanup_closedir_ DIR *dir = opendir(SANDBOX_DIR);
	const struct dirent *entry;

	/* One sweeper at a time: what another one has cleared away may be somebody's new name. */
	if (dir)
		(void)flock(dirfd(dir), LOCK_EX);
	while (dir && (entry = readdir(dir))) {
		const char *dot = strrchr(entry->d_name, '.');
		struct sandbox sb = { 0 };
		char name[64];

		if (!dot || strcmp(dot, ".json") != 0 ||
		    (size_t)(dot - entry->d_name) >= sizeof(name))
			continue;
		(void)snprintf(name, sizeof(name), "%.*s", (int)(dot - entry->d_name),
			       entry->d_name);
		sandbox_paths(&sb, name);
		if (!abandoned(sb.record))
			continue;
		op_info(op, "clearing away what is left of sandbox %s", name);
		sb.made = true;
		(void)!sandbox_cgroups(&sb, true, NULL);
		sandbox_remove(op, &sb);
	}
}
