/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memfd: files in memory, open as descriptors or mapped.
 */
#pragma once

#include "object/capture.h"

/* memfd_match - is this descriptor, or file behind a /proc link, a memfd? */
bool memfd_match(const struct fd_facts *facts);

/* memfd_capture - fill a MEMFD entry; its content goes to cap->shmem. Returns as fd_kind.capture().
 */
int memfd_capture(struct capture *cap, const struct fd_facts *facts, Img__FileEntry *entry,
		  struct error *err) _must_check_;
