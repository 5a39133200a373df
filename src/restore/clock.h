/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock: the monotonic clocks of a sandbox go on where the checkpoint's stood.
 */
#pragma once

#include "restore/run.h"

/* clock_continue - give the children of this process a time namespace with the image's clocks. Does
 * nothing when the images have none; notes when the kernel cannot. */
void clock_continue(struct run *run);
