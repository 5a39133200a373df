// SPDX-License-Identifier: Apache-2.0
/*
 * other-file: files that amber knows but cannot bring back. The gap says what a program will miss;
 * nothing here is an error.
 */
#include <string.h>
#include <sys/sysmacros.h>

#include "object/fd-capture.h"
#include "object/fd-kinds.h"

struct other_file {
	const char *link; /* how the link text begins */
	const char *kind;
	const char *reason;
};

static const struct other_file others[] = {
	{ "anon_inode:[io_uring]", "io_uring",
	  "rings and registered buffers cannot be made again; the program finds its ring closed" },
	{ "anon_inode:[userfaultfd]", "userfaultfd",
	  "faults of registered memory go to nobody in a restored copy" },
	{ "anon_inode:[perf_event]", "perf", "the counter is lost" },
	{ "anon_inode:bpf-", "bpf", "maps, programs and links of BPF are not captured" },
	{ "anon_inode:bpf_", "bpf", "maps, programs and links of BPF are not captured" },
	{ "anon_inode:[fanotify]", "fanotify", "its marks and queued events are not captured" },
	{ "anon_inode:[fscontext]", "fs-context", "a mount in the making is lost" },
	{ "anon_inode:seccomp notify", "seccomp-notify",
	  "the filter's supervisor is lost: calls that it judged fail in a restored copy" },
	{ "anon_inode:kvm-", "kvm", "virtual machines are not captured" },
	{ "anon_inode:dma", "dma-buf", "device memory is not captured" },
	{ "anon_inode:", "anon-inode", "this kind of kernel object is not captured" },
	{ "/secretmem", "secretmem", "secret memory cannot be read" },
};

static const struct other_file *other_of(const struct fd_facts *facts)
{
	static const struct other_file tun = {
		"", "tun", "the network device behind it is not attached again"
	};
	size_t i;

	if (S_ISCHR(facts->st.st_mode) && facts->st.st_rdev == makedev(10, 200))
		return &tun;
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		if (strncmp(facts->link, others[i].link, strlen(others[i].link)) != 0)
			continue;
		if (others[i].link[0] != '/' || facts->st.st_nlink == 0)
			return &others[i];
	}
	return NULL;
}

static bool other_match(const struct fd_facts *facts)
{
	return other_of(facts) != NULL;
}

static int other_capture(struct capture *cap, const struct fd_facts *facts, Img__FileEntry *entry,
			 struct error *err)
{
	const struct other_file *other = other_of(facts);

	return fd_gap(cap, facts, GAP_DEGRADED, other->kind, CAPTURE_GAP, err, "%s", other->reason);
}

/* From images of stock CRIU: they may hold types that amber does not restore. */
static int other_open(struct restore *rst, Img__FileEntry *entry, int *ret_fd, struct error *err)
{
	char subject[32];

	(void)snprintf(subject, sizeof(subject), "file %u", entry->id);
	restore_gap(rst, GAP_DEGRADED, "file", 0, subject,
		    "amber does not restore files of type %d", (int)entry->type);
	return RESTORE_GAP;
}

const struct fd_kind other_file_kind = {
	.name = "other",
	.type = IMG__FD_TYPES__UND,
	.match = other_match,
	.capture = other_capture,
	.open = other_open,
};
