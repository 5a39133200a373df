// SPDX-License-Identifier: Apache-2.0
/*
 * record: amber.json, what amber says about its own checkpoint: tool, node, times, freeze, gaps,
 * files, and every member with its size and SHA-256 (docs/formats/amber-json.md).
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/fd.h"
#include "base/json.h"
#include "base/version.h"
#include "checkpoint/run.h"
#include "rootfs/rootfs.h"

#define RECORD_VERSION 1

static json_object *time_json(const struct timespec *ts)
{
	char text[64], full[80];
	struct tm tm;

	gmtime_r(&ts->tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(full, sizeof(full), "%s.%09ldZ", text, ts->tv_nsec);
	return json_object_new_string(full);
}

static json_object *tool_json(const struct checkpoint *c)
{
	json_object *tool = json_object_new_object();

	json_put_text(tool, "name", "amber");
	json_put_text(tool, "version", AMBER_VERSION);
	json_put_text(tool, "command", c->request->command);
	return tool;
}

static json_object *node_json(void)
{
	_cleanup_buf_ struct buf boot = BUF_INIT;
	json_object *node = json_object_new_object();
	struct error local = ERROR_INIT;
	struct utsname uts;

	uname(&uts);
	json_put_text(node, "hostname", uts.nodename);
	json_put_text(node, "kernel", uts.release);
	json_put_text(node, "kernel_version", uts.version);
	json_put_text(node, "machine", uts.machine);
	if (fd_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &boot, &local) == 0)
		json_put_text(node, "boot_id", strtok((char *)boot.data, "\n"));
	return node;
}

static json_object *times_json(const struct checkpoint *c)
{
	json_object *times = json_object_new_object();

	json_object_object_add(times, "started", time_json(&c->started));
	json_object_object_add(times, "stopped", time_json(&c->stopped));
	json_object_object_add(times, "resumed", time_json(&c->resumed));
	json_put_number(times, "started_monotonic_ns", c->started_ns);
	json_put_number(times, "stopping_monotonic_ns", c->tree.stopping_ns);
	json_put_number(times, "stopped_monotonic_ns", c->tree.stopped_ns);
	json_put_number(times, "resumed_monotonic_ns", c->tree.resumed_ns);
	json_put_number(times, "freeze_ns", c->result->freeze_ns);
	return times;
}

static json_object *container_json(const struct checkpoint *c)
{
	const struct checkpoint_target *t = &c->request->target;
	json_object *container = json_object_new_object();

	json_put_text(container, "id", t->id);
	json_put_text(container, "name", t->name);
	json_put_text(container, "runtime", t->runtime);
	json_put_text(container, "engine", t->engine);
	json_put_text(container, "image_name", t->image_name);
	json_put_text(container, "image_ref", t->image_ref);
	json_put_text(container, "created", t->created);
	json_put_text(container, "bundle", t->bundle);
	json_put_number(container, "pid", (uint64_t)t->pids[0]);
	json_put_number(container, "tasks", c->result->n_tasks);
	json_put_number(container, "threads", c->result->n_threads);
	json_put_number(container, "memory_bytes", c->result->memory_bytes);
	json_put_bool(container, "left_running", !c->request->stop);
	return container;
}

static void hex(const unsigned char *bytes, size_t n, char *ret)
{
	size_t i;

	for (i = 0; i < n; i++)
		sprintf(ret + 2 * i, "%02x", bytes[i]);
	ret[2 * n] = '\0';
}

static json_object *files_json(const struct file_facts_list *facts)
{
	char text[2 * FILE_FACTS_BUILD_ID_MAX + 1]; /* a SHA-256 is shorter */
	json_object *list = json_object_new_array(), *object;
	const struct file_fact *fact;

	for (fact = facts->facts; fact < facts->facts + facts->n_facts; fact++) {
		object = json_object_new_object();
		json_put_text(object, "path", fact->path);
		json_put_number(object, "size", fact->size);
		json_put_number(object, "mode", fact->mode);
		json_object_object_add(object, "mtime", json_object_new_int64(fact->mtime_sec));
		json_put_bool(object, "deleted", fact->deleted);
		json_put_bool(object, "written", fact->written);
		if (fact->n_build_id) {
			hex(fact->build_id, fact->n_build_id, text);
			json_put_text(object, "build_id", text);
		}
		if (fact->hashed) {
			hex(fact->sha256, SHA256_DIGEST_LENGTH, text);
			json_put_text(object, "sha256", text);
		}
		json_object_array_add(list, object);
	}
	return list;
}

