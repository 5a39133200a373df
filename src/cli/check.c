// SPDX-License-Identifier: Apache-2.0
/*
 * check: amber check [--json]
 */
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/quote.h"
#include "kernel/feature-table.h"
#include "task/ptrace-feature.h"

struct check_options {
	bool json;
};

static const struct option_row options[] = {
	{ "json", 0, OPTION_FLAG, offsetof(struct check_options, json), NULL,
	  "Print the list as JSON" },
	OPTION_END,
};

static const char details[] =
	"Finds out what this node lets amber do, by doing it on a process of its own: kernel "
	"versions\n"
	"are not compared. Each missing feature is listed with what is lost without it. The exit "
	"status\n"
	"is 0 when checkpoints can be taken here, and 1 when something required is missing.";

struct outcome {
	enum feature_state state;
	char detail[FEATURE_DETAIL_MAX];
};

static void print_text(const struct feature *f, const struct outcome *o, size_t width)
{
	_cleanup_buf_ struct buf detail = BUF_INIT;

	printf("%-*s  %-7s  %-8s  %s", (int)width, f->name, feature_state_name(o->state),
	       feature_weight_name(f->weight), f->used_for);
	if (o->detail[0] && quote_append(&detail, o->detail, NULL) == 0)
		printf(" (%s)", (char *)detail.data);
	putchar('\n');
	if (o->state != FEATURE_YES)
		printf("%-*s  without it: %s\n", (int)width, "", f->without);
}

static json_object *feature_json(const struct feature *f, const struct outcome *o)
{
	json_object *item = json_object_new_object();

	json_object_object_add(item, "name", json_object_new_string(f->name));
	json_object_object_add(item, "state", json_object_new_string(feature_state_name(o->state)));
	json_object_object_add(item, "weight",
			       json_object_new_string(feature_weight_name(f->weight)));
	json_object_object_add(item, "used_for", json_object_new_string(f->used_for));
	json_object_object_add(item, "without", json_object_new_string(f->without));
	json_object_object_add(item, "detail", json_object_new_string(o->detail));
	return item;
}

/* What was asked, over all tables. */
struct tally {
	json_object *list; /* NULL = print */
	size_t width, n, missing, required;
};

static void probe_all(const struct feature *table, size_t n, struct tally *t)
{
	struct outcome outcome;
	size_t i;

	for (i = 0; i < n; i++) {
		outcome = (struct outcome){ 0 };
		outcome.state = table[i].probe(outcome.detail);
		t->n++;
		t->missing += outcome.state != FEATURE_YES;
		t->required += outcome.state != FEATURE_YES && table[i].weight == FEATURE_REQUIRED;
		if (t->list)
			json_object_array_add(t->list, feature_json(&table[i], &outcome));
		else
			print_text(&table[i], &outcome, t->width);
	}
}

static int check_run(struct cli *cli, void *opaque, char **args, size_t n_args, struct error *err)
{
	size_t n[2], i, j;
	const struct feature *tables[2] = { ptrace_feature_table(&n[0]), feature_table(&n[1]) };
	struct check_options *o = opaque;
	struct tally t = { 0 };
	json_object *object;

	(void)args, (void)n_args, (void)err;
	cli->json = o->json;
	t.list = o->json ? json_object_new_array() : NULL;
	for (i = 0; i < ARRAY_SIZE(tables); i++)
		for (j = 0; j < n[i]; j++)
			t.width = MAX(t.width, strlen(tables[i][j].name));
	for (i = 0; i < ARRAY_SIZE(tables); i++)
		probe_all(tables[i], n[i], &t);
	if (o->json) {
		object = json_object_new_object();
		json_object_object_add(object, "possible", json_object_new_boolean(!t.required));
		json_object_object_add(object, "features", t.list);
		cli_print_json(object);
	} else if (t.required) {
		printf("\ncheckpoints cannot be taken here: %zu required feature%s missing%s\n",
		       t.required, t.required == 1 ? " is" : "s are",
		       geteuid() ? "; run it with sudo" : "");
	} else {
		printf("\ncheckpoints can be taken here; %zu of %zu features are missing\n",
		       t.missing, t.n);
	}
	return t.required ? 1 : 0;
}

const struct cli_command check_command = {
	.row = {
		.name = "check",
		.args = "",
		.summary = "Find out what this node can do",
		.details = details,
		.options = options,
		.option_size = sizeof(struct check_options),
	},
	.run = check_run,
};
