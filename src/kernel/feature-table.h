/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feature-table: what amber asks of a kernel, row by row. task/ptrace-feature.h has the rows for
 * ptrace.
 */
#pragma once

#include "kernel/feature.h"

/* feature_table - the rows; *ret_n says how many. */
const struct feature *feature_table(size_t *ret_n);
