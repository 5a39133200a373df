// SPDX-License-Identifier: Apache-2.0
/*
 * metadata: what the peers' tools expect beside the images: config.dump, spec.dump, status,
 * stats-dump, checkpoint/descriptors.json, dump.log.
 *
 * Names, keys and forms are those of the archives of containerd, CRI-O and podman, which
 * checkpointctl reads (docs/formats/archive.md).
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "checkpoint/run.h"
#include "kernel/proc.h"

#define SPEC_NONE "{\"ociVersion\":\"1.0.2\"}"

static void rfc3339(const struct timespec *ts, char *ret, size_t size)
{
	struct tm tm;

	gmtime_r(&ts->tv_sec, &tm);
	strftime(ret, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static int add_json(struct checkpoint *c, const char *name, json_object *object, struct error *err)
{
	size_t len = 0;
	const char *text =
		json_object_to_json_string_length(object, JSON_C_TO_STRING_NOSLASHESCAPE, &len);
	int r = text ? archive_add(&c->archive, name, text, len, err) : error_nomem(err);

	json_object_put(object);
	return r;
}

static int write_config(struct checkpoint *c, struct error *err)
{
	const struct checkpoint_target *t = &c->request->target;
	json_object *config = json_object_new_object();
	char now[32];

	rfc3339(&c->stopped, now, sizeof(now));
	json_put_text(config, "id", t->id);
	json_put_text(config, "name", t->name);
	json_put_text(config, "rootfsImage", t->image_name);
	json_put_text(config, "rootfsImageRef", t->image_ref);
	json_put_text(config, "rootfsImageName", t->image_name);
	json_put_text(config, "runtime", t->runtime);
	json_put_text(config, "createdTime", t->created[0] ? t->created : now);
	json_put_text(config, "checkpointedTime", now);
	json_put_text(config, "restoredTime", "0001-01-01T00:00:00Z");
	json_put_bool(config, "restored", false);
	return add_json(c, "config.dump", config, err);
}

static int write_spec(struct checkpoint *c, struct error *err)
{
	struct bytes spec = c->request->target.spec;

	if (!spec.len)
		spec = (struct bytes){ (const unsigned char *)SPEC_NONE, strlen(SPEC_NONE) };
	return archive_add(&c->archive, "spec.dump", spec.data, spec.len, err);
}

/* Readers tell engines apart by an annotation and want this file of all that have none. */
static int write_status(struct checkpoint *c, struct error *err)
{
	json_object *status = json_object_new_object();
	const char *created = c->request->target.created;
	struct tm tm = { 0 };
	int64_t ns;

	if (strptime(created, "%Y-%m-%dT%H:%M:%S", &tm))
		ns = (int64_t)timegm(&tm) * 1000000000;
	else
		ns = (int64_t)c->started.tv_sec * 1000000000;
	json_put_text(status, "Version", "v1");
	json_object_object_add(status, "Pid", json_object_new_int(c->request->target.pids[0]));
	json_object_object_add(status, "CreatedAt", json_object_new_int64(ns));
	json_object_object_add(status, "StartedAt", json_object_new_int64(ns));
	json_object_object_add(status, "FinishedAt", json_object_new_int64(0));
	json_object_object_add(status, "ExitCode", json_object_new_int(0));
	json_put_text(status, "Reason", "");
	json_put_text(status, "Message", "");
	return add_json(c, "status", status, err);
}

static uint32_t microseconds(uint64_t ns)
{
	return (uint32_t)MIN(ns / 1000, (uint64_t)UINT32_MAX);
}

static int write_stats(struct checkpoint *c, struct error *err)
{
	Img__Stats *stats = img_new(&c->set, Img__Stats, stats);
	Img__DumpStats *dump = img_new(&c->set, Img__DumpStats, dump_stats);
	_cleanup_buf_ struct buf bytes = BUF_INIT;
	int r;

	if (!stats || !dump)
		return error_nomem(err);
	dump->freezing_time = microseconds(c->tree.stopped_ns - c->tree.stopping_ns);
	dump->frozen_time = microseconds(c->tree.resumed_ns - c->tree.stopped_ns);
	dump->memdump_time = microseconds(c->memory_ns);
	dump->memwrite_time = 0;
	dump->pages_scanned = c->pages_scanned;
	dump->pages_written = c->pages_written;
	stats->dump = dump;
	r = image_add(&c->set, IMAGE_STATS_DUMP, 0, &stats->base, (struct bytes){ 0 }, err);
	if (r == 0)
		r = image_serialize(image_find(&c->set, IMAGE_STATS_DUMP, 0), &bytes, err);
	if (r == 0)
		r = archive_add(&c->archive, "stats-dump", bytes.data, bytes.len, err);
	return r;
}

/* What runtimes leave beside the images: where the three standard streams of the init lead. */
static int write_descriptors(struct checkpoint *c, struct error *err)
{
	json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(c->stdio); i++)
		json_object_array_add(list, json_object_new_string(c->stdio[i] ? c->stdio[i] : ""));
	return add_json(c, "checkpoint/descriptors.json", list, err);
}

int checkpoint_note_stdio(struct checkpoint *c, struct error *err)
{
	struct error local = ERROR_INIT;
	char link[16];
	size_t i;

	(void)err;
	for (i = 0; i < ARRAY_SIZE(c->stdio); i++) {
		snprintf(link, sizeof(link), "fd/%zu", i);
		if (proc_readlink(c->cap.root->proc_fd, link, &c->set.arena, &c->stdio[i], &local) <
		    0)
			c->stdio[i] = NULL; /* closed: an empty string in the list */
	}
	return 0;
}

int checkpoint_write_metadata(struct checkpoint *c, struct error *err)
{
	int r;

	r = write_descriptors(c, err);
	if (r == 0)
		r = write_config(c, err);
	if (r == 0)
		r = write_spec(c, err);
	if (r == 0)
		r = write_status(c, err);
	if (r == 0)
		r = write_stats(c, err);
	if (r == 0)
		r = archive_add(&c->archive, "dump.log", c->log.data, c->log.len, err);
	return r;
}