static json_object *members_json(const struct archive_writer *w)
{
	json_object *list = json_object_new_array(), *object;
	size_t i;

	for (i = 0; i < w->n_members; i++) {
		object = json_object_new_object();
		json_put_text(object, "name", w->members[i].name);
		json_put_number(object, "size", w->members[i].size);
		if (w->members[i].sha256[0])
			json_put_text(object, "sha256", w->members[i].sha256);
		json_object_array_add(list, object);
	}
	return list;
}

static json_object *because_json(const struct gap_list *gaps)
{
	json_object *list = json_object_new_array();
	const struct gap *gap;
	char text[1024];

	for (gap = gaps->first; gap; gap = gap->next) {
		if (gap->effect != GAP_FATAL)
			continue;
		snprintf(text, sizeof(text), "%s: %s", gap->subject, gap->reason);
		json_object_array_add(list, json_object_new_string(text));
	}
	return list;
}

/* What a restore needs for the base: the layers below what the container changed. */
static json_object *rootfs_json(const struct rootfs *rootfs)
{
	json_object *object, *lowers;
	size_t i;

	if (!rootfs)
		return NULL; /* null: the host's own root */
	object = json_object_new_object();
	lowers = json_object_new_array();
	json_put_text(object, "kind", rootfs_kind_name(rootfs->kind));
	json_put_text(object, "fstype", rootfs->fstype);
	json_put_text(object, "path", rootfs->path);
	for (i = 0; i < rootfs->n_lowers; i++)
		json_object_array_add(lowers, json_object_new_string(rootfs->lowers[i]));
	json_object_object_add(object, "lowers", lowers);
	return object;
}

/* How memory was copied, and what of it in the stop. */
static json_object *memory_json(const struct checkpoint *c)
{
	const struct checkpoint_result *result = c->result;
	json_object *memory = json_object_new_object();

	json_put_text(memory, "tracker", result->tracker);
	json_put_number(memory, "rounds", result->rounds);
	json_put_number(memory, "copied_bytes", c->precopy->copied_pages * AMBER_PAGE_SIZE);
	json_put_number(memory, "last_bytes", result->last_bytes);
	if (c->request->max_freeze_ns) {
		json_put_number(memory, "max_freeze_ns", c->request->max_freeze_ns);
		json_put_bool(memory, "max_freeze_kept", result->max_freeze_kept);
	}
	return memory;
}

int checkpoint_write_record(struct checkpoint *c, struct error *err)
{
	json_object *record = json_object_new_object();
	size_t len = 0;
	const char *text;
	int r;

	json_object_object_add(record, "amber_json", json_object_new_int(RECORD_VERSION));
	json_object_object_add(record, "tool", tool_json(c));
	json_object_object_add(record, "node", node_json());
	json_object_object_add(record, "times", times_json(c));
	json_object_object_add(record, "container", container_json(c));
	json_object_object_add(record, "memory", memory_json(c));
	json_object_object_add(record, "rootfs", rootfs_json(c->rootfs));
	json_put_bool(record, "restorable", gap_list_restorable(c->gaps));
	json_object_object_add(record, "not_restorable_because", because_json(c->gaps));
	json_object_object_add(record, "gaps", gap_list_json(c->gaps));
	json_object_object_add(record, "files", files_json(&c->facts));
	json_put_bool(record, "digests", !c->archive.no_digest);
	json_object_object_add(record, "members", members_json(&c->archive));
	text = json_object_to_json_string_length(
		record, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
	r = text ? archive_add(&c->archive, "amber.json", text, len, err) : error_nomem(err);
	json_object_put(record);
	return r;
}
