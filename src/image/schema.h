/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema: every message of the image format, generated from schema/<name>.proto at build time.
 *
 * The only way to the generated headers, so that no file needs to know which story a message is in.
 */
#pragma once

#include "image/schema/cgroup.pb-c.h"
#include "image/schema/common.pb-c.h"
#include "image/schema/file.pb-c.h"
#include "image/schema/ids.pb-c.h"
#include "image/schema/inventory.pb-c.h"
#include "image/schema/mm.pb-c.h"
#include "image/schema/mount.pb-c.h"
#include "image/schema/namespace.pb-c.h"
#include "image/schema/net.pb-c.h"
#include "image/schema/regs.pb-c.h"
#include "image/schema/security.pb-c.h"
#include "image/schema/socket.pb-c.h"
#include "image/schema/stats.pb-c.h"
#include "image/schema/task.pb-c.h"
