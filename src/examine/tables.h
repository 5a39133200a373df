/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tables: from images to tasks and open files; private to examine.c.
 */
#pragma once

#include "examine/examine.h"

/* examine_tables_make - fill tasks, files and by_inode from the set. 0 or -ENOMEM. */
int examine_tables_make(struct examine *x, struct error *err) _must_check_;
