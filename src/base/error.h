/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error: errors are values.
 *
 * A function that can fail returns int: 0 or a documented positive outcome, or a negative errno.
 * The last argument, `struct error *err`, then says what failed (which pid, descriptor, path,
 * address) and what the reader can do about it. The one who finds the fault calls error_set();
 * those above forward the value unchanged and may add one line of "while ..." context each. Nothing
 * here prints.
 */
#pragma once

#include "base/macro.h"

#define ERROR_TEXT_MAX 1024
#define ERROR_HINT_MAX 512

/* What the caller's exit code is made of. */
enum error_class {
	ERROR_INTERNAL = 0, /* amber or the kernel did something unforeseen */
	ERROR_USAGE,	    /* the command line or an option is wrong */
	ERROR_NOT_FOUND,    /* no such container, process, file */
	ERROR_DENIED,	    /* missing privilege */
	ERROR_INPUT,	    /* an archive or image that is damaged or hostile */
	ERROR_SYSTEM,	    /* disk full, out of memory, a kernel without the feature */
	ERROR_CANCELLED,    /* a signal or a deadline ended the operation */
};

struct error {
	enum error_class class;
	int errnum;		   /* positive errno, 0 when no error is set */
	char text[ERROR_TEXT_MAX]; /* what failed, one line, no final full stop */
	char hint[ERROR_HINT_MAX]; /* what to do, empty when there is nothing to say */
};

#define ERROR_INIT ((struct error){ 0 })

/*
 * error_set - record a failure.
 * @err: where to, NULL to drop the text
 * @class: see enum error_class
 * @errnum: positive errno (EIO is taken for 0)
 * @fmt: what failed; strerror(errnum) is appended by error_set_errno() only
 *
 * Returns -errnum, so that `return error_set(...)` reads well.
 */
int error_set(struct error *err, enum error_class class, int errnum, const char *fmt, ...)
	_printf_(4, 5);

/*
 * error_errno - record the failure of a system call, ": <strerror>" is appended.
 * The class follows from errnum (EPERM and EACCES are ERROR_DENIED, ENOENT and ESRCH
 * ERROR_NOT_FOUND, everything else ERROR_SYSTEM). Returns -errnum.
 */
int error_errno(struct error *err, int errnum, const char *fmt, ...) _printf_(3, 4);

/* error_nomem - record an allocation failure. Returns -ENOMEM. */
int error_nomem(struct error *err);

/* error_while - prefix the text with the activity during which it happened. Returns r unchanged. */
int error_while(struct error *err, int r, const char *fmt, ...) _printf_(3, 4);

/* error_hint - say what to do about it; replaces an earlier hint. Returns r unchanged. */
int error_hint(struct error *err, int r, const char *fmt, ...) _printf_(3, 4);

/* error_clear - forget a handled error, so that the struct can be used again. */
void error_clear(struct error *err);

/* error_exit_code - the process exit code of an error class (1 general, 2 usage, 3 not found,
 * 4 denied, 5 bad input, 6 system, 7 cancelled). */
int error_exit_code(const struct error *err);

/* error_class_name - "usage", "not-found" and so on, for JSON. Never NULL. */
const char *error_class_name(enum error_class class);
