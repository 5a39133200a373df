// SPDX-License-Identifier: Apache-2.0
/*
 * error: see error.h. Text is truncated, never allocated, so that reporting a failure cannot fail.
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void text_set(struct error *err, const char *fmt, va_list ap)
{
	char text[ERROR_TEXT_MAX];

	vsnprintf(text, sizeof(text), fmt, ap);
	memcpy(err->text, text, sizeof(text));
}

int error_set(struct error *err, enum error_class class, int errnum, const char *fmt, ...)
{
	va_list ap;

	if (errnum <= 0)
		errnum = EIO;
	if (!err)
		return -errnum;

	err->class = class;
	err->errnum = errnum;
	err->hint[0] = '\0';
	va_start(ap, fmt);
	text_set(err, fmt, ap);
	va_end(ap);
	return -errnum;
}

static enum error_class class_of(int errnum)
{
	switch (errnum) {
	case EPERM:
	case EACCES:
		return ERROR_DENIED;
	case ENOENT:
	case ESRCH:
		return ERROR_NOT_FOUND;
	case ECANCELED:
		return ERROR_CANCELLED;
	default:
		return ERROR_SYSTEM;
	}
}

int error_errno(struct error *err, int errnum, const char *fmt, ...)
{
	size_t used;
	va_list ap;

	if (errnum <= 0)
		errnum = EIO;
	if (!err)
		return -errnum;

	err->class = class_of(errnum);
	err->errnum = errnum;
	err->hint[0] = '\0';
	va_start(ap, fmt);
	text_set(err, fmt, ap);
	va_end(ap);
	used = strlen(err->text);
	snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(errnum));
	return -errnum;
}

int error_nomem(struct error *err)
{
	return error_set(err, ERROR_SYSTEM, ENOMEM, "out of memory");
}

int error_while(struct error *err, int r, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	size_t used;
	va_list ap;

	if (!err)
		return r;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	used = strlen(text);
	snprintf(text + used, sizeof(text) - used, ": %s", err->text);
	memcpy(err->text, text, sizeof(text));
	return r;
}

int error_hint(struct error *err, int r, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return r;

	va_start(ap, fmt);
	vsnprintf(err->hint, sizeof(err->hint), fmt, ap);
	va_end(ap);
	return r;
}

void error_clear(struct error *err)
{
	if (err)
		*err = ERROR_INIT;
}

static const struct {
	const char *name;
	int exit_code;
} error_classes[] = {
	[ERROR_INTERNAL] = { "internal", 1 },	[ERROR_USAGE] = { "usage", 2 },
	[ERROR_NOT_FOUND] = { "not-found", 3 }, [ERROR_DENIED] = { "denied", 4 },
	[ERROR_INPUT] = { "input", 5 },		[ERROR_SYSTEM] = { "system", 6 },
	[ERROR_CANCELLED] = { "cancelled", 7 },
};

int error_exit_code(const struct error *err)
{
	return (size_t)err->class < ARRAY_SIZE(error_classes) ? error_classes[err->class].exit_code
							      : 1;
}

const char *error_class_name(enum error_class class)
{
	return (size_t) class < ARRAY_SIZE(error_classes) ? error_classes[class].name : "internal";
}
