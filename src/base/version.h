/* SPDX-License-Identifier: Apache-2.0 */
/*
 * version: what this amber is called.
 */
#pragma once

#define AMBER_VERSION "0.1.0"
