// SPDX-License-Identifier: Apache-2.0
/*
 * metadata: see metadata.h. Where two members say the same, amber.json goes before the engine's.
 */
#include "examine/metadata.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define IMAGES "checkpoint/"

/* The first of a NULL-ended list of texts that says something; "" when none does. */
static const char *first_of(const char *const *texts)
{
	for (; *texts; texts++)
		if (**texts)
			return *texts;
	return "";
}

#define FIRST(...) first_of((const char *const[]){ __VA_ARGS__, NULL })

static const char *annotation(const struct examine *x, const char *key)
{
	json_object *value = json_member(json_member(x->spec, "annotations"), key);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

static const char *engine(const struct examine *x)
{
	const char *manager = FIRST(json_text(x->record, "container/engine"),
				    annotation(x, "io.container.manager"));

	if (strcmp(manager, "libpod") == 0)
		return "podman";
	if (*manager || x->record)
		return manager;
	if (*annotation(x, "io.kubernetes.cri.container-type") ||
	    strncmp(json_text(x->config, "runtime"), "io.containerd.", 14) == 0)
		return "containerd";
	return "";
}

static void put(json_object *o, const char *key, const char *text)
{
	if (*text)
		json_put_text(o, key, text);
}

json_object *metadata_container_json(const struct examine *x)
{
	json_object *o = json_object_new_object();
	json_object *c = x->config;

	if (!o)
		return NULL;
	put(o, "name",
	    FIRST(annotation(x, "io.kubernetes.cri.container-name"),
		  annotation(x, "io.kubernetes.container.name"),
		  json_text(x->record, "container/name"), json_text(c, "name")));
	put(o, "full_name", json_text(c, "name"));
	put(o, "id", FIRST(json_text(c, "id"), json_text(x->record, "container/id")));
	put(o, "image",
	    FIRST(json_text(c, "rootfsImageName"), json_text(c, "rootfsImage"),
		  json_text(x->record, "container/image_name"),
		  annotation(x, "io.kubernetes.cri.image-name")));
	put(o, "image_ref",
	    FIRST(json_text(c, "rootfsImageRef"), json_text(c, "rootfsImageID"),
		  json_text(x->record, "container/image_ref")));
	put(o, "runtime",
	    FIRST(json_text(c, "runtime"), json_text(x->record, "container/runtime")));
	put(o, "engine", engine(x));
	put(o, "pod",
	    FIRST(annotation(x, "io.kubernetes.cri.sandbox-name"),
		  annotation(x, "io.kubernetes.pod.name")));
	put(o, "namespace",
	    FIRST(annotation(x, "io.kubernetes.cri.sandbox-namespace"),
		  annotation(x, "io.kubernetes.pod.namespace")));
	put(o, "created",
	    FIRST(json_text(c, "createdTime"), json_text(x->record, "container/created")));
	put(o, "checkpointed",
	    FIRST(json_text(x->record, "times/stopped"), json_text(c, "checkpointedTime")));
	return o;
}

struct sizes {
	uint64_t checkpoint, pages, diff;
	bool diff_there, digests;
	size_t members;
};

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static void count_member(struct sizes *s, const char *name, uint64_t size)
{
	s->members++;
	if (starts(name, IMAGES))
		s->checkpoint += size;
	if (starts(name, IMAGES "pages-"))
		s->pages += size;
	if (strcmp(name, "rootfs-diff.tar") == 0) {
		s->diff = size;
		s->diff_there = true;
	}
	if (strcmp(name, "SHA256SUMS") == 0)
		s->digests = true;
}

static void count_dir(struct sizes *s, int dirfd, const char *prefix)
{
	_cleanup_closedir_ DIR *dir = NULL;
	char name[NAME_MAX + sizeof(IMAGES)];
	struct dirent *entry;
	struct stat st;
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(dir))) {
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		snprintf(name, sizeof(name), "%s%s", prefix, entry->d_name);
		count_member(s, name, (uint64_t)st.st_size);
	}
}

static void count_all(const struct examine *x, struct sizes *s)
{
	const struct archive_reader *a = &x->archive;
	int below;
	size_t i;

	for (i = 0; i < a->n_members; i++)
		if (a->members[i].type == '0')
			count_member(s, a->members[i].name, a->members[i].size);
	if (x->dir_fd < 0)
		return;
	below = openat(x->dir_fd, IMAGES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	count_dir(s, x->dir_fd, below < 0 ? IMAGES : "");
	if (below >= 0) {
		count_dir(s, below, IMAGES);
		close(below);
	}
}

json_object *metadata_archive_json(const struct examine *x)
{
	json_object *o = json_object_new_object();
	struct sizes s = { 0 };

	if (!o)
		return NULL;
	count_all(x, &s);
	json_put_text(o, "path", x->path);
	json_put_text(o, "format", x->dir_fd >= 0 ? "directory" : "archive");
	if (x->dir_fd < 0)
		json_put_number(o, "bytes",
				x->archive.file_size ? x->archive.file_size : x->archive.data.len);
	json_put_number(o, "checkpoint_bytes", s.checkpoint);
	json_put_number(o, "pages_bytes", s.pages);
	if (s.diff_there)
		json_put_number(o, "rootfs_diff_bytes", s.diff);
	json_put_number(o, "members", s.members);
	json_put_bool(o, "compressed", x->archive.compressed);
	json_put_bool(o, "damaged", x->archive.damaged);
	json_put_bool(o, "digests", s.digests);
	return o;
}

json_object *metadata_record_json(const struct examine *x, const char *key)
{
	json_object *part = json_member(x->record, key);

	return part ? json_object_get(part) : NULL;
}

json_object *metadata_stats_json(const struct examine *x)
{
	const Img__Stats *stats = image_single(&x->set, IMAGE_STATS_DUMP, 0);
	const Img__DumpStats *d = stats ? stats->dump : NULL;
	json_object *o;

	if (!d)
		return NULL;
	o = json_object_new_object();
	json_put_number(o, "freezing_us", d->freezing_time);
	json_put_number(o, "frozen_us", d->frozen_time);
	json_put_number(o, "memdump_us", d->memdump_time);
	json_put_number(o, "memwrite_us", d->memwrite_time);
	json_put_number(o, "pages_scanned", d->pages_scanned);
	json_put_number(o, "pages_written", d->pages_written);
	return o;
}

json_object *metadata_problems_json(const struct examine *x)
{
	json_object *list = json_object_new_array(), *o;
	const struct image_problem *p;

	for (p = x->set.problems; list && p; p = p->next) {
		o = json_object_new_object();
		json_put_text(o, "name", p->name);
		json_put_text(o, "text", p->text);
		json_object_array_add(list, o);
	}
	return list;
}
