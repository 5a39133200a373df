// SPDX-License-Identifier: Apache-2.0
/*
 * ns-file: namespaces held open by descriptors (/proc/<pid>/ns/...), both directions.
 *
 * Only the container's own, those of its root task, can come back: another one held open by nothing
 * but a descriptor is a gap.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "object/fd-capture.h"
#include "object/fd-kinds.h"

/* The kind that a link text "net:[4026531840]" names, NS_KINDS when it is none. */
static enum ns_kind ns_kind_of_link(const char *link)
{
	enum ns_kind kind;

	for (kind = 0; kind < NS_KINDS; kind++) {
		const char *name = ns_kind_name(kind);
		size_t len = strlen(name);

		if (strncmp(link, name, len) == 0 && strncmp(link + len, ":[", 2) == 0)
			return kind;
	}
	return NS_KINDS;
}

static bool ns_file_match(const struct fd_facts *facts)
{
	return S_ISREG(facts->st.st_mode) && ns_kind_of_link(facts->link) != NS_KINDS;
}

static int ns_file_capture(struct capture *cap, const struct fd_facts *facts, Img__FileEntry *entry,
			   struct error *err)
{
	enum ns_kind kind = ns_kind_of_link(facts->link);
	Img__NsFile *file;

	if (cap->ns[kind].ino != facts->st.st_ino || !cap->ns[kind].id)
		return fd_gap(cap, facts, GAP_DEGRADED, "namespace", CAPTURE_GAP, err,
			      "a namespace other than those of the container's init");
	file = img_new(cap->set, Img__NsFile, ns_file);
	if (!file)
		return error_nomem(err);
	file->id = facts->id;
	file->ns_id = cap->ns[kind].id;
	file->ns_cflag = ns_kind_flag(kind);
	file->flags = facts->flags & ~O_CLOEXEC;
	entry->nsf = file;
	return 0;
}

static int ns_file_open(struct restore *rst, Img__FileEntry *entry, int *ret_fd, struct error *err)
{
	enum ns_kind kind;
	char path[64];
	int fd;

	for (kind = 0; entry->nsf && kind < NS_KINDS; kind++)
		if ((uint32_t)ns_kind_flag(kind) == entry->nsf->ns_cflag)
			break;
	if (!entry->nsf || kind == NS_KINDS)
		return error_set(err, ERROR_INPUT, EBADMSG, "namespace file %u is of no known kind",
				 entry->id);
	(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", ns_kind_name(kind));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "cannot open %s", path);
	*ret_fd = fd;
	return 0;
}

const struct fd_kind ns_file_kind = {
	.name = "namespace",
	.type = IMG__FD_TYPES__NS,
	.match = ns_file_match,
	.capture = ns_file_capture,
	.open = ns_file_open,
};
