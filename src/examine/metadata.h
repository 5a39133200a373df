/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata: what an archive says about itself: container, engine, times, sizes, gaps.
 *
 * Reads the members beside the images, whichever tool wrote them; examine_open() is enough.
 */
#pragma once

#include "examine/examine.h"

/* metadata_container_json - {"id", "name", "image", "runtime", "engine", "created", ...}; what is
 * not known is left out. */
json_object *metadata_container_json(const struct examine *x) _must_check_;

/* metadata_archive_json - {"path", "format", "bytes", "checkpoint_bytes", "rootfs_diff_bytes",
 * "members", "compressed", "digests", ...}. */
json_object *metadata_archive_json(const struct examine *x) _must_check_;

/* metadata_record_json - a part of amber.json, by key ("gaps", "tool", "times"); a copy, NULL when
 * there is none. */
json_object *metadata_record_json(const struct examine *x, const char *key) _must_check_;

/* metadata_stats_json - CRIU's times of the dump in microseconds; NULL when there are none. */
json_object *metadata_stats_json(const struct examine *x) _must_check_;

/* metadata_problems_json - every problem: [{"name", "text"}]. */
json_object *metadata_problems_json(const struct examine *x) _must_check_;
