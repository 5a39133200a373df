/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleanup: ownership that is visible where a variable is declared.
 *
 * A variable marked with one of these is released when it goes out of scope, on every path.
 * TAKE_PTR() and TAKE_FD() hand the thing on and leave the variable empty. Nothing here knows of
 * checkpoints.
 */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void cleanup_closedir(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define _cleanup_free_	   _cleanup_(cleanup_free)
#define _cleanup_close_	   _cleanup_(cleanup_close)
#define _cleanup_fclose_   _cleanup_(cleanup_fclose)
#define _cleanup_closedir_ _cleanup_(cleanup_closedir)

/* TAKE(): the value of a variable, which is left holding NOTHING. */
#define TAKE(var, nothing)                                                                         \
	({                                                                                         \
		__typeof__(var) *_take_p = &(var);                                                 \
		__typeof__(var) _take_v = *_take_p;                                                \
		*_take_p = (nothing);                                                              \
		_take_v;                                                                           \
	})
#define TAKE_PTR(ptr) TAKE(ptr, NULL)
#define TAKE_FD(fd)   TAKE(fd, -1)
