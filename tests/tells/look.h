/* SPDX-License-Identifier: Apache-2.0 */
/*
 * look: what /proc, /sys and directories show, noted under keys. All of it is a table of files.
 */
#pragma once

#include <sys/types.h>

#include "note.h"

/* look_process - one look at everything /proc shows of a process; `who` begins the keys. */
void look_process(struct notebook *b, int window, pid_t pid, const char *who);

/* look_closely - the few things of a process that a stop changes for a moment, as fast as can be.
 */
void look_closely(struct notebook *b, int window, pid_t pid, const char *who);

/* look_threads - states, tracers and signals of all threads of a process, by their names. */
void look_threads(struct notebook *b, int window, pid_t pid, const char *who);

/* look_around - what is not of one process: the network, System V IPC, pressure, cgroups. */
void look_around(struct notebook *b, int window);

/* look_file - times, links and size of a file or directory, without opening it. */
void look_file(struct notebook *b, int window, const char *path);

/* look_names - the names in a directory. */
void look_names(struct notebook *b, int window, const char *path, const char *key);
