/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socket: the sockets of an image set as JSON: family, state, addresses, queues, who holds them.
 */
#pragma once

#include "examine/examine.h"

/*
 * socket_describe - one socket.
 * @o: keys are added, NULL = only the line
 * @line: "tcp 10.0.0.1:80 -> 10.0.0.2:4711 established" is appended
 * Returns 0 or -ENOMEM.
 */
int socket_describe(const struct examine *x, const struct examine_file *file, json_object *o,
		    struct buf *line) _must_check_;

/* socket_list_json - every socket, each once, with "holders": [{"pid", "fd"}]. */
json_object *socket_list_json(const struct examine *x) _must_check_;
