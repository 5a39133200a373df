// SPDX-License-Identifier: Apache-2.0
/*
 * gap: see gap.h.
 */
#include "image/gap.h"

#include <errno.h>
#include <stdio.h>

void gap_list_deinit(struct gap_list *list)
{
	arena_deinit(&list->arena);
	*list = GAP_LIST_INIT;
}

int gap_add(struct gap_list *list, enum gap_effect effect, const char *kind, pid_t pid,
	    const char *subject, const char *fmt, ...)
{
	char reason[512];
	struct gap *gap;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);

	gap = arena_new(&list->arena, struct gap);
	if (!gap)
		return -ENOMEM;
	gap->kind = kind;
	gap->pid = pid;
	gap->effect = effect;
	gap->subject = arena_strdup(&list->arena, subject);
	gap->reason = arena_strdup(&list->arena, reason);
	if (!gap->subject || !gap->reason)
		return -ENOMEM;

	if (list->last)
		list->last->next = gap;
	else
		list->first = gap;
	list->last = gap;
	list->n++;
	return 0;
}

bool gap_list_restorable(const struct gap_list *list)
{
	const struct gap *gap;

	for (gap = list->first; gap; gap = gap->next)
		if (gap->effect == GAP_FATAL)
			return false;
	return true;
}

json_object *gap_list_json(const struct gap_list *list)
{
	json_object *array = json_object_new_array(), *object;
	const struct gap *gap;

	for (gap = list->first; gap; gap = gap->next) {
		object = json_object_new_object();
		json_put_text(object, "kind", gap->kind);
		json_object_object_add(object, "pid", json_object_new_int(gap->pid));
		json_put_text(object, "subject", gap->subject);
		json_put_text(object, "reason", gap->reason);
		json_put_text(object, "effect", gap_effect_name(gap->effect));
		json_object_array_add(array, object);
	}
	return array;
}

const char *gap_effect_name(enum gap_effect effect)
{
	static const char *const names[] = { "cosmetic", "degraded", "fatal" };

	return (size_t)effect < ARRAY_SIZE(names) ? names[effect] : "unknown";
}
