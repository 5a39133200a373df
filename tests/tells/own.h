/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own: what the watcher can ask about objects of its own: sockets and their queues, events on
 * files, page cache, process attributes, the pid that a child gets.
 */
#pragma once

#include "note.h"

struct own;

/* own_new - make the objects; ends the program when it cannot. */
struct own *own_new(void);

/* own_look - ask all of them once. */
void own_look(struct own *own, struct notebook *b, int window);

/* own_pid - fork a child that ends at once, and note its number. */
void own_pid(struct notebook *b, int window);
