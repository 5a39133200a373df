// SPDX-License-Identifier: Apache-2.0
/*
 * restore: looking things up in a restore, and telling the controller what does not come back.
 *
 * Runs in the controller and in newborn tasks alike, so it keeps no state and takes no locks.
 */
#include "object/restore.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "object/restore-shared.h"

struct restore_file *restore_file_find(struct restore *rst, uint32_t id)
{
	size_t low = 0, high = rst->n_files;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct restore_file *file = &rst->files[middle];

		if (file->entry->id == id)
			return file;
		if (file->entry->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

struct restore_task *restore_task_find(struct restore *rst, pid_t pid)
{
	size_t i;

	for (i = 0; i < rst->n_tasks; i++)
		if (rst->tasks[i].pid == pid)
			return &rst->tasks[i];
	return NULL;
}

void restore_gap(struct restore *rst, enum gap_effect effect, const char *kind, pid_t pid,
		 const char *subject, const char *fmt, ...)
{
	struct restore_shared *shared = rst->shared;
	struct restore_note *note;
	uint32_t i = __atomic_fetch_add(&shared->n_notes, 1, __ATOMIC_RELAXED);
	va_list args;

	if (i >= RESTORE_NOTES_MAX)
		return;

	note = &shared->notes[i];
	note->effect = effect;
	note->pid = pid;
	(void)snprintf(note->kind, sizeof(note->kind), "%s", kind);
	(void)snprintf(note->subject, sizeof(note->subject), "%s", subject ? subject : "");
	va_start(args, fmt);
	(void)vsnprintf(note->reason, sizeof(note->reason), fmt, args);
	va_end(args);
	__atomic_store_n(&note->written, 1, __ATOMIC_RELEASE);
}

void restore_hold(struct restore *rst, int fd, bool drain)
{
	struct restore_shared *shared = rst->shared;

	if (shared->n_held == RESTORE_HELD_MAX) {
		restore_gap(
			rst, GAP_DEGRADED, "restore", 0, "held descriptors",
			"more than %d far ends were outside of the container; the rest is closed",
			RESTORE_HELD_MAX);
		return;
	}
	shared->held[shared->n_held++] = (struct restore_held){ .fd = fd, .drain = drain };
}

void restore_shared_fail(struct restore_shared *shared, const struct error *err)
{
	if (__atomic_exchange_n(&shared->error_taken, 1, __ATOMIC_ACQ_REL))
		return;
	shared->error = *err;
	__atomic_store_n(&shared->error_ready, 1, __ATOMIC_RELEASE);
}

int restore_shared_error(const struct restore_shared *shared, struct error *err)
{
	if (!__atomic_load_n(&shared->error_ready, __ATOMIC_ACQUIRE))
		return 0;
	if (err)
		*err = shared->error;
	return shared->error.errnum > 0 ? -shared->error.errnum : -EIO;
}

int restore_shared_collect(const struct restore_shared *shared, struct gap_list *gaps,
			   struct error *err)
{
	uint32_t asked = __atomic_load_n(&shared->n_notes, __ATOMIC_RELAXED);
	uint32_t i, n = MIN(asked, (uint32_t)RESTORE_NOTES_MAX);

	for (i = 0; i < n; i++) {
		const struct restore_note *note = &shared->notes[i];
		char *kind;

		if (!__atomic_load_n(&note->written, __ATOMIC_ACQUIRE))
			continue;
		kind = arena_strdup(&gaps->arena, note->kind);
		if (!kind || gap_add(gaps, note->effect, kind, note->pid, note->subject, "%s",
				     note->reason) < 0)
			return error_nomem(err);
	}
	if (asked > n && gap_add(gaps, GAP_DEGRADED, "restore", 0, "notes",
				 "%u more than could be kept", asked - n) < 0)
		return error_nomem(err);
	return 0;
}
