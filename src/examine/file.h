/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file: open files and descriptors of an image set as JSON.
 */
#pragma once

#include "examine/examine.h"

/* file_json - one open file: {"id", "kind", "target", "flags", ...}. target is one line for a
 * reader; the other keys depend on the kind. NULL when memory is exhausted. */
json_object *file_json(const struct examine *x, const struct examine_file *file) _must_check_;

/* file_table_json - the descriptors of a task: each {"fd", "cloexec"} and what file_json() says.
 * What examine_tell() refuses is left out. */
json_object *file_table_json(struct examine *x, const struct examine_task *task) _must_check_;
