/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ptrace-feature: the rows of the feature table that need ptrace, beside its only user.
 */
#pragma once

#include "kernel/feature.h"

/* ptrace_feature_table - the rows; *ret_n says how many. kernel/feature-table.h has the others. */
const struct feature *ptrace_feature_table(size_t *ret_n);
