/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process: the processes of an image set as JSON.
 */
#pragma once

#include "examine/examine.h"

#define PROCESS_ARGS_MAX 65536 /* bytes of a command line that are read */

/* process_list_json - all of them, in the order of the process tree image; a tree by their "ppid".
 * Each has its threads, credentials, files and memory. NULL when memory is exhausted. */
json_object *process_list_json(struct examine *x) _must_check_;
